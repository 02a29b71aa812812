"""Google Cloud Monitoring's queries in MQL, as a service account: that of a key, or of the controller's pod.

https://cloud.google.com/monitoring/api/ref_v3/rest/v3/projects.timeSeries/query
https://developers.google.com/identity/protocols/oauth2/service-account#jwt-auth
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping

from controller.core.probes import Sample
from controller.shell.providers.rest import Dialect, Question, Request, Send, series

TOKEN = "access_token"  # noqa: S105 -- the name of the key in Google's answer
KEY = "serviceAccountKey"
_AUDIENCE = "https://monitoring.googleapis.com/"
_LIFE = 600
"""Seconds for which a signed token holds; each request has one of its own."""
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
    """A token by the key in the Secret; without one, from the metadata server of the node: GKE's workload identity."""
    if KEY in question.secret:
        return {TOKEN: _signed(question.key(KEY), question.now)}
    host = os.environ.get("GCE_METADATA_HOST", "metadata.google.internal")
    answer = await send(Request(f"http://{host}{_SERVICE_ACCOUNT}/token", headers={"Metadata-Flavor": "Google"}))
    return {TOKEN: str(json.loads(answer.text)[TOKEN])}


def _signed(key: str, now: float) -> str:
    """A token that Google takes from a service account itself, without another request."""
    import jwt  # noqa: PLC0415 -- its cryptography is loaded where it is used

    try:
        account = json.loads(key)
        claims = {"iss": account["client_email"], "sub": account["client_email"], "aud": _AUDIENCE}
        claims |= {"iat": int(now), "exp": int(now) + _LIFE}
        return jwt.encode(claims, account["private_key"], "RS256", {"kid": account["private_key_id"]})
    except (ValueError, TypeError, LookupError, jwt.PyJWTError):
        # None of their messages: they may quote the key.
        raise ValueError(
            f"the key {KEY} of the Secret must hold the JSON of a key of a service account, with client_email,"
            " private_key_id and private_key"
        ) from None


STACKDRIVER = Dialect(
    ask=lambda question: _request(question, question.query),
    read=_read,
    check=lambda question: _request(question, ""),
    online=(200, 400),
    sign_in=_sign_in,
)
