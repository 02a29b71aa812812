"""One sandbox for all end-to-end tests, of its own name: a sandbox that somebody uses is left alone.

``CANARY_E2E_KEEP=1`` leaves it running and takes it up again, for working on a test; ``CANARY_E2E_SANDBOX`` names
another.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox.lifecycle import down
from sandbox.node.instance import Instance
from sandbox.paths import Cache
from sandbox.preflight import check
from sandbox.running import SandboxError
from tests.e2e.apps import NAMESPACE
from tests.e2e.newcomer import Newcomer
from tests.e2e.world import World

HERE = Path(__file__).parent
KEEP = bool(os.environ.get("CANARY_E2E_KEEP"))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Where no sandbox can run, skip in one line: the first test says why, for all. In CI that is a failure."""
    ours = [item for item in items if item.path.is_relative_to(HERE)]
    if not ours:
        return
    try:
        check(Cache.default())
    except SandboxError as error:
        if os.environ.get("CI"):
            pytest.exit(f"The end-to-end tests cannot run. {error}", returncode=1)
        ours[0].add_marker(pytest.mark.skip(reason=f"none of the end-to-end tests can run. {error}"))
        config.hook.pytest_deselected(items=ours[1:])
        items[:] = [item for item in items if item not in ours[1:]]


@pytest.fixture(scope="session")
def instance() -> Instance:
    """The tests' own sandbox."""
    return Instance.named(os.environ.get("CANARY_E2E_SANDBOX", "e2e"))


@pytest.fixture(scope="session")
def world(instance: Instance, request: pytest.FixtureRequest) -> Iterator[World]:
    if not KEEP:
        down(instance.name)
    try:
        # Shown as it goes: it takes a minute, or a quarter of an hour to build, and says there what went wrong.
        with request.config.pluginmanager.getplugin("capturemanager").global_and_fixture_disabled():
            world = World.from_nothing(instance.name)
    except SandboxError as error:
        left = f"what there is of it goes with `CANARY_SANDBOX={instance.name} python -m sandbox down`"
        pytest.exit(f"The sandbox of the tests did not come up ({left}): {error}", returncode=1)
    world.settle("backend", "frontend")
    yield world
    world.close()
    if not KEEP:
        down(instance.name)


@pytest.fixture(scope="module")
def newcomer(instance: Instance, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Newcomer]:
    """Somebody with a sandbox and a copy of the repository of their own."""
    own = Instance.named(f"{instance.name}-newcomer")
    down(own.name)
    yield Newcomer.arrives(tmp_path_factory.mktemp("newcomer") / "repository", own)
    down(own.name)


@pytest.fixture(scope="module")
def trials(world: World) -> Iterator[World]:
    """The world with a namespace for Canaries that the program does not manage."""
    world.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
    yield world
    world.kubectl("delete", "namespace", NAMESPACE)
