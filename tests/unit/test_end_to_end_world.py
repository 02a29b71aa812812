"""What the end-to-end tests read of kubectl's watches, which end and begin again within half an hour."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.e2e.world import World, read_objects


def event(uid: str, version: str, kind: str = "Canary") -> dict[str, Any]:
    involved = {"kind": kind, "name": "backend"}
    metadata = {"uid": uid, "resourceVersion": version}
    return {"kind": "Event", "metadata": metadata, "involvedObject": involved, "message": f"{uid} {version}"}


@pytest.mark.parametrize("kind", ["List", "EventList"])
def test_lists_of_any_kind_are_taken_apart(kind):
    printed = [
        {"kind": kind, "items": [event("a", "1"), event("b", "2")]},
        event("c", "3"),
        {"kind": kind, "items": []},
    ]
    lines = "\n".join(json.dumps(each, indent=4) for each in printed).splitlines(keepends=True)
    assert list(read_objects(lines)) == [event("a", "1"), event("b", "2"), event("c", "3")]


def test_an_event_is_heard_once_and_again_when_it_is_repeated(monkeypatch):
    monkeypatch.setattr(World, "_watch", lambda *_: None)
    world = World(sandbox=None)  # type: ignore[arg-type]  # nothing is asked of it
    for each in (event("a", "1"), event("b", "2"), event("a", "1"), event("a", "3"), event("c", "4", kind="Pod")):
        world._hear(each)
    assert [message for _, message in world.events] == ["a 1", "b 2", "a 3"]
