"""What is wrong with the page of a stack: an address that nobody can open, and a host that is not its own."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

from controller.api import Problem
from stack.config import StackConfig
from stack.page import PageGatewayConfig

_AUTHORIZERS = ("envoyExtAuthzHttp", "envoyExtAuthzGrpc")


def page_problems(config: StackConfig) -> Iterator[Problem]:
    """What has no effect where there is no page."""
    page = config.controller.page
    for key in sorted(page.model_fields_set & {"url", "gateway"}):
        if not page.enabled and getattr(page, key) is not None:
            yield Problem(f"controller.page.{key}", "Forbidden: needs page.enabled: true")


def entrance_problems(config: StackConfig) -> Iterator[Problem]:
    """Of its way through the gateway."""
    if gateway := config.controller.page.gateway:
        yield from _host(config, gateway)
        yield from _provider(config, gateway.auth.provider)


def _host(config: StackConfig, gateway: PageGatewayConfig) -> Iterator[Problem]:
    host, key, url = gateway.host, "controller.page.gateway.host", config.controller.page.url
    if not config.page_gateways:
        served = [f"{each.key}.hosts" for each in config.all_gateways]
        message = f"no Gateway of this stack serves it ({', '.join(served) or 'there is none'})"
        yield Problem(key, f'Invalid value: "{host}": {message}')
    if url and urlsplit(url).hostname != host:
        message = f"people would not come to {host}, where its gateway is; leave it out"
        yield Problem("controller.page.url", f'Invalid value: "{url}": {message}')
    for workload in config.workloads:
        if host in {each.lower() for each in workload.config.service.hosts}:
            message = f"{key} is the page's; give one of them another host"
            yield Problem(f"{workload.key}.service.hosts", f'Duplicate value: "{host}": {message}')


def _provider(config: StackConfig, name: str | None) -> Iterator[Problem]:
    """Of an Istio that is there already nobody knows here what its mesh config has."""
    if name is None or not config.istio.enabled:
        return
    mesh = config.istio.values.istiod.get("meshConfig") or {}
    providers = mesh.get("extensionProviders") or []
    known = [str(each.get("name")) for each in providers if any(each.get(kind) for kind in _AUTHORIZERS)]
    if name not in known:
        where = "istio.values.istiod.meshConfig.extensionProviders"
        message = f"{where} has no such authorizer; it has {', '.join(known) or 'none'}"
        yield Problem("controller.page.gateway.auth.provider", f'Invalid value: "{name}": {message}')
