"""The ports of a workload's pods, as a Service can have them: names, numbers and protocols once each."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.core.objects.ports import is_rolled_out, target_ports
from tests.builders import expired_status, make_canary, make_deployment, ready_status, waiting_status


def container(name: str, *ports: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"name": name, "image": name, "ports": list(ports), **fields}


def port(number: int, name: str = "", protocol: str = "") -> dict[str, Any]:
    given = {"name": name, "protocol": protocol}
    return {"containerPort": number, **{key: value for key, value in given.items() if value}}


def discovered(containers: list[Any], started: list[Any] | None = None, **service: Any) -> list[str]:
    """The ports of the Service as ``NAME NUMBER/PROTOCOL -> TARGET``."""
    target = make_deployment()
    target["spec"]["template"]["spec"] = {"containers": containers, "initContainers": started or []}
    canary = make_canary(service={"port": 80, "targetPort": 9898, "portDiscovery": True, **service})
    return [f"{p['name']} {p['port']}/{p['protocol']} -> {p['targetPort']}" for p in target_ports(canary, target)]


MAIN = "http 80/TCP -> 9898"
DISCOVERIES: dict[str, tuple[list[Any], list[Any], list[str]]] = {
    # name: (containers, init containers, ports beside the main one)
    "none": ([container("app")], [], []),
    "null": ([{"name": "app", "ports": None}], [], []),
    "the target port by number": ([container("app", port(9898, "web"))], [], []),
    "the same number by UDP": ([container("app", port(9898, "quic", "UDP"))], [], ["quic 9898/UDP -> 9898"]),
    "the service's own number": ([container("app", port(80, "plain"))], [], []),
    "a port named as the service's": ([container("app", port(9003, "http"))], [], ["http-9003 9003/TCP -> 9003"]),
    "two ports of one name": (
        [container("app", port(1, "grpc")), container("side", port(2, "grpc"))],
        [],
        ["grpc 1/TCP -> 1", "grpc-2 2/TCP -> 2"],
    ),
    "one number twice": (
        [container("app", port(1, "a")), container("side", port(1, "b"))],
        [],
        ["a 1/TCP -> 1"],
    ),
    "TCP and UDP": (
        [container("dns", port(53), port(53, protocol="UDP"))],
        [],
        ["tcp-dns-0 53/TCP -> 53", "udp-dns-1 53/UDP -> 53"],
    ),
    "SCTP": ([container("app", port(5, "s", "SCTP"))], [], ["s 5/SCTP -> 5"]),
    "the proxy's": ([container("istio-proxy", port(15090)), container("envoy", port(1))], [], []),
    "a sidecar that is started first": (
        [container("app")],
        [container("metrics", port(9100, "metrics"), restartPolicy="Always"), container("migrate", port(7))],
        ["metrics 9100/TCP -> 9100"],
    ),
}


@pytest.mark.parametrize("name", DISCOVERIES)
def test_ports_that_are_discovered(name):
    containers, started, expected = DISCOVERIES[name]
    assert discovered(containers, started) == [MAIN, *expected]


def test_the_target_port_by_name_is_not_discovered_again():
    containers = [container("app", port(8080, "web"), port(9000, "grpc"))]
    assert discovered(containers, targetPort="web") == ["http 80/TCP -> web", "grpc 9000/TCP -> 9000"]


def test_without_discovery_there_is_one_port():
    assert discovered([container("app", port(1))], portDiscovery=False) == [MAIN]


PORTS = st.builds(
    port, st.integers(1, 4), st.sampled_from(["", "http", "a", "a-2"]), st.sampled_from(["", "TCP", "UDP"])
)


@given(st.lists(st.lists(PORTS, max_size=4), min_size=1, max_size=3))
def test_whatever_containers_declare_the_api_server_accepts_the_service(declared):
    target = make_deployment()
    containers = [container(f"c{index}", *ports) for index, ports in enumerate(declared)]
    target["spec"]["template"]["spec"] = {"containers": containers}
    ports = target_ports(make_canary(service={"port": 2, "portDiscovery": True}), target)
    assert len({p["name"] for p in ports}) == len({(p["port"], p["protocol"]) for p in ports}) == len(ports)
    assert all(len(p["name"]) <= 63 for p in ports)


@pytest.mark.parametrize(
    ("status", "rolled_out"),
    [
        (ready_status(2, 1), True),
        (ready_status(2, 0), False),
        (ready_status(0, 1), False),
        (waiting_status(2, 1), False),
        (expired_status(2, 1), False),
        ({}, False),
        (None, False),
    ],
)
def test_when_all_pods_of_a_deployment_run_its_newest_template(status, rolled_out):
    assert is_rolled_out({**make_deployment(), "status": status}) is rolled_out
