"""Runs the whole program against mocks, and keeps what it registered: resources, their inputs, what each waits for."""

from __future__ import annotations

import asyncio
import gc
import json
import runpy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import patch

from pulumi import Output
from pulumi.runtime import rpc, settings
from pulumi.runtime.config import set_all_config
from pulumi.runtime.mocks import MockCallArgs, MockMonitor, MockResourceArgs, Mocks, set_mocks
from pulumi.runtime.proto import resource_pb2
from pulumi.runtime.stack import Stack, run_pulumi_func

from controller.api import CanaryError
from controller.shell.kubernetes.errors import StartError

PROJECT = "canary-on-istio"
ROOT = Path(__file__).parent.parent.parent
OUTCOME = {"outcome": "promoted", "revision": "0123456789abcdef"}
"""What every command prints; that of a rollout's end is the only one whose output is read."""
IMAGE = "registry.example/canary-controller:1.0"


@dataclass(frozen=True)
class Registered:
    """One resource.

    Attributes:
        parent: the URN of its component.
        provider: the URN and the id of its provider, where it is not the default one.
        waits_for: the URNs that it depends on.
        former_names: by which a stack may know it.
        is_retained: whether a destroy leaves it in the cluster.
    """

    urn: str
    type: str
    name: str
    inputs: Mapping[str, Any]
    parent: str
    provider: str
    waits_for: frozenset[str]
    former_names: Sequence[str]
    is_retained: bool

    @property
    def kind(self) -> str:
        return self.type.split(":")[-1]

    @property
    def object(self) -> str:
        """The name of what is made in the cluster; its own where that has none."""
        name: str = self.inputs.get("metadata", self.inputs).get("name", self.name)
        return name


@dataclass
class Recording(Mocks):
    """The one mocks class: every resource becomes what it was asked to be, and is kept.

    `stacks` are the outputs of the stacks that exist, by their full names, as their last updates left them.
    """

    stacks: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    resources: list[Registered] = field(default_factory=list)
    outputs: dict[str, Any] = field(default_factory=dict)

    def new_resource(self, args: MockResourceArgs) -> tuple[str, dict[str, Any]]:
        return f"{args.name}-id", args.inputs

    def call(self, args: MockCallArgs) -> tuple[dict[str, Any], None]:
        raise AssertionError(f"{args.token} is not asked through the mocks")

    def get(self, kind: str, name: str) -> Registered:
        """What makes the object, or the component, of this name."""
        found = [r for r in self.resources if (r.kind, r.object) == (kind, name)]
        assert len(found) == 1, f"{len(found)} resources are {kind} {name}"
        return found[0]

    def of_kind(self, kind: str) -> list[Registered]:
        return [r for r in self.resources if r.kind == kind]

    def inside(self, component: Registered) -> list[Registered]:
        """What a component is made of, components inside it taken apart as well."""
        found: list[Registered] = []
        for each in self.resources:
            if each.parent == component.urn:
                found += self.inside(each) if each.type.startswith("canary:mesh:") else [each]
        return found

    def all_before(self, resource: Registered) -> frozenset[str]:
        """The URNs that must exist before `resource` does: the transitive closure of what it waits for."""
        by_urn = {r.urn: r for r in self.resources}
        seen: set[str] = set()
        todo = [resource.urn]
        while todo:
            new = by_urn[todo.pop()].waits_for - seen
            seen |= new
            todo.extend(new)
        return frozenset(seen)


