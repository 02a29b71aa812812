from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from stack.charts import gateway_values, istio_values, tag_webhooks
from stack.gateway import GatewayConfig, public_gateway
from stack.istio import IstioConfig


def values_of(istiod: dict[str, Any] | None = None, gateway: dict[str, Any] | None = None) -> Any:
    istio = IstioConfig.model_validate({"values": {"istiod": istiod or {}, "gateway": gateway or {}}})
    return values_for(istio)


def values_for(istio: IstioConfig) -> dict[str, Any]:
    """The values of every release, with those of the pods of `gateway`."""
    public = public_gateway(GatewayConfig(), istio)
    assert public.pods
    return {"istio-gateway": gateway_values(istio, public.servers, public.pods), **istio_values(istio)}


@pytest.mark.parametrize(
    ("labels", "selector"),
    [
        ({}, "gateway"),
        ({"istio": "edge"}, "edge"),
        ({"istio": ""}, "gateway"),
        ({"team": "shop"}, "gateway"),
    ],
)
def test_the_gateway_is_selected_by_the_label_that_its_pods_get(labels: dict[str, str], selector: str) -> None:
    istio = IstioConfig.model_validate({"values": {"gateway": {"labels": labels}}})
    # A label without a value is the chart's default, the release without `istio-`.
    assert (values_for(istio)["istio-gateway"]["labels"]["istio"] or "gateway") == selector
    assert public_gateway(GatewayConfig(), istio).selector == {"istio": selector}


@pytest.mark.parametrize("istiod", [{}, {"revision": ""}, {"revision": "default"}])
def test_the_default_revision_needs_no_value(istiod: dict[str, str]) -> None:
    values = values_of(istiod)
    assert "revision" not in values["istio-gateway"]
    assert "defaultRevision" not in values["istio-base"]


def test_a_revision_of_istiod_reaches_the_other_charts_where_they_set_none() -> None:
    values = values_of({"revision": "1-31"})
    assert (values["istio-base"], values["istio-gateway"]["revision"]) == ({"defaultRevision": "1-31"}, "1-31")
    assert values_of({"revision": "1-31"}, {"revision": "1-30"})["istio-gateway"]["revision"] == "1-30"


def test_each_istiod_has_its_own_revision_and_version_and_what_the_stack_says_of_all() -> None:
    istio = IstioConfig.model_validate(
        {
            "revisions": {"stable": "1.30.4", "next": "1.31.1"},
            "gatewayRevision": "next",
            "values": {"istiod": {"global": {"tag": "{version}-distroless"}, "env": {"A": "b"}}},
        }
    )
    values = values_for(istio)
    assert [*values] == ["istio-gateway", "istio-base", "istiod-1-30", "istiod-1-31"]
    assert values["istio-base"] == {"defaultRevision": "1-30"}
    assert (values["istio-gateway"]["revision"], values["istio-gateway"]["podAnnotations"]) == (
        "next",
        {"canary-on-istio/proxy": "1.31.1"},
    )
    for release, revision, tag in (("istiod-1-30", "1-30", "1.30.4"), ("istiod-1-31", "1-31", "1.31.1")):
        its = values[release]
        assert (its["revision"], its["global"]["tag"], its["env"]) == (revision, f"{tag}-distroless", {"A": "b"})


def injects(tag: str, namespace: Mapping[str, str], pod: Mapping[str, str]) -> list[str]:
    """The webhooks of a tag that take a pod, as Kubernetes reads their selectors."""
    plane = IstioConfig.model_validate({"revisions": {"stable": "1.31.1"}}).control_planes[0]

    def selects(selector: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
        meaning = {
            "In": lambda key, values: labels.get(key) in values,
            "NotIn": lambda key, values: labels.get(key) not in values,
            "DoesNotExist": lambda key, values: key not in labels and not values,
        }
        return all(meaning[it["operator"]](it["key"], it.get("values", [])) for it in selector["matchExpressions"])

    return [
        hook["name"].partition(".sidecar")[0]
        for hook in tag_webhooks(tag, plane)
        if selects(hook["namespaceSelector"], namespace) and selects(hook["objectSelector"], pod)
    ]


OFF, ON = {"sidecar.istio.io/inject": "false"}, {"sidecar.istio.io/inject": "true"}


@pytest.mark.parametrize(
    ("tag", "namespace", "pod", "by"),
    [
        ("stable", {"istio.io/rev": "stable"}, {}, ["rev.namespace"]),
        ("stable", {"istio.io/rev": "stable"}, OFF, []),
        ("stable", {"istio.io/rev": "next"}, {"istio.io/rev": "stable"}, []),
        ("stable", {}, {"istio.io/rev": "stable"}, ["rev.object"]),
        ("stable", {}, {}, []),
        ("stable", {"istio-injection": "enabled", "istio.io/rev": "stable"}, {}, []),
        ("default", {"istio-injection": "enabled"}, {}, ["namespace"]),
        ("default", {"istio-injection": "enabled"}, OFF, []),
        ("default", {"istio-injection": "disabled"}, ON, []),
        ("default", {}, ON, ["object"]),
        ("default", {}, {**ON, "istio.io/rev": "next"}, []),
        ("default", {}, {**ON, "istio.io/rev": "default"}, ["rev.object"]),
        ("default", {"istio.io/rev": "stable"}, ON, []),
    ],
)
def test_a_tag_injects_once_and_only_where_it_is_named(
    tag: str, namespace: Mapping[str, str], pod: Mapping[str, str], by: list[str]
) -> None:
    assert injects(tag, namespace, pod) == by
