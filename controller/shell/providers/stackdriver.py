"""Google Cloud Monitoring's queries in MQL, as the service account of the controller's pod.

https://cloud.google.com/monitoring/api/ref_v3/rest/v3/projects.timeSeries/query
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping

from controller.core.probes import Sample
from controller.shell.providers.rest import Dialect, Question, Request, Send, series

TOKEN = "access_token"  # noqa: S105 -- the name of the key in Google's answer
_SERVICE_ACCOUNT = "/computeMetadata/v1/instance/service-accounts/default"


def _request(question: Question, query: str) -> Request:
    """The controller's token goes where its environment says, never to an address that a MetricTemplate names."""
    address = os.environ.get("CLOUDSDK_API_ENDPOINT_OVERRIDES_MONITORING", "https://monitoring.googleapis.com")
    return Request(
        f"{address.rstrip('/')}/v3/projects/{question.key('project')}/timeSeries:query",
        "POST",
        headers={"Authorization": f"Bearer {question.key(TOKEN)}"},
        body={"query": query},
    )


def _read(text: str) -> Iterator[Sample]:
    """The newest point of each series, which Google gives first; of a table with several values the first."""
    body = json.loads(text)
    if body and not {"timeSeriesDescriptor", "timeSeriesData"} & set(body):
        raise ValueError(f"no time series: {text}")
    for number, data in enumerate(body.get("timeSeriesData", ()), start=1):
        for point in data.get("pointData", ())[:1]:
            for value in point["values"][:1]:
                yield series(value["doubleValue"] if "doubleValue" in value else value["int64Value"], series=number)


async def _sign_in(send: Send, question: Question) -> Mapping[str, str]:
    """A token from the metadata server of the node: GKE's workload identity."""
    if "serviceAccountKey" in question.secret:
        raise ValueError(
            "the key serviceAccountKey is not supported; bind the controller's service account to one of Google's"
            " with the role Monitoring Viewer, and leave only the key project in the Secret"
        )
    host = os.environ.get("GCE_METADATA_HOST", "metadata.google.internal")
    answer = await send(Request(f"http://{host}{_SERVICE_ACCOUNT}/token", headers={"Metadata-Flavor": "Google"}))
    return {TOKEN: str(json.loads(answer.text)[TOKEN])}


STACKDRIVER = Dialect(
    ask=lambda question: _request(question, question.query),
    read=_read,
    check=lambda question: _request(question, ""),
    online=(200, 400),
    sign_in=_sign_in,
)
