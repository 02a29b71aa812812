"""`helm.v3.Release`: a Helm release by the helm binary."""

import dataclasses
import hashlib
import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import yaml

from sandbox.plugin import helm
from sandbox.plugin.cluster import Cluster
from sandbox.plugin.diff import Difference, find_difference
from sandbox.plugin.errors import CheckError, Failure, NotReadyError, PluginError, UnreachableError
from sandbox.plugin.metadata import Kind
from sandbox.plugin.processes import Completed
from sandbox.plugin.readiness import pod_problems
from sandbox.plugin.resource import Found, Old, Outcome, Run, Target
from sandbox.plugin.wire import Properties, has_unknown

_SOURCE = ("chart", "version", "repositoryOpts", "devel", "checksum")
_PROBLEMS_SHOWN = 5


@dataclasses.dataclass(frozen=True)
class ReleaseSettings:
    """The provider inputs that bear on releases."""

    namespace: str = "default"
    delete_unreachable: bool = False


class ReleaseHandler:
    def __init__(self, cluster: Cluster, runner: helm.Helm, settings: ReleaseSettings) -> None:
        self._cluster = cluster
        self._helm = runner
        self._settings = settings

    def check(self, target: Target, old_inputs: Properties, inputs: Properties) -> Properties:
        """Names the release, notes what a local chart holds, and makes sure that the chart can be had, unless it is
        the one in use.
        """
        refused = [
            Failure(key, "is not served by the sandbox's stand-in plugin") for key in helm.UNSERVED if inputs.get(key)
        ]
        if refused:
            raise CheckError(*refused)
        if not inputs.get("name") and not old_inputs.get("name") and target.autonaming_disabled:
            raise CheckError(Failure("name", "must be set, since the stack's configuration disables autonaming"))
        checked = {"namespace": self._settings.namespace, **inputs}
        checked["name"] = inputs.get("name") or old_inputs.get("name") or target.proposed_name
        if has_unknown([checked.get(key) for key in _SOURCE]):
            return checked
        if Path(checked["chart"]).exists():
            checked["checksum"] = _checksum(Path(checked["chart"]))
        if any(checked.get(key) != old_inputs.get(key) for key in _SOURCE):
            self._find_chart(checked)
        return checked

    def diff(self, target: Target, old: Old, inputs: Properties) -> Difference:  # noqa: ARG002 - the Handler protocol
        found = find_difference(old.inputs, inputs, immutable=[("name",), ("namespace",)])
        same_name = old.inputs.get("name") == inputs["name"]
        return dataclasses.replace(found, delete_before_replace=bool(found.replaces) and same_name)

    def create(self, target: Target, inputs: Properties, run: Run) -> Outcome:  # noqa: ARG002
        if run.preview:
            return self._preview(inputs, run)
        self._apply(helm.install_arguments(inputs), inputs, run)
        return self._outcome(inputs, run)

    def update(self, target: Target, old: Old, inputs: Properties, ignored: list[str], run: Run) -> Outcome:  # noqa: ARG002
        if run.preview:
            return self._preview(inputs, run)
        self._apply(helm.upgrade_arguments(inputs), inputs, run)
        return self._outcome(inputs, run)

    def read(self, target: Target, old: Old) -> Found | None:  # noqa: ARG002
        """Values and version are taken over from the cluster where another helm made a revision since."""
        namespace, _, name = old.id.rpartition("/")
        run = Run()
        status = self._status(namespace or self._settings.namespace, name, run)
        if status is None:
            return None
        inputs = dict(old.inputs) or {
            "name": name,
            "namespace": status["namespace"],
            "chart": status["chart"],
            "values": {},
        }
        if status["revision"] != (old.outputs.get("status") or {}).get("revision"):
            done = self._checked(["get", "values", name, "--namespace", status["namespace"], "--output", "json"], run)
            inputs["values"] = json.loads(done.stdout) or {}
            if "version" in inputs or not old.inputs:
                inputs["version"] = status["version"]
        return Found(self._outcome(inputs, run), inputs)

    def delete(self, target: Target, old: Old, run: Run) -> None:  # noqa: ARG002
        try:
            self._cluster.resource_type(Kind("", "v1", "Secret"))
        except UnreachableError as error:
            if not self._settings.delete_unreachable:
                raise
            run.warn(f"only forgotten, since kubernetes:deleteUnreachable is set: {error}")
            return
        done = self._helm.run(helm.uninstall_arguments(old.outputs), run)
        if done.status != 0:
            raise PluginError(f"helm could not uninstall the release {old.id}: {helm.error_of(done)}")

    def _find_chart(self, inputs: Properties) -> None:
        done = self._helm.run(["show", "chart", *helm.chart_arguments(inputs)], Run())
        if done.status != 0:
            repository = (inputs.get("repositoryOpts") or {}).get("repo")
            where = f" from the repository {repository}" if repository else ""
            version = f" {inputs['version']}" if inputs.get("version") else ""
            raise CheckError(
                Failure(
                    "chart",
                    f"the chart {inputs['chart']}{version} cannot be had{where}: {helm.error_of(done)}. Check the "
                    "name, the version and that the repository is in reach, or give the path of a local chart.",
                )
            )

    def _preview(self, inputs: Properties, run: Run) -> Outcome:
        """Render the chart, so that errors in values and templates show now."""
        if not has_unknown(inputs):
            done = self._helm.run(helm.template_arguments(inputs), run, values=helm.values_of(inputs))
            if done.status != 0:
                raise PluginError(f"the chart {inputs['chart']} cannot be rendered: {helm.error_of(done)}")
        return Outcome(_id_of(inputs), inputs)

    def _apply(self, arguments: list[str], inputs: Properties, run: Run) -> None:
        """Install or upgrade. Raises NotReadyError where helm leaves a failed release behind, which the next `up`
        then upgrades.
        """
        run.status(f"helm {arguments[0]}")
        done = self._helm.run(arguments, run, values=helm.values_of(inputs))
        if done.status == 0:
            return
        message = f"helm {arguments[0]} of the release {_id_of(inputs)} failed: {helm.error_of(done)}"
        problems = self._problems(inputs["namespace"])
        text = "\n".join([message, *problems])
        in_use = "cannot re-use a name" in done.stderr
        if in_use or self._status(inputs["namespace"], inputs["name"], Run()) is None:
            raise PluginError(text)
        outcome = self._outcome(inputs, Run())
        raise NotReadyError(text, resource_id=outcome.id, outputs=outcome.outputs, reasons=[message, *problems])

    def _problems(self, namespace: str) -> list[str]:
        return pod_problems(self._cluster.list(Kind("", "v1", "Pod"), namespace, ""))[:_PROBLEMS_SHOWN]

    def _status(self, namespace: str, name: str, run: Run) -> Properties | None:
        """As the SDK's ReleaseStatus, or None where there is no such release."""
        done = self._helm.run(["get", "metadata", name, "--namespace", namespace, "--output", "json"], run)
        if done.status != 0:
            if "not found" in done.stderr:
                return None
            raise PluginError(f"helm cannot read the release {namespace}/{name}: {helm.error_of(done)}")
        metadata: Properties = json.loads(done.stdout)
        keys = ("appVersion", "chart", "name", "namespace", "revision", "status", "version")
        return {key: metadata[key] for key in keys if key in metadata}

    def _outcome(self, inputs: Properties, run: Run) -> Outcome:
        status = self._status(inputs["namespace"], inputs["name"], run)
        if status is None:
            raise PluginError(f"the release {_id_of(inputs)} is gone")
        done = self._checked(["get", "manifest", inputs["name"], "--namespace", inputs["namespace"]], run)
        names = resource_names(done.stdout)
        version = status.get("version", inputs.get("version"))
        return Outcome(_id_of(inputs), {**inputs, "version": version, "status": status, "resourceNames": names})

    def _checked(self, arguments: list[str], run: Run) -> Completed:
        done = self._helm.run(arguments, run)
        if done.status != 0:
            raise PluginError(f"helm {' '.join(arguments[:3])} failed: {helm.error_of(done)}")
        return done


