"""Objects of one namespace that would have one name, those that the controller generates included."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

from controller.api import Problem
from controller.api.names import CANARY_KIND, Names, primary_name
from stack.app import AppConfig
from stack.config import StackConfig
from stack.gateway import Gateway
from stack.names import LOAD_TESTER
from stack.namespace import Place, Workload
from stack.workload import config_maps


def name_problems(config: StackConfig) -> Iterator[Problem]:
    """Over every namespace of the stack; in two namespaces, two objects may have one name."""
    if config.namespace.name in config.namespaces:
        message = "Duplicate value: it is namespace.name: set namespace, apps and targets"
        yield Problem(f"namespaces.{config.namespace.name}", message)
        return
    for place in config.places:
        gateways = [each for each in config.all_gateways if each.pods and each.pods.namespace == place.name]
        yield from _objects(place, gateways, has_load_tester=place in config.load_tested)
        yield from _secret_copies(place)


def _objects(place: Place, gateways: Sequence[Gateway], *, has_load_tester: bool) -> Iterator[Problem]:
    """One message for each two that collide, however many objects of theirs do."""
    owners: dict[tuple[str, str], list[str]] = defaultdict(list)
    platform = {LOAD_TESTER: "loadTester"} if has_load_tester else {}
    for name, key in (*platform.items(), *((each.name, each.key) for each in gateways)):
        owners["Deployment", name].append(key)
        owners["Service", name].append(key)
    for workload in place.workloads:
        for kind, names in _named(workload).items():
            for name in names:
                owners[kind, name].append(workload.key)
    told = set()
    for (kind, name), keys in owners.items():
        *others, last = dict.fromkeys(keys)
        if others and (last, *others) not in told:
            told.add((last, *others))
            yield Problem(last, f'Duplicate value: {", ".join(others)} has a {kind} "{name}" as well; rename one')


def _named(workload: Workload) -> Mapping[str, Sequence[str]]:
    """The names of its objects, by kind."""
    config = workload.config
    names = Names(target=workload.name, service=config.service.name or workload.name)
    maps = config_maps(workload.name, config) if isinstance(config, AppConfig) else {}
    return {
        CANARY_KIND: [names.target],
        config.kind: [names.target, names.primary],
        "Service": [names.apex_service, names.primary_service, names.canary_service],
        "ConfigMap": [each for own in maps for each in (own, primary_name(own))],
    }


def _secret_copies(place: Place) -> Iterator[Problem]:
    """A Secret of the user's that has the name of the primary's copy of another."""
    apps = {each.key: each.config for each in place.workloads if isinstance(each.config, AppConfig)}
    listed = {secret for app in apps.values() for secret in app.secrets}
    for key, app in apps.items():
        for secret in app.secrets:
            if primary_name(secret) in listed:
                message = f'Invalid value: "{secret}": its copy for the primary, {primary_name(secret)}, is in use'
                yield Problem(f"{key}.secrets", message)
