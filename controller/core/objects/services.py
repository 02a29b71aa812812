"""The three Services: the apex that clients call, and one for each side's pods (flagger/pkg/router, v1.44).

=======  =====================  ==========================================
apex     the primary's pods     may have been there before: then adopted
primary  the primary's pods     ``-primary``
canary   the target's pods      ``-canary``
=======  =====================  ==========================================
"""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

from controller.api.canary import Canary
from controller.core.model import Facts, Manifest
from controller.core.objects.kinds import as_workload
from controller.core.objects.manifests import RECONCILE_DISABLED, Metadata, build_object, canonical_json
from controller.core.objects.ownership import ADOPTED_BY, is_owned
from controller.core.objects.ports import ADOPTED_PORTS, Port, adopted_ports, merge_ports, primary_ports, target_ports
from controller.core.objects.selectors import primary_selector, selector_label, service_selector

Side: TypeAlias = Literal["apex", "primary", "canary"]

ORIGINAL_CONFIGURATION = "flagger.kubernetes.io/original-configuration"
"""Annotation that keeps what an adopted object was like before the Canary (Flagger)."""


def build_service(facts: Facts, side: Side) -> dict[str, Any]:
    """The Service of one side.

    An adopted apex keeps everything but its selector and the ports of the Canary.
    """
    assert facts.target is not None  # noqa: S101  # decide acts on no Canary without a target
    canary, service = facts.canary, facts.canary.spec.service
    name = service_name(canary, side)
    live = facts.generated.get(("Service", name))
    adopted = live is not None and not is_owned(canary, live)
    spec = dict(live["spec"]) if live else {"type": "ClusterIP"} | ({"clusterIP": "None"} if service.headless else {})
    ports = side_ports(facts, side)
    spec |= {"ports": _with_node_ports(ports, live), "selector": _selector(facts, side, live)}
    if service.traffic_distribution:
        spec["trafficDistribution"] = service.traffic_distribution
    elif not adopted:
        spec.pop("trafficDistribution", None)
    label = {} if adopted else {selector_label(facts.target, facts.options.selector_labels)[0]: name}
    marks = _adoption(facts, live) if live is not None and adopted else {}
    return build_object(
        canary,
        live,
        api_version="v1",
        kind="Service",
        name=name,
        labels=label,
        annotations={**RECONCILE_DISABLED, **marks},
        given=None if adopted else _given(canary, side),
        unmanaged=service.unmanaged_metadata,
        spec=spec,
    )


def service_name(canary: Canary, side: Side) -> str:
    """What the Service of a side is called."""
    names = canary.names
    return {"apex": names.apex_service, "primary": names.primary_service, "canary": names.canary_service}[side]


def side_ports(facts: Facts, side: Side) -> tuple[Port, ...]:
    """The ports of a side's pods, and those that an adopted apex has of its own: they lead to the same pods."""
    own = target_ports(facts.canary, facts.target) if side == "canary" else primary_ports(facts)
    return merge_ports(own, adopted_ports(facts))


def _selector(facts: Facts, side: Side, live: Manifest | None) -> dict[str, str]:
    """The labels of a side's pods. A Service is never led from pods that may serve to a primary that does not."""
    assert facts.target is not None  # noqa: S101  # decide acts on no Canary without a target
    if side == "canary":
        return service_selector(facts.target)
    serves = facts.primary is not None and as_workload(facts.primary).counts.available
    if live is not None and live["spec"].get("selector") and not serves:
        return dict(live["spec"]["selector"])
    if facts.primary is not None:
        return service_selector(facts.primary)
    return primary_selector(facts.target, facts.options.selector_labels)


def _with_node_ports(ports: tuple[Port, ...], live: Manifest | None) -> list[dict[str, Any]]:
    """The API server gave the node ports of a NodePort Service; leaving them out would move them.

    A port is known by its number, or else by its name.
    """
    given = [port for port in ((live or {}).get("spec", {}).get("ports") or ()) if port.get("nodePort")]
    numbers = {(port["port"], port.get("protocol", "TCP")): port["nodePort"] for port in given}
    wanted = {(port["port"], port["protocol"]) for port in ports}
    names = {port.get("name"): port["nodePort"] for port in given if (port["port"], port["protocol"]) not in wanted}
    return [
        {**port, "nodePort": node_port}
        if (node_port := numbers.get((port["port"], port["protocol"])) or names.get(port["name"]))
        else port
        for port in ports
    ]


def _given(canary: Canary, side: Side) -> Metadata:
    service = canary.spec.service
    metadata = {"apex": service.apex, "primary": service.primary, "canary": service.canary}[side]
    return Metadata(metadata.labels, metadata.annotations)


def _adoption(facts: Facts, live: Manifest) -> dict[str, str]:
    """The annotations of an adopted Service: whose it is now, which ports are ours, and what it was like before."""
    own = ",".join(f"{port['port']}/{port['protocol']}" for port in primary_ports(facts))
    marks = {ADOPTED_BY: facts.canary.name, ADOPTED_PORTS: own}
    if ORIGINAL_CONFIGURATION in (live["metadata"].get("annotations") or {}):
        return marks
    original = {key: live["spec"][key] for key in ("ports", "selector") if key in live["spec"]}
    return {**marks, ORIGINAL_CONFIGURATION: canonical_json(original)}