def _id_of(inputs: Properties) -> str:
    return f"{inputs['namespace']}/{inputs['name']}"


def _checksum(chart: Path) -> str:
    """SHA-256 over the names and contents of a local chart, so that an edit of it shows as a change."""
    digest = hashlib.sha256()
    files = [chart] if chart.is_file() else sorted(path for path in chart.rglob("*") if path.is_file())
    for path in files:
        content = path.read_bytes()
        digest.update(f"{path.relative_to(chart.parent)}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()


def resource_names(manifest: str) -> dict[str, list[str]]:
    """The objects of a release by `Kind.group/apiVersion`, each `namespace/name` or `name` as the manifest has it."""
    loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    names: defaultdict[str, list[str]] = defaultdict(list)
    for obj in yaml.load_all(manifest, Loader=loader):
        if not isinstance(obj, dict) or "kind" not in obj:
            continue
        group = obj["apiVersion"].rpartition("/")[0]
        kind = f"{obj['kind']}.{group}" if group else obj["kind"]
        place = obj["metadata"].get("namespace")
        names[f"{kind}/{obj['apiVersion']}"].append(
            f"{place}/{obj['metadata']['name']}" if place else obj["metadata"]["name"]
        )
    return {key: sorted(value) for key, value in sorted(names.items())}
