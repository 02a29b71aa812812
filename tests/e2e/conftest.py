"""One sandbox for all end-to-end tests, of its own name: a sandbox that somebody uses is left alone.

``CANARY_E2E_KEEP=1`` leaves it running and takes it up again, for working on a test; ``CANARY_E2E_SANDBOX`` names
another.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from sandbox.instance import Instance
from sandbox.node import Node
from sandbox.paths import Cache
from sandbox.preflight import check
from sandbox.running import SandboxError
from tests.e2e.world import World

KEEP = bool(os.environ.get("CANARY_E2E_KEEP"))


@pytest.fixture(scope="session")
def instance() -> Instance:
    """The tests' own sandbox; where none can run the tests are skipped, which is a failure in CI."""
    try:
        check(Cache.default())
    except SandboxError as error:
        if os.environ.get("CI"):
            pytest.exit(str(error), returncode=1)
        pytest.skip(str(error))
    return Instance.named(os.environ.get("CANARY_E2E_SANDBOX", "e2e"))


@pytest.fixture(scope="session")
def world(instance: Instance) -> Iterator[World]:
    node = Node(instance, Cache.default())
    if not KEEP:
        node.stop()
    try:
        world = World.from_nothing(instance, Cache.default())
    except SandboxError as error:
        left = f"what there is of it goes with `CANARY_SANDBOX={instance.name} python -m sandbox down`"
        pytest.exit(f"The sandbox of the tests did not come up ({left}): {error}", returncode=1)
    world.settle("backend", "frontend")
    yield world
    world.close()
    if not KEEP:
        node.stop()
