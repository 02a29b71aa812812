"""Which app the demonstration takes, and that it leaves nothing on a cluster that is not its own."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from contextlib import nullcontext
from typing import Any

import pytest
from rich.console import Console

from sandbox.demo import Ground, demonstrate
from sandbox.running import SandboxError

PODINFO = "ghcr.io/stefanprodan/podinfo:6.1.0"
WEIGHTED = {"stepWeight": 5}


def ground(
    image: str, analysis: Mapping[str, Any], deployed: list[Mapping[str, Any]], namespace: str = "prod"
) -> Ground:
    """A cluster with one app, on which every `pulumi up` fails; `deployed` gets the configuration of each."""
    metadata = {"namespace": namespace, "name": "backend"}
    primary = {
        "kind": "Deployment",
        "metadata": {**metadata, "name": "backend-primary"},
        "spec": {"template": {"spec": {"containers": [{"name": "backend", "image": image}]}}},
    }
    canary = {
        "apiVersion": "flagger.app/v1beta1",
        "kind": "Canary",
        "metadata": metadata,
        "spec": {
            "targetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "backend"},
            "service": {"port": 80},
            "analysis": {"interval": "1m", "threshold": 5, **analysis},
        },
    }

    def kubectl(*arguments: str, check: bool = True) -> str:
        return json.dumps({"items": [canary if arguments[1].startswith("canaries") else primary]})

    def deploy(extra: Mapping[str, Any]) -> None:
        deployed.append(extra)
        raise SandboxError("pulumi up ended with status 1")

    return Ground(
        canaries=[f"{namespace}/backend"],
        kubectl=kubectl,
        deploy=deploy,
        prometheus=lambda: nullcontext("http://127.0.0.1:1"),
        page="the page of {canary}",
        up="make up",
    )


@pytest.mark.parametrize(
    ("image", "analysis"),
    [("registry.example/shop:1.4.2", WEIGHTED), (PODINFO, {"iterations": 10})],
    ids=["another program", "not by weights"],
)
def test_a_stack_without_an_app_that_can_show_it_is_told_what_to_do(image: str, analysis: Mapping[str, Any]) -> None:
    deployed: list[Mapping[str, Any]] = []
    with pytest.raises(SandboxError, match=r"the demo needs podinfo.* Name `backend: \{tag: 6\.1\.0\}`.*`make up`"):
        demonstrate(ground(image, analysis, deployed), Console(file=io.StringIO()), puts_back=True)
    assert deployed == []


@pytest.mark.parametrize(("puts_back", "last"), [(True, [{}]), (False, [])])
def test_what_was_there_is_put_back_however_the_demo_ends(puts_back: bool, last: list[Mapping[str, Any]]) -> None:
    deployed: list[Mapping[str, Any]] = []
    with pytest.raises(SandboxError, match="pulumi up ended"):
        demonstrate(ground(PODINFO, WEIGHTED, deployed), Console(file=io.StringIO()), puts_back=puts_back)
    good, *after = deployed
    assert good == {
        "canary-on-istio:apps": {
            "backend": {
                "image": "ghcr.io/stefanprodan/podinfo",
                "tag": "6.1.2",
                "analysis": {"interval": "10s", "stepWeight": 10},
            }
        }
    }
    assert after == last
