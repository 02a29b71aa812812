"""What is registered with kopf: it must put neither a finalizer nor an annotation on any object."""

from __future__ import annotations

from typing import Any

from controller.shell.informer.cache import Cache
from controller.shell.informer.handlers import build_registry
from controller.shell.informer.reflector import Reflector
from controller.shell.kubernetes.access import Access
from controller.shell.kubernetes.kinds import WATCHED
from controller.shell.reporting.metrics import Metrics
from tests.builders import make_deployment
from tests.unit.shell.fakes import FakeKube


async def nothing(*_: Any) -> str:
    return ""


def registered() -> tuple[Any, Cache, list[str]]:
    relisted: list[str] = []
    cache = Cache(lambda key, before, after: None)

    class Noting(Reflector):
        def was_relisted(self, kind) -> None:
            relisted.append(kind.name)

    watching = Noting(FakeKube(), cache, Metrics("test"), ())
    return build_registry(Access("http://x", None, nothing), cache, watching, nothing, nothing), cache, relisted  # type: ignore[arg-type]


def test_each_kind_is_watched_by_an_event_handler_and_by_nothing_else():
    registry, _, _ = registered()
    watched = {
        str(handler.selector.any_name or handler.selector.plural) for handler in registry._watching.get_all_handlers()
    }
    assert len(registry._watching.get_all_handlers()) == len(WATCHED), watched
    assert not registry._changing.get_all_handlers()
    assert not registry._spawning.get_all_handlers()
    assert not registry._indexing.get_all_handlers()
    assert not registry._webhooks.get_all_handlers()


async def test_events_go_into_the_cache():
    registry, cache, relisted = registered()
    key = ("Deployment", "prod", "backend")
    handler = next(each for each in registry._watching.get_all_handlers() if each.id == "watch-deployments")
    manifest = {name: value for name, value in make_deployment().items() if name != "kind"}
    await handler.fn(event={"type": None, "object": manifest})
    assert (cache.version(key), relisted) == (1, ["Deployment"])
    manifest = {**manifest, "metadata": {**manifest["metadata"], "resourceVersion": "2"}}
    await handler.fn(event={"type": "MODIFIED", "object": manifest})
    assert (cache.version(key), relisted) == (2, ["Deployment"])
    await handler.fn(event={"type": "DELETED", "object": manifest})
    assert cache.get(key) is None
