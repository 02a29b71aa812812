"""How pods are reached: the ports of the three Services.

Ports belong to the pods. A change of ``service.port``, ``targetPort`` and their like is part of a revision: the
canary's Service follows the target at once, those of the primary when the revision is promoted. (Flagger changes all
three at once, and the primary's pods do not listen where the new version does.)
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, TypeAlias

from controller.api.canary import Canary
from controller.api.names import GROUP
from controller.core.model import Facts, Manifest
from controller.core.objects.kinds import as_workload
from controller.core.objects.ownership import is_owned

Port: TypeAlias = dict[str, Any]
"""A port of a Service, without ``nodePort``."""

PORTS_ANNOTATION = f"{GROUP}/service-ports"
"""On the primary: the ports that its pods were promoted with."""

ADOPTED_PORTS = f"{GROUP}/adopted-ports"
"""On an adopted Service: the ports that are the Canary's, as in ``9898/TCP,53/UDP``; the others are its own."""

_PROXY_CONTAINERS = ("istio-proxy", "envoy")
_LONGEST_PORT_NAME = 63
_FIELDS = ("name", "port", "protocol", "targetPort", "appProtocol")


def target_ports(canary: Canary, target: Manifest | None) -> tuple[Port, ...]:
    """The ports of the target's pods: that of the Canary, then with ``portDiscovery`` those of the containers."""
    service = canary.spec.service
    first: Port = {
        "name": service.port_name,
        "port": service.port,
        "protocol": "TCP",
        "targetPort": service.target_port or service.port,
    }
    if service.app_protocol:
        first["appProtocol"] = service.app_protocol
    if target is None or not service.port_discovery:
        return (first,)
    return merge_ports([first], _discovered(target, first["targetPort"]))


def primary_ports(facts: Facts) -> tuple[Port, ...]:
    """The ports of the primary's pods: those of the revision that was promoted.

    They change once all of the primary's pods run it. A primary that Flagger made has them in its Service.
    """
    primary, live = facts.primary, _live_ports(facts)
    recorded = _recorded(primary) if primary is not None else ()
    if live and (primary is None or not is_rolled_out(primary)):
        return live
    return recorded or live or target_ports(facts.canary, facts.target)


def _live_ports(facts: Facts) -> tuple[Port, ...]:
    """The ports of the primary's Service that are the Canary's."""
    service = facts.generated.get(("Service", facts.canary.names.primary_service))
    if service is None or not is_owned(facts.canary, service):
        return ()
    others = {_place(port) for port in adopted_ports(facts)} if _marked_ports(facts) else set()
    plain = ({key: port[key] for key in _FIELDS if key in port} for port in service["spec"].get("ports") or ())
    return tuple(port for port in plain if _place(port) not in others)


def adopted_ports(facts: Facts) -> tuple[Port, ...]:
    """The ports that an adopted apex has of its own; all of them before it is adopted."""
    apex = facts.generated.get(("Service", facts.canary.names.apex_service))
    if apex is None or is_owned(facts.canary, apex):
        return ()
    ours = _marked_ports(facts)
    return tuple(
        {
            **{key: value for key, value in port.items() if key != "nodePort"},
            "name": port.get("name") or f"{port.get('protocol', 'TCP').lower()}-{port['port']}",
            "protocol": port.get("protocol", "TCP"),
        }
        for port in apex["spec"].get("ports") or ()
        if _place(port) not in ours
    )


def _marked_ports(facts: Facts) -> list[str]:
    apex = facts.generated.get(("Service", facts.canary.names.apex_service)) or {"metadata": {}}
    marks = (apex["metadata"].get("annotations") or {}).get(ADOPTED_PORTS, "")
    return marks.split(",") if marks else []


def _place(port: Manifest) -> str:
    return f"{port['port']}/{port.get('protocol', 'TCP')}"


def moves_port(facts: Facts) -> bool:
    """Whether the target's pods serve where the primary's do not: no Service then suits both while pods are replaced.

    A named ``targetPort`` is looked up in each pod, and never moves.
    """
    before, after = primary_ports(facts)[0], target_ports(facts.canary, facts.target)[0]
    return bool(before["targetPort"] != after["targetPort"])


def is_rolled_out(manifest: Manifest) -> bool:
    """Whether all pods of a workload, at least one, run its newest template and serve."""
    workload = as_workload(manifest)
    counts = workload.counts
    return workload.is_observed and bool(counts.available) and counts.updated == counts.total


def merge_ports(first: Sequence[Port], others: Iterable[Port]) -> tuple[Port, ...]:
    """``first``, and of ``others`` those on another number or protocol; names that are taken get the number too."""
    ports, names = list(first), {port["name"] for port in first}
    taken = {_place(port) for port in first}
    for port in others:
        if _place(port) in taken:
            continue
        name = port["name"] if port["name"] not in names else f"{port['name']}-{port['port']}"
        name = name if name not in names else f"{name}-{port['protocol'].lower()}"
        ports.append({**port, "name": name[:_LONGEST_PORT_NAME]})
        names.add(name)
        taken.add(_place(port))
    return tuple(ports)


def _discovered(target: Manifest, target_port: int | str) -> Iterator[Port]:
    """The ports that the target's containers declare, sidecars included, the mesh's proxy left out.

    Flagger's ``portDiscovery``, which calls every protocol TCP; a port without a name is called as Flagger calls it.
    """
    for container in _serving_containers(target["spec"]["template"]["spec"]):
        for index, port in enumerate(container.get("ports") or ()):
            protocol, number = port.get("protocol") or "TCP", port["containerPort"]
            if protocol == "TCP" and target_port in (number, port.get("name")):
                continue
            name = port.get("name") or f"{protocol.lower()}-{container['name'][:50]}-{index}"
            yield {"name": name, "port": number, "protocol": protocol, "targetPort": number}


def _serving_containers(pod_spec: Manifest) -> Iterator[Manifest]:
    """Containers that run as long as the pod: an init container does when it is always restarted."""
    started = (item for item in pod_spec.get("initContainers") or () if item.get("restartPolicy") == "Always")
    for container in (*pod_spec["containers"], *started):
        if container["name"] not in _PROXY_CONTAINERS:
            yield container


def _recorded(primary: Manifest) -> tuple[Port, ...]:
    """The ports that the primary was promoted with; none where Flagger made it, or somebody broke the annotation."""
    text = (primary["metadata"].get("annotations") or {}).get(PORTS_ANNOTATION, "[]")
    try:
        return tuple(dict(port) for port in json.loads(text))
    except (ValueError, TypeError):
        return ()
