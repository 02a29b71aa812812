"""How what is inside a cluster is reached from this machine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from sandbox.deploy.reach import reached, way_to
from sandbox.running import SandboxError


@pytest.mark.parametrize(
    ("ports", "balancer", "said"),
    [
        ([{"name": "http2", "port": 80}], [], "kubectl -n ingress port-forward service/gateway 8080:80"),
        ([{"name": "http2", "port": 8000}], [{"ip": "192.0.2.1"}], "http://192.0.2.1:8000/"),
        ([{"name": "http", "port": 80}], [{"hostname": "lb.example"}], "http://lb.example:80/"),
    ],
)
def test_a_service_is_opened_by_its_address_or_by_a_forwarded_port(
    ports: Sequence[Any], balancer: Sequence[Mapping[str, str]], said: str
) -> None:
    service = {
        "metadata": {"namespace": "ingress", "name": "gateway"},
        "spec": {"ports": [{"name": "status-port", "port": 15021}, *ports]},
        "status": {"loadBalancer": {"ingress": balancer}},
    }
    assert way_to(service, 8080) == said


def kubectl(folder: Path, script: str) -> Mapping[str, str]:
    """An environment whose kubectl is this script."""
    program = folder / "kubectl"
    program.write_text(f'#!/bin/sh\necho "$@" > {folder}/arguments\n{script}\n')
    program.chmod(0o755)
    return {"PATH": f"{folder}:/usr/bin:/bin"}


def test_a_server_inside_the_cluster_is_reached_through_a_forwarded_port(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    env = kubectl(tmp_path, "echo 'Forwarding from 127.0.0.1:41234 -> 9090'; exec sleep 60")
    monkeypatch.setenv("PATH", env["PATH"])
    with reached("http://prometheus.istio-system:9090", env) as address:
        assert address == "http://127.0.0.1:41234"
    assert (tmp_path / "arguments").read_text().split() == [
        "port-forward",
        "--namespace=istio-system",
        "service/prometheus",
        ":9090",
    ]
    with reached("https://prometheus.example.org", env) as address:
        assert address == "https://prometheus.example.org"


def test_a_port_that_cannot_be_forwarded_is_an_error_with_the_cause(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    env = kubectl(tmp_path, "echo 'services \"prometheus\" not found' >&2; exit 1")
    monkeypatch.setenv("PATH", env["PATH"])
    with (
        pytest.raises(SandboxError, match='cannot be reached: services "prometheus" not found'),
        reached("http://prometheus.istio-system:9090", env),
    ):
        pass
