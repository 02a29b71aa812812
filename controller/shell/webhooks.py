"""Webhooks: Flagger's POST, and what its answer means (https://docs.flagger.app/usage/webhooks)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from controller.api.canary import Canary
from controller.api.webhook import HookType, Webhook
from controller.core.probes import HookProbe, Passed, Refused
from controller.shell.budget import Caller
from controller.shell.kubernetes.backoff import backoff_seconds
from controller.shell.outside import Answer, NoAnswer, Outside, server_of

_AGREES = frozenset({200, 201, 202, 204})
"""Flagger's, and 204: an endpoint without a body. A redirect agrees to nothing: it may lead to a login page."""
_RETRIED = frozenset({429, *range(500, 600)} - {501})
"""Too many requests, server errors: a second call may succeed. A 403 is an answer."""


async def ask_webhook(outside: Outside, canary: Canary, probe: HookProbe) -> Passed | Refused:
    """POST to a gate or hook. Never raises: whatever does not agree, a time-out too, is a refusal."""
    if not probe.webhook.url:
        return Refused("a person has not approved yet")
    payload: dict[str, Any] = {
        "name": canary.name,
        "namespace": canary.namespace,
        "phase": probe.phase.value,
        "checksum": probe.checksum,
    }
    if probe.webhook.metadata:
        payload["metadata"] = dict(probe.webhook.metadata)
    urgent = probe.webhook.hook_type is HookType.ROLLBACK
    return await post(outside, Caller(canary.namespace, canary.name, urgent=urgent), probe.webhook, payload)


async def post(
    outside: Outside,
    caller: Caller,
    webhook: Webhook,
    payload: Any,
    *,
    headers: Sequence[tuple[str, str]] = (),
    proxy: str | None = None,
    agrees: Callable[[Answer], bool] = lambda _: True,
) -> Passed | Refused:
    """POST ``payload``, again up to ``webhook.retries`` times where that may help.

    ``agrees`` looks at an answer whose status does; the rest is as in `Outside.ask`.
    """
    for attempt in range(1, webhook.retries + 2):
        answer = await outside.ask(
            caller,
            "POST",
            webhook.url,
            headers=headers,
            body=payload,
            proxy=proxy,
            verify=not webhook.disable_tls,
            seconds=webhook.timeout_seconds,
        )
        if isinstance(answer, Answer) and answer.status in _AGREES and agrees(answer):
            return Passed()
        if isinstance(answer, Answer) and answer.status not in _RETRIED:
            break
        if attempt <= webhook.retries:
            await asyncio.sleep(backoff_seconds(attempt, limit=30))
    return Refused(f"POST {server_of(webhook.url)} {_problem(answer)}" + (f", {attempt} times" if attempt > 1 else ""))


def _problem(answer: Answer | NoAnswer) -> str:
    if isinstance(answer, NoAnswer):
        return answer.reason
    if 300 <= answer.status < 400:
        return f"answered {answer.status}: redirects are not followed"
    return f"answered {answer.status}: {answer.quoted()}".removesuffix(": ")