class _Monitor(MockMonitor):
    """Pulumi's mock monitor hands the inputs of a resource on, but not what it depends on."""

    def __init__(self, recording: Recording) -> None:
        super().__init__(recording)
        self._recording = recording

    def RegisterResource(self, request: Any) -> resource_pb2.RegisterResourceResponse:  # noqa: N802 -- the protocol's name
        urn = self.make_urn(request.parent, request.type, request.name)
        if request.type == "pulumi:pulumi:Stack":
            return resource_pb2.RegisterResourceResponse(urn=urn)
        registered = Registered(
            urn=urn,
            type=request.type,
            name=request.name,
            inputs=rpc.deserialize_properties(request.object),
            parent=request.parent,
            provider=request.provider,
            waits_for=frozenset(request.dependencies),
            former_names=[alias.spec.name for alias in request.aliases if alias.spec.name],
            is_retained=request.retainOnDelete,
        )
        self._recording.resources.append(registered)
        if registered.kind == "Command":
            request.object["stdout"] = json.dumps(OUTCOME)
        return resource_pb2.RegisterResourceResponse(urn=urn, id=f"{request.name}-id", object=request.object)

    def ReadResource(self, request: Any) -> resource_pb2.ReadResourceResponse:  # noqa: N802 -- the protocol's name
        """A StackReference: the program reads nothing else. Pulumi's own leaves an event loop open on each thread."""
        read = resource_pb2.ReadResourceResponse(urn=self.make_urn(request.parent, request.type, request.name))
        read.properties.update({"name": request.name, "outputs": self._recording.stacks.get(request.name, {})})
        return read


def run(
    program: Callable[[], None],
    config: Mapping[str, str] | None = None,
    secret: Sequence[str] = (),
    *,
    stacks: Mapping[str, Mapping[str, Any]] | None = None,
    mesh: Mapping[str, Any] | CanaryError | None = None,
    preview: bool = False,
) -> Recording:
    """`program` as `pulumi up` runs it; `config` by whole keys, as texts, of which those in `secret` are secrets.

    `mesh` is what runs of Istio, or why it cannot be asked; None while there is no cluster.
    """
    recording = Recording(stacks or {})

    async def ask_mesh(_context: str, _kubeconfig: str) -> Mapping[str, Any]:
        if isinstance(mesh, CanaryError):
            raise mesh
        if mesh is None:
            raise StartError("there is no cluster")
        return mesh

    async def run() -> None:
        # A refused program leaves tasks whose errors nobody asks for. asyncio would log their tracebacks whenever they
        # are collected: in the middle of another traceback, where Python 3.11 fails with a SystemError.
        asyncio.get_running_loop().set_exception_handler(lambda _loop, _context: None)
        set_mocks(
            recording,
            project=PROJECT,
            stack="test",
            preview=preview,
            monitor=_Monitor(recording),
            organization="organization",
        )
        set_all_config({**(config or {})}, list(secret))
        try:
            await run_pulumi_func(program)
        finally:
            settings.SETTINGS.rpc_manager.clear()  # what a refused program leaves behind is not for the next one
            settings.SETTINGS.outputs.clear()
            gc.enable()  # the program's process would end here
        root = settings.get_root_resource()
        assert isinstance(root, Stack)
        recording.outputs |= await Output.from_input(root.outputs).future() or {}

    try:
        with patch("components.mesh.ask_mesh", ask_mesh):
            asyncio.run(run())
    except SystemExit as end:  # it has said why, and by this status the language host says no more
        if end.code == 32 and end.__cause__:
            raise end.__cause__ from None
        raise
    return recording


def run_program(
    config: Mapping[str, Any] | None = None,
    *,
    more: Mapping[str, str] | None = None,
    secret: Sequence[str] = (),
    stacks: Mapping[str, Mapping[str, Any]] | None = None,
    mesh: Mapping[str, Any] | CanaryError | None = None,
    preview: bool = False,
) -> Recording:
    """The program of this repository.

    `config` is the stack's, by section, with an image for the controller and the workshop's apps, unless it sets them
    to None; `more` are other keys, whole and as text; `secret` the whole keys that Pulumi holds as secrets; `stacks`
    and `mesh` as in `run`.
    """
    sections = {"controller": {"image": IMAGE}, **(config or {})}
    sections["apps"] = {"frontend": {}, "backend": {}, **sections.get("apps", {})}
    texts = {f"{PROJECT}:{key}": json.dumps(value) for key, value in sections.items()}

    def program() -> None:
        runpy.run_path(str(ROOT / "__main__.py"), run_name="__main__")

    return run(program, {**texts, **(more or {})}, secret, stacks=stacks, mesh=mesh, preview=preview)
