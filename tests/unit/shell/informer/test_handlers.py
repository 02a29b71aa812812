"""What is registered with kopf, and kopf's watches against an API server that misbehaves."""

from __future__ import annotations

from typing import Any

import pytest

from controller.shell.informer.cache import Cache
from controller.shell.informer.handlers import build_registry
from controller.shell.informer.lists import Lists
from controller.shell.kubernetes.access import Access
from controller.shell.kubernetes.kinds import CONFIGS, SCALED_OBJECT, WATCHED, Kind
from tests.builders import make_config, make_deployment
from tests.unit.shell.fakes import FakeKube


async def nothing(*_: Any) -> str:
    return ""


def registered(*served: Kind) -> tuple[Any, Cache]:
    cache = Cache(lambda key, before, after: None)
    lists = Lists(FakeKube(), cache, ())
    lists.served += served
    return build_registry(Access("http://x", None, nothing), cache, lists, nothing, nothing), cache  # type: ignore[arg-type]


async def test_an_optional_kind_is_watched_where_it_is_served():
    registry, _ = registered(SCALED_OBJECT)
    (start,) = (each for each in registry._activities.get_all_handlers() if each.id.endswith("start_up"))
    await start.fn()
    handlers = [each for each in registry._watching.get_all_handlers() if each.id == "watch-scaledobjects"]
    assert len(handlers) == 1


def test_each_kind_is_watched_by_an_event_handler_and_by_nothing_else():
    """Anything else would put a finalizer or an annotation on the objects."""
    registry, _ = registered()
    watched = {
        str(handler.selector.any_name or handler.selector.plural) for handler in registry._watching.get_all_handlers()
    }
    assert watched == {kind.plural for kind in (*WATCHED, *CONFIGS)}
    assert not registry._changing.get_all_handlers()
    assert not registry._spawning.get_all_handlers()
    assert not registry._indexing.get_all_handlers()
    assert not registry._webhooks.get_all_handlers()


@pytest.mark.parametrize(
    ("manifest", "whole"), [(make_deployment(), True), (make_config("token", {}, kind="Secret"), False)]
)
async def test_events_go_into_the_cache(manifest, whole):
    registry, cache = registered()
    key = (manifest["kind"], "prod", manifest["metadata"]["name"])
    plural = f"{manifest['kind'].lower()}s"
    handler = next(each for each in registry._watching.get_all_handlers() if each.id == f"watch-{plural}")
    seen = {name: value for name, value in manifest.items() if name != "kind"}
    await handler.fn(event={"type": None, "object": seen})
    assert (cache.version(key), cache.get(key) is not None) == (1, whole)
    seen = {**seen, "metadata": {**seen["metadata"], "resourceVersion": "2"}}
    await handler.fn(event={"type": "MODIFIED", "object": seen})
    assert cache.version(key) == 2
    await handler.fn(event={"type": "DELETED", "object": seen})
    assert cache.version(key) == 0
