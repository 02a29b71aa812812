"""A Pulumi project in a temporary folder, run by the real engine with the stand-in plugins against a real API server.

There are no controllers, so the programs ask for background deletion (nothing would finish a foreground one) and skip
the wait for what would never become ready.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from sandbox.apiserver import ApiServer
from sandbox.paths import Cache
from sandbox.plugin.cluster import Cluster
from sandbox.plugin.install import install
from sandbox.plugin.kubeconfig import load_connection
from sandbox.plugin.metadata import Kind

NAMESPACE = Kind("", "v1", "Namespace")
CONFIG_MAP = Kind("", "v1", "ConfigMap")
SECRET = Kind("", "v1", "Secret")
DEPLOYMENT = Kind("apps", "v1", "Deployment")
WIDGET = Kind("example.com", "v1", "Widget")

_BINARIES = ("etcd", "kube-apiserver", "pulumi", "pulumi-language-python", "helm")
_HEADER = """
import pulumi, pulumi_command as command, pulumi_kubernetes as k8s
from pulumi import ResourceOptions as Opts
NAMESPACE = {namespace!r}
BACKGROUND = {{"pulumi.com/deletionPropagationPolicy": "background"}}
SKIP_AWAIT = {{**BACKGROUND, "pulumi.com/skipAwait": "true"}}

def meta(name=None, annotations=BACKGROUND, **more):
    return {{"namespace": NAMESPACE, "annotations": annotations, **({{"name": name}} if name else {{}}), **more}}

def deployment(name, image="podinfo:6.1.0", app=None, annotations=SKIP_AWAIT, opts=None, **spec):
    labels = {{"app": app or name}}
    template = {{"metadata": {{"labels": labels}}, "spec": {{"containers": [{{"name": "app", "image": image}}]}}}}
    return k8s.apps.v1.Deployment(name, metadata=meta(name, annotations), opts=opts,
                                  spec={{"selector": {{"match_labels": labels}}, "template": template, **spec}})
"""
WIDGETS = """
schema = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
version = {"name": "v1", "served": True, "storage": True, "subresources": {"status": {}}, "schema": schema}
names = {"kind": "Widget", "plural": "widgets", "singular": "widget"}
crd = k8s.apiextensions.v1.CustomResourceDefinition("crd",
    metadata={"name": "widgets.example.com", "annotations": BACKGROUND},
    spec={"group": "example.com", "scope": "Cluster", "names": names, "versions": [version]})
"""


@dataclass(frozen=True)
class Ran:
    """How a pulumi command ended."""

    status: int
    output: str

    def expect_success(self) -> Ran:
        assert self.status == 0, self.output
        return self

    def expect_failure(self) -> Ran:
        assert self.status != 0, self.output
        return self


@dataclass(frozen=True)
class Project:
    folder: Path
    namespace: str
    cluster: Cluster
    environment: Mapping[str, str]
    variables: dict[str, str] = field(default_factory=dict)

    def write(self, program: str) -> None:
        (self.folder / "__main__.py").write_text(_HEADER.format(namespace=self.namespace) + program)

    def pulumi(self, *arguments: str) -> Ran:
        done = subprocess.run(
            ["pulumi", "--non-interactive", "--color=never", *arguments],
            cwd=self.folder,
            env={**self.environment, **self.variables},
            capture_output=True,
            text=True,
            check=False,
        )
        return Ran(done.returncode, done.stdout + done.stderr)

    def up(self, program: str | None = None, *arguments: str) -> Ran:
        """`pulumi up` without its preview, of a new program or of the one in place."""
        if program is not None:
            self.write(program)
        return self.pulumi("up", "--yes", "--skip-preview", *arguments)

    def preview(self, program: str | None = None, *arguments: str) -> Ran:
        if program is not None:
            self.write(program)
        return self.pulumi("preview", *arguments)

    def plan(self, program: str | None = None, *arguments: str) -> dict[str, str]:
        """What a preview would do to each resource by name, less those that stay the same and the stack itself."""
        text = self.preview(program, "--json", *arguments).expect_success().output
        start = re.search(r"^\{", text, re.MULTILINE)
        assert start is not None, text
        steps = json.JSONDecoder().raw_decode(text, start.start())[0]["steps"]
        names = {
            step["urn"].rpartition("::")[2]: step["op"] for step in steps if "pulumi:pulumi:Stack" not in step["urn"]
        }
        return {name: op for name, op in names.items() if op not in {"same", "refresh"}}

    def outputs(self) -> dict[str, Any]:
        done = self.pulumi("stack", "output", "--json").expect_success()
        outputs: dict[str, Any] = json.loads(done.output)
        return outputs

    def state(self) -> str:
        return self.pulumi("stack", "export").expect_success().output

    def get(self, kind: Kind, name: str) -> dict[str, Any]:
        live = self.cluster.get(kind, self.namespace, name)
        assert live is not None, f"{kind} {name} does not exist"
        return live

    def apply(self, manager: str, obj: dict[str, Any], *, force: bool = True) -> None:
        """Write to the cluster as somebody else."""
        metadata = {"namespace": self.namespace, **obj["metadata"]}
        self.cluster.apply({**obj, "metadata": metadata}, manager=manager, force=force, dry_run=False)


@pytest.fixture(scope="session")
def binaries() -> Path:
    """The folder with what these tests run. Skips where it is not built yet; with CI=true that is a failure."""
    folder = Cache.default().bin
    missing = [name for name in _BINARIES if not (folder / name).exists()]
    if missing:
        reason = f"not built yet: {', '.join(missing)} (python -m sandbox build)"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    return folder


@pytest.fixture
def project(
    binaries: Path, istio_api_server: ApiServer, tmp_path: Path, request: pytest.FixtureRequest
) -> Iterator[Project]:
    """An empty project with a namespace of its own, named after the test."""
    folder, home = tmp_path / "project", tmp_path / "home"
    for path in (folder, tmp_path / "state"):
        path.mkdir()
    (folder / "Pulumi.yaml").write_text("name: shop\nruntime: python\n")
    install(home, Path(sys.executable), environment={"PULUMI_HOME": str(tmp_path / "none")})
    search = os.pathsep.join([str(binaries), str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = {
        **os.environ,
        "HOME": str(tmp_path),
        "KUBECONFIG": str(istio_api_server.kubeconfig),
        "PATH": search,
        "PULUMI_BACKEND_URL": f"file://{tmp_path / 'state'}",
        "PULUMI_CONFIG_PASSPHRASE": "test",
        "PULUMI_HOME": str(home),
        "PULUMI_SKIP_UPDATE_CHECK": "1",
    }
    digest = hashlib.sha256(request.node.nodeid.encode()).hexdigest()[:8]
    namespace = re.sub(r"[^a-z0-9]+", "-", request.node.name.lower())[:30] + f"-{digest}"
    cluster = Cluster(load_connection(str(istio_api_server.kubeconfig), "", {}))
    manifest = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}
    cluster.apply(manifest, manager="test", force=True, dry_run=False)
    project = Project(folder, namespace, cluster, environment)
    project.pulumi("stack", "init", "dev").expect_success()
    yield project
    cluster.close()
