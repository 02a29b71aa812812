"""CloudWatch's GetMetricData, by the JSON protocol, signed as AWS asks for it.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_GetMetricData.html
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import re
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

from controller.core.probes import Sample
from controller.shell.providers.rest import Dialect, Question, Request, Send, series

INTERVALS, MOST_POINTS = 10, 20
"""How many of the metric's intervals are asked for, and how many values, as by Flagger."""
KEY_ID, KEY, SESSION = "aws_access_key_id", "aws_secret_access_key", "aws_session_token"


def _ask(question: Question) -> Request:
    try:
        queries = json.loads(question.query)
    except ValueError:
        queries = None
    if not isinstance(queries, list):
        raise ValueError("a query of CloudWatch is a JSON list of MetricDataQueries")  # noqa: TRY004 -- as every other
    return _request(question, queries)


def _request(question: Question, queries: list[Any]) -> Request:
    start = int(question.now - INTERVALS * question.interval)
    body = {
        "StartTime": start,
        "EndTime": int(question.now),
        "MaxDatapoints": MOST_POINTS,
        "MetricDataQueries": queries,
    }
    region = _region(question)
    url, text = question.address(f"https://monitoring.{region}.amazonaws.com"), json.dumps(body)
    headers = {
        "Content-Type": "application/x-amz-json-1.0",
        "Host": urlsplit(url).netloc,
        "X-Amz-Target": "GraniteServiceVersion20100801.GetMetricData",
    }
    if SESSION in question.secret:
        headers["X-Amz-Security-Token"] = question.secret[SESSION]
    keys = question.key(KEY_ID), question.key(KEY)
    return Request(
        f"{url}/", "POST", headers=sign(headers, text, keys, (region, "monitoring"), question.now), text=text
    )


def _region(question: Question) -> str:
    region = question.provider.region or ""
    if not re.fullmatch(r"[a-z0-9-]+", region):
        raise ValueError("spec.provider.region must be a region of AWS, as in eu-west-1")
    return region


def sign(
    headers: Mapping[str, str], body: str, keys: tuple[str, str], where: tuple[str, str], now: float
) -> dict[str, str]:
    """``headers`` of a POST to ``/`` with a signature, version 4.

    Args:
        headers: all that are signed, ``Host`` among them.
        body: of the request.
        keys: the id of the access key, and the secret one.
        where: region and service.
        now: Unix seconds.
    """
    at = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now))
    given = {**headers, "X-Amz-Date": at}
    lines = sorted(f"{name.lower()}:{value.strip()}" for name, value in given.items())
    names = ";".join(line.partition(":")[0] for line in lines)
    request = "\n".join(("POST", "/", "", *lines, "", names, hashlib.sha256(body.encode()).hexdigest()))
    scope = "/".join((at[:8], *where, "aws4_request"))
    text = "\n".join(("AWS4-HMAC-SHA256", at, scope, hashlib.sha256(request.encode()).hexdigest()))
    key_id, key = keys[0], f"AWS4{keys[1]}".encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    signature = hmac.digest(key, text.encode(), "sha256").hex()
    credential = f"Credential={key_id}/{scope}, SignedHeaders={names}, Signature={signature}"
    return {**given, "Authorization": f"AWS4-HMAC-SHA256 {credential}"}


def _read(text: str) -> Iterator[Sample]:
    """The newest value of each result: CloudWatch gives the newest first."""
    for result in json.loads(text)["MetricDataResults"]:
        if result.get("StatusCode") in ("InternalError", "Forbidden"):
            raise ValueError(f"{result['StatusCode']}: {result.get('Messages') or result.get('Id')}")
        if result["Values"]:
            yield series(result["Values"][0], Id=result["Id"], Label=result.get("Label", ""))


async def _own_keys(send: Send, question: Question) -> Mapping[str, str]:
    """Without a Secret, keys of the controller's environment, or of the role that EKS gives its service account."""
    if question.secret:
        return {}
    environment = {name: os.environ.get(name.upper(), "") for name in (KEY_ID, KEY, SESSION)}
    if environment[KEY_ID]:
        return {name: value for name, value in environment.items() if value}
    url = os.environ.get("AWS_ENDPOINT_URL_STS") or f"https://sts.{_region(question)}.amazonaws.com"
    headers = {"Accept": "application/json", "Content-Type": "application/x-www-form-urlencoded"}
    answer = await send(Request(url, "POST", headers=headers, text=urlencode(_web_identity())))
    given = json.loads(answer.text)["AssumeRoleWithWebIdentityResponse"]["AssumeRoleWithWebIdentityResult"][
        "Credentials"
    ]
    return {KEY_ID: given["AccessKeyId"], KEY: given["SecretAccessKey"], SESSION: given["SessionToken"]}


def _web_identity() -> dict[str, str]:
    role, file = os.environ.get("AWS_ROLE_ARN"), os.environ.get("AWS_WEB_IDENTITY_TOKEN_FILE")
    if not role or not file:
        raise ValueError(f"neither a Secret with {KEY_ID} and {KEY} nor a role of the controller's service account")
    return {
        "Action": "AssumeRoleWithWebIdentity",
        "Version": "2011-06-15",
        "RoleArn": role,
        "RoleSessionName": "canary-controller",
        "WebIdentityToken": Path(file).read_text(encoding="utf-8").strip(),
    }


CLOUDWATCH = Dialect(_ask, _read, check=lambda question: _request(question, []), online=(200, 400), sign_in=_own_keys)
