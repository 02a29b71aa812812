"""What is registered with kopf, and kopf's watches against an API server that misbehaves."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest
from aiohttp import web

from controller.shell.informer.cache import Cache
from controller.shell.informer.handlers import build_registry
from controller.shell.informer.lists import Lists
from controller.shell.kubernetes.access import Access
from controller.shell.kubernetes.kinds import CONFIGS, DEPLOYMENT, SCALED_OBJECT, WATCHED, Kind
from tests.builders import make_config, make_deployment
from tests.unit.shell.fakes import FakeKube, serving


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


@dataclass
class ApiServer:
    """Has one Deployment, at version 7; remembers the query of each list."""

    refuses: bool = False
    asked: list[dict[str, str]] = field(default_factory=list)

    async def answer(self, request: web.Request) -> web.Response:
        query = {key: value for key, value in request.query.items() if key != "limit"}
        self.asked.append(query)
        if self.refuses and "resourceVersion" in query:
            return web.json_response({"reason": "Expired"}, status=410)
        items = [] if "fieldSelector" in query else [make_deployment()]
        return web.json_response({"metadata": {"resourceVersion": "7"}, "items": items})


class Relisted(Lists):
    """Remembers which kinds it is told to compare."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.told: list[Kind] = []

    def was_relisted(self, kind: Kind) -> None:
        self.told.append(kind)


FROM_OURS = {"fieldSelector": "metadata.name=-", "resourceVersion": "5", "resourceVersionMatch": "Exact"}


@pytest.mark.parametrize(
    ("refuses", "namespaces", "path", "asked", "compared"),
    [
        pytest.param(False, ("",), "deployments", [FROM_OURS, {}], [DEPLOYMENT], id="the first list of kopf is empty"),
        pytest.param(False, ("prod",), "namespaces/prod/deployments", [FROM_OURS, {}], [DEPLOYMENT], id="by namespace"),
        pytest.param(
            True, ("",), "deployments", [FROM_OURS, {}, {}], [DEPLOYMENT, DEPLOYMENT], id="a version that has expired"
        ),
        pytest.param(False, ("prod",), "deployments", [{}, {}], [DEPLOYMENT, DEPLOYMENT], id="one of another place"),
        pytest.param(False, ("",), "replicasets", [{}, {}], [], id="a kind of kopf's own"),
    ],
)
async def test_kopf_watches_from_where_our_own_first_list_ends(refuses, namespaces, path, asked, compared):
    kube = FakeKube(*(make_deployment(f"app-{number}") for number in range(5)))
    lists, server = Relisted(kube, Cache(lambda *_: None), namespaces), ApiServer(refuses)
    await lists.fill()
    async with serving(server.answer) as address:
        registry = build_registry(Access(address, None, nothing), Cache(lambda *_: None), lists, nothing, nothing)  # type: ignore[arg-type]
        log_in: Any = next(each.fn for each in registry._activities.get_all_handlers() if each.id.endswith("log_in"))
        async with (await log_in()).aiohttp_session as session:
            for _ in range(2):
                async with session.get(f"{address}/apis/apps/v1/{path}?limit=200") as response:
                    assert response.ok
    assert (server.asked, lists.told) == (asked, compared)
