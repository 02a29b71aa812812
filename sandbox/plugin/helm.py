"""The `helm` binary: command lines from a Release's inputs (pure), and their execution."""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sandbox.plugin.errors import PluginError
from sandbox.plugin.kubeconfig import Connection
from sandbox.plugin.metadata import without_nulls
from sandbox.plugin.processes import Completed, execute
from sandbox.plugin.resource import Run
from sandbox.plugin.wire import ASSET, SIGNATURE

DEFAULT_TIMEOUT_SECONDS = 300

Inputs = Mapping[str, Any]

_CHART_FLAGS = {"devel": "--devel", "verify": "--verify"}
_RENDER_FLAGS = {
    "disableOpenapiValidation": "--disable-openapi-validation",
    "disableWebhooks": "--no-hooks",
    "renderSubchartNotes": "--render-subchart-notes",
    "skipCrds": "--skip-crds",
}
_APPLY_FLAGS = {"atomic": "--atomic", "takeOwnership": "--take-ownership", "waitForJobs": "--wait-for-jobs"}
_INSTALL_FLAGS = {"createNamespace": "--create-namespace", "replace": "--replace"}
_UPGRADE_FLAGS = {
    "cleanupOnFail": "--cleanup-on-fail",
    "forceUpdate": "--force",
    "resetValues": "--reset-values",
    "reuseValues": "--reuse-values",
}
_REPOSITORY_OPTIONS = {
    "repo": "--repo",
    "username": "--username",
    "password": "--password",
    "caFile": "--ca-file",
    "certFile": "--cert-file",
    "keyFile": "--key-file",
}
# Inputs that no helm command takes any more, or that are experiments of the official plugin.
UNSERVED = ("disableCRDHooks", "lint", "manifest", "recreatePods")
_SETTINGS = {
    "driver": "HELM_DRIVER",
    "pluginsPath": "HELM_PLUGINS",
    "registryConfigPath": "HELM_REGISTRY_CONFIG",
    "repositoryCache": "HELM_REPOSITORY_CACHE",
    "repositoryConfigPath": "HELM_REPOSITORY_CONFIG",
}


def chart_arguments(inputs: Inputs) -> list[str]:
    """The chart and where it comes from."""
    arguments = [inputs["chart"], *_flags(inputs, _CHART_FLAGS)]
    arguments += _options(inputs, {"version": "--version", "keyring": "--keyring"})
    return arguments + _options(inputs.get("repositoryOpts") or {}, _REPOSITORY_OPTIONS)


def template_arguments(inputs: Inputs) -> list[str]:
    flags = {key: flag for key, flag in _RENDER_FLAGS.items() if key != "renderSubchartNotes"}
    return ["template", inputs["name"], *chart_arguments(inputs), *_render(inputs, flags)]


def install_arguments(inputs: Inputs) -> list[str]:
    return ["install", inputs["name"], *chart_arguments(inputs), *_apply(inputs), *_flags(inputs, _INSTALL_FLAGS)]


def upgrade_arguments(inputs: Inputs) -> list[str]:
    history = _options(inputs, {"maxHistory": "--history-max"})
    return [
        "upgrade",
        inputs["name"],
        *chart_arguments(inputs),
        *_apply(inputs),
        *_flags(inputs, _UPGRADE_FLAGS),
        *history,
    ]


def uninstall_arguments(inputs: Inputs) -> list[str]:
    wait = [] if inputs.get("skipAwait") else ["--wait", "--timeout", f"{_timeout(inputs)}s"]
    hooks = ["--no-hooks"] if inputs.get("disableWebhooks") else []
    return ["uninstall", inputs["name"], "--namespace", inputs["namespace"], "--ignore-not-found", *wait, *hooks]


