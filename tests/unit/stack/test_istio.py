"""The control planes of a stack, and what an upgrade may do to a mesh that runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from stack.istio import IstioConfig
from stack.mesh import Mesh, find_doubts, find_mesh_problems, left_behind

OLD, NEW = "1.30.4", "1.31.1"


def istio(**config: Any) -> IstioConfig:
    return IstioConfig.model_validate(config)


def during(**revisions: str) -> IstioConfig:
    return istio(revisions=revisions)


PLANES: Mapping[str, tuple[dict[str, Any], list[tuple[str, str, str, str]]]] = {
    # the stack -> tag, version, release, and the label of the namespaces, of each
    "one in place": ({"version": OLD}, [("stable", OLD, "istiod", "")]),
    "one with a name of its own": (
        {"version": OLD, "values": {"istiod": {"revision": "blue"}}},
        [("stable", OLD, "istiod", "blue")],
    ),
    "one that is called as Istio calls the one without a name": (
        {"version": OLD, "values": {"istiod": {"revision": "default"}}},
        [("stable", OLD, "istiod", "")],
    ),
    "a second one beside the one in place": (
        {"version": OLD, "revisions": {"next": NEW}},
        [("stable", OLD, "istiod", ""), ("next", NEW, "istiod-1-31", "next")],
    ),
    "two by revision": (
        {"revisions": {"stable": OLD, "next": NEW}},
        [("stable", OLD, "istiod-1-30", "stable"), ("next", NEW, "istiod-1-31", "next")],
    ),
    "one by revision": ({"revisions": {"stable": NEW}}, [("stable", NEW, "istiod-1-31", "stable")]),
    "a candidate": ({"revisions": {"stable": "1.32.0-rc.1"}}, [("stable", "1.32.0-rc.1", "istiod-1-32", "stable")]),
    "none": ({"enabled": False}, []),
}


@pytest.mark.parametrize("name", PLANES)
def test_the_control_planes_of_a_stack(name: str) -> None:
    config, planes = PLANES[name]
    found = istio(**config).control_planes
    assert [(plane.tag, plane.version, plane.release, plane.label) for plane in found] == planes


def test_the_crds_are_those_of_the_newest() -> None:
    assert [it.newest_version for it in (during(stable="1.9.9", next="1.10.0"), istio(version=OLD))] == ["1.10.0", OLD]


def test_pods_know_the_version_of_their_proxy_where_the_stack_says_it_by_revision() -> None:
    assert (during(next=NEW).proxy_for("stable"), during(next=NEW).proxy_for("next")) == ("", NEW)
    assert during(stable=NEW).proxy_for("stable") == NEW
    assert istio(enabled=False, existing={"revision": "stable"}).proxy_for("stable") == ""


def mesh(planes: Mapping[str, str], kubernetes: str = "1.34.1", **proxies: Sequence[str]) -> Mesh:
    return Mesh(kubernetes, planes, {key.replace("_", "-").removeprefix("r"): pods for key, pods in proxies.items()})


SIX = [f"prod/app-{number}" for number in range(6)]

REFUSED: Mapping[str, tuple[IstioConfig, Mesh, list[str]]] = {
    "nothing is there yet": (istio(version=NEW), mesh({}), []),
    "nothing changes": (istio(version=NEW), mesh({"default": NEW}, default=SIX), []),
    "a patch, in place": (istio(version="1.31.2"), mesh({"default": NEW}, default=SIX), []),
    "the patch before": (istio(version="1.31.0"), mesh({"default": NEW}, default=SIX), []),
    "the next minor version, in place": (istio(version=NEW), mesh({"default": OLD}, default=SIX), []),
    "two minor versions at once, in place": (
        istio(version=NEW),
        mesh({"default": "1.29.2-distroless"}),
        [
            (
                "Istio 1.29.2-distroless cannot become 1.31.1 in place: take 1.30 first, or put the new one beside "
                "it with istio.revisions (docs/istio-upgrades.md)"
            )
        ],
    ),
    "back, in place": (
        istio(version=OLD),
        mesh({"default": NEW}),
        ["Istio 1.31.1 cannot go back to 1.30.4 in place (docs/istio-upgrades.md)"],
    ),
    "a version that nobody can read": (istio(version=NEW), mesh({"default": "latest"}), []),
    "a patch by revision": (during(stable="1.31.2"), mesh({"1-31": NEW}, r1_31=SIX), []),
    "a second one beside": (during(stable=OLD, next=NEW), mesh({"1-30": OLD}, r1_30=SIX), []),
    "the old one goes, and has no pods": (during(stable=NEW), mesh({"1-30": OLD, "1-31": NEW}, r1_31=SIX), []),
    "the old one would go, and has a pod": (
        during(stable=NEW),
        mesh({"1-30": OLD, "1-31": NEW}, r1_30=["prod/app-0"], r1_31=SIX),
        [
            (
                "Istio 1.30.4 (revision 1-30) would be removed, and 1 pod still has its proxy: prod/app-0; move them "
                "first (docs/istio-upgrades.md)"
            )
        ],
    ),
    "the one in place would go, and has many": (
        during(stable=NEW),
        mesh({"default": OLD, "1-31": NEW}, default=SIX),
        [
            (
                "Istio 1.30.4 (revision default) would be removed, and 6 pods still have its proxy: prod/app-0, "
                "prod/app-1, prod/app-2, prod/app-3, prod/app-4, ...; move them first (docs/istio-upgrades.md)"
            )
        ],
    ),
    "the new one would go, with pods on it": (
        during(stable=OLD),
        mesh({"1-30": OLD, "1-31": NEW}, r1_31=["prod/app-0"]),
        [
            (
                "Istio 1.31.1 (revision 1-31) would be removed, and 1 pod still has its proxy: prod/app-0; move them "
                "first (docs/istio-upgrades.md)"
            )
        ],
    ),
    "one of somebody else stays": (istio(version=NEW), mesh({"default": NEW, "team": OLD}, team=SIX), []),
    "a cluster that is too old": (
        istio(version=OLD),
        mesh({}, "1.31.9"),
        ["Istio 1.30.4 needs Kubernetes 1.32 or newer, and the cluster has 1.31.9: upgrade the cluster first"],
    ),
    "a cluster that is too old for a version that came later": (
        istio(version="1.40.0"),
        mesh({}, "1.31.9"),
        ["Istio 1.40.0 needs Kubernetes 1.32 or newer, and the cluster has 1.31.9: upgrade the cluster first"],
    ),
    "one of two is too new for the cluster": (
        during(stable="1.29.1", next=OLD),
        mesh({"1-29": "1.29.1"}, "1.31.9"),
        ["Istio 1.30.4 needs Kubernetes 1.32 or newer, and the cluster has 1.31.9: upgrade the cluster first"],
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_a_mesh_may_not_become_is_said(name: str) -> None:
    config, running, problems = REFUSED[name]
    assert [*find_mesh_problems(config, running)] == problems


def test_a_kubernetes_that_istio_was_not_tested_with_is_a_doubt() -> None:
    said = "Istio 1.30.4 is tested with Kubernetes up to 1.36; the cluster has 1.37.0"
    assert [*find_doubts(istio(version=OLD), mesh({}, "1.37.0"))] == [said]
    assert [*find_doubts(istio(version=OLD), mesh({}, "1.36.9"))] == []
    assert [*find_doubts(istio(version="1.99.0"), mesh({}, "1.99.0"))] == []


def test_who_is_left_behind_has_another_proxy_than_the_newest() -> None:
    running = mesh({}, default=["a/1"], r1_30=["b/1"], r1_31=["c/1"])
    assert left_behind(during(stable=OLD, next=NEW), running) == {"default": ["a/1"], "1-30": ["b/1"]}
    assert left_behind(istio(version=NEW), running) == {"1-30": ["b/1"], "1-31": ["c/1"]}


def test_of_local_charts_whose_path_says_no_version_nothing_is_claimed(tmp_path: Path) -> None:
    def charts(folder: Path) -> Path:
        for chart in ("base", "istiod", "gateway"):
            (folder / chart).mkdir(parents=True)
            (folder / chart / "Chart.yaml").touch()
        return folder

    running = mesh({"default": "1.28.0"}, "1.29.0")
    plain = istio(version=OLD, chartPath=charts(tmp_path / "charts"))
    assert ([*find_mesh_problems(plain, running)], [*find_doubts(plain, mesh({}, "1.99.0"))]) == ([], [])
    charts(tmp_path / OLD)
    named = istio(version=OLD, chartPath=tmp_path / "{version}")
    assert len([*find_mesh_problems(named, running)]) == 2
