"""Kubernetes' API of external metrics, on the server that a MetricTemplate names.

https://kubernetes.io/docs/reference/external-api/external-metrics.v1beta1/
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from urllib.parse import parse_qs, quote

from controller.api.quantities import parse_quantity
from controller.core.probes import Sample
from controller.shell.providers.rest import Dialect, Question, Request, series

_API = "/apis/external.metrics.k8s.io/v1beta1"


def _request(question: Question, path: str, selector: str = "") -> Request:
    token = {"Authorization": f"Bearer {question.key('token')}"} if question.secret else {}
    params = {"labelSelector": selector} if selector else None
    return Request(f"{question.address()}{_API}{path}", params=params, headers=token)


def _ask(question: Question) -> Request:
    """A query is ``NAMESPACE/METRIC?labelSelector=SELECTOR``; without a namespace it is ``default`` (Flagger)."""
    place, _, rest = question.query.strip().partition("?")
    namespace, slash, metric = place.partition("/")
    if not slash:
        namespace, metric = "", place
    if not metric or "/" in metric:
        raise ValueError("a query of external metrics is NAMESPACE/METRIC?labelSelector=SELECTOR")
    selector = "".join(parse_qs(rest).get("labelSelector", []))
    return _request(question, f"/namespaces/{quote(namespace or 'default')}/{quote(metric)}", selector)


def _read(text: str) -> Iterator[Sample]:
    for item in json.loads(text)["items"]:
        yield series(parse_quantity(item["value"]), metric=item.get("metricName"), **(item.get("metricLabels") or {}))


EXTERNALMETRICS = Dialect(_ask, _read, check=lambda question: _request(question, ""))