def _apply(inputs: Inputs) -> list[str]:
    wait = [] if inputs.get("skipAwait") and not inputs.get("atomic") else ["--wait"]
    options = _options(inputs, {"description": "--description"})
    timeout = ["--timeout", f"{_timeout(inputs)}s"]
    return [*_render(inputs, _RENDER_FLAGS), *_flags(inputs, _APPLY_FLAGS), *wait, *timeout, *options]


def _render(inputs: Inputs, flags: Mapping[str, str]) -> list[str]:
    dependencies = _flags(inputs, {"dependencyUpdate": "--dependency-update"})
    renderer = _options(inputs, {"postrender": "--post-renderer"})
    return ["--namespace", inputs["namespace"], "--values", "-", *_flags(inputs, flags), *dependencies, *renderer]


def _timeout(inputs: Inputs) -> int:
    return int(inputs.get("timeout") or DEFAULT_TIMEOUT_SECONDS)


def _flags(inputs: Inputs, flags: Mapping[str, str]) -> list[str]:
    return [flag for key, flag in flags.items() if inputs.get(key)]


def _options(inputs: Inputs, options: Mapping[str, str]) -> list[str]:
    return [part for key, option in options.items() if inputs.get(key) for part in (option, str(inputs[key]))]


def values_of(inputs: Inputs) -> dict[str, Any]:
    """The values to send: `valueYamlFiles` in order, then `values` over them. Nulls only where `allowNullValues` asks
    for them.
    """
    values: dict[str, Any] = {}
    for asset in inputs.get("valueYamlFiles") or []:
        values = merge(values, _yaml_of(asset))
    values = merge(values, inputs.get("values") or {})
    return values if inputs.get("allowNullValues") else without_nulls(values)


def merge(under: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Deeply, as helm merges values: mappings merge, everything else of `over` replaces."""
    merged = dict(under)
    for key, value in over.items():
        old = merged.get(key)
        merged[key] = merge(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return merged


def _yaml_of(asset: Any) -> dict[str, Any]:
    import yaml  # noqa: PLC0415 - rarely needed, and start-up time is every update's

    if not isinstance(asset, dict) or asset.get(SIGNATURE) != ASSET or "uri" in asset:
        raise PluginError("valueYamlFiles: the stand-in takes file and string assets only")
    text = asset["text"] if asset.get("text") else Path(asset["path"]).read_text()
    values = yaml.safe_load(text) or {}
    if not isinstance(values, dict):
        raise PluginError(f"valueYamlFiles: {asset.get('path') or 'a string asset'} is not a YAML mapping")
    return values


def _in_memory(kubeconfig: str) -> str:
    """The path of a file that lives as long as this process, even if that is killed: it may hold a private key."""
    file = os.memfd_create("kubeconfig")
    os.fchmod(file, 0o600)
    os.write(file, kubeconfig.encode())
    return f"/proc/{os.getpid()}/fd/{file}"


class Helm:
    """Runs helm against one cluster. `settings` is the provider's `helmReleaseSettings`."""

    def __init__(self, connection: Connection, settings: Mapping[str, Any]) -> None:
        path = str(connection.source or _in_memory(connection.content))
        self._cluster = ["--kubeconfig", path, "--kube-context", connection.config.context_name]
        self._environment = {_SETTINGS[key]: str(value) for key, value in settings.items() if key in _SETTINGS}

    def run(self, arguments: Sequence[str], run: Run, *, values: Mapping[str, Any] | None = None) -> Completed:
        """Run helm with `values` on stdin; whatever its exit status."""
        stdin = json.dumps(values) if values is not None else ""
        return execute(["helm", *arguments, *self._cluster], run, stdin=stdin, environment=self._environment)


def error_of(done: Completed) -> str:
    """What helm says went wrong, without its warnings, prefixes and advice on its own flags."""
    text = done.stderr.replace("Use --debug flag to render out invalid YAML", "").strip()
    _, found, rest = text.rpartition("Error: ")
    return (rest if found else text).removeprefix("INSTALLATION FAILED: ").removeprefix("UPGRADE FAILED: ").strip()
