from __future__ import annotations

from typing import Any

import pytest

from stack.charts import gateway_selector, istio_values
from stack.config import IstioConfig
from stack.gateway import GatewayConfig


def values_of(istiod: dict[str, Any] | None = None, gateway: dict[str, Any] | None = None) -> Any:
    istio = IstioConfig.model_validate({"values": {"istiod": istiod or {}, "gateway": gateway or {}}})
    return istio_values(istio, GatewayConfig())


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
    assert gateway_selector(values_of(gateway={"labels": labels})["gateway"]) == {"istio": selector}


@pytest.mark.parametrize("istiod", [{}, {"revision": ""}, {"revision": "default"}])
def test_the_default_revision_needs_no_value(istiod: dict[str, str]) -> None:
    values = values_of(istiod)
    assert "revision" not in values["gateway"]
    assert "defaultRevision" not in values["base"]


def test_a_revision_of_istiod_reaches_the_other_charts_where_they_set_none() -> None:
    values = values_of({"revision": "1-31"})
    assert (values["base"], values["gateway"]["revision"]) == ({"defaultRevision": "1-31"}, "1-31")
    assert values_of({"revision": "1-31"}, {"revision": "1-30"})["gateway"]["revision"] == "1-30"
