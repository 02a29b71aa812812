"""``canary proxies``: which pods have the proxy of which istiod."""

from __future__ import annotations

import json
from typing import Any

import pytest

from controller.cli import proxies
from controller.cli.options import Output
from controller.shell.kubernetes.errors import Rejected
from controller.shell.mesh import find_proxies
from tests.builders import make_deployment
from tests.unit.shell.fakes import FakeKube


def istiod(image: str, **labels: str) -> dict[str, Any]:
    made = make_deployment(f"istiod{labels.get('revision', '')}", image=image)
    made["metadata"] |= {"namespace": "istio-system"}
    made["metadata"]["labels"] = {"app": "istiod"} | (
        {"istio.io/rev": labels["revision"]} if "revision" in labels else {}
    )
    made["metadata"]["labels"] |= {"app.kubernetes.io/version": labels["version"]} if "version" in labels else {}
    return made


def pod(name: str, revision: str = "", owner: str = "ReplicaSet") -> dict[str, Any]:
    annotations = {"annotations": {"istio.io/rev": revision}} if revision else {}
    metadata = {"name": name, "namespace": "prod", "ownerReferences": [{"kind": owner}], **annotations}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {}}


@pytest.mark.parametrize(
    ("image", "labels", "version"),
    [
        ("docker.io/istio/pilot:1.31.1", {}, "1.31.1"),
        ("registry.example:5000/istio/pilot:1.31.1-distroless", {}, "1.31.1-distroless"),
        ("registry.example:5000/istio/pilot@sha256:0123", {"version": "1.31.1"}, "1.31.1"),
        ("registry.example/istio/pilot@sha256:0123", {}, "unknown"),
    ],
)
async def test_the_version_of_an_istiod_is_that_of_its_image(image: str, labels: dict[str, str], version: str) -> None:
    assert (await find_proxies(FakeKube(istiod(image, **labels))))["controlPlanes"] == {"default": version}


async def test_pods_are_told_apart_by_who_has_injected_them() -> None:
    kube = FakeKube(
        istiod("istio/pilot:1.30.4"),
        istiod("istio/pilot:1.31.1", revision="1-31"),
        pod("b", "default"),
        pod("a", "default"),
        pod("c", "1-31"),
        pod("d", "gone"),
        pod("plain"),
        pod("done", "default", owner="Job"),
    )
    assert await find_proxies(kube) == {
        "controlPlanes": {"default": "1.30.4", "1-31": "1.31.1"},
        "proxies": {"1-31": ["prod/c"], "default": ["prod/a", "prod/b"], "gone": ["prod/d"]},
    }


def test_who_may_not_see_all_pods_is_told_what_it_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    async def ask(_context: str) -> dict[str, Any]:
        raise Rejected("GET /api/v1/pods", 403, "forbidden")

    monkeypatch.setattr(proxies, "ask_mesh", ask)
    with pytest.raises(SystemExit, match="it takes the right to list Deployments of istio-system, and all pods"):
        proxies.proxies()


def test_a_table_has_a_line_for_each_namespace(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    found = {
        "kubernetes": "1.36.3",
        "controlPlanes": {"default": "1.30.4", "1-31": "1.31.1", "1-32": "1.32.0"},
        "proxies": {"default": ["prod/a", "prod/b", "team/c"], "1-31": ["prod/d"], "gone": ["prod/e"]},
    }

    async def ask(context: str) -> dict[str, Any]:
        assert context == "here"
        return found

    monkeypatch.setattr(proxies, "ask_mesh", ask)
    proxies.proxies("here", Output.TABLE)
    assert [line.split() for line in capsys.readouterr().out.splitlines()] == [
        ["REVISION", "ISTIOD", "NAMESPACE", "PODS"],
        ["1-31", "1.31.1", "prod", "1"],
        ["1-32", "1.32.0", "-", "0"],
        ["default", "1.30.4", "prod", "2"],
        ["default", "1.30.4", "team", "1"],
        ["gone", "none", "prod", "1"],
    ]
    proxies.proxies("here", Output.JSON)
    assert json.loads(capsys.readouterr().out) == found
