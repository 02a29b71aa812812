"""Webhooks: Flagger's POST, and what its answer means (https://docs.flagger.app/usage/webhooks)."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import aiohttp

from controller.api.canary import Canary
from controller.api.webhook import Webhook
from controller.core.model import HookProbe, Passed, Refused
from controller.shell.kubernetes.backoff import backoff_seconds

BODY_CHARACTERS = 200
"""How much of a refusal's body is quoted."""
_RETRIED = frozenset({0, 429, *range(500, 600)} - {501})
"""No answer, too many requests, server errors: what a second call may mend. A 403 is an answer."""


async def ask_webhook(session: aiohttp.ClientSession, canary: Canary, probe: HookProbe) -> Passed | Refused:
    """POST to a gate or hook. A status up to 202 agrees; anything else, a time-out too, is a refusal. Never raises."""
    payload: dict[str, Any] = {
        "name": canary.name,
        "namespace": canary.namespace,
        "phase": probe.phase.value,
        "checksum": probe.checksum,
    }
    if probe.webhook.metadata:
        payload["metadata"] = dict(probe.webhook.metadata)
    return await post(session, probe.webhook, payload)


async def post(session: aiohttp.ClientSession, webhook: Webhook, payload: Mapping[str, Any]) -> Passed | Refused:
    """POST ``payload``, again up to ``webhook.retries`` times where that may help."""
    for attempt in range(1, webhook.retries + 2):
        status, problem = await _post_once(session, webhook, payload)
        if not problem:
            return Passed()
        if status not in _RETRIED or attempt > webhook.retries:
            break
        await asyncio.sleep(backoff_seconds(attempt, limit=30))
    return Refused(f"POST {webhook.url} {problem}" + (f", {attempt} times" if attempt > 1 else ""))


async def _post_once(session: aiohttp.ClientSession, webhook: Webhook, payload: Mapping[str, Any]) -> tuple[int, str]:
    """The status, 0 where there was none, and what was wrong, empty where nothing was."""
    try:
        async with session.post(
            webhook.url,
            json=payload,
            ssl=not webhook.disable_tls,
            timeout=aiohttp.ClientTimeout(total=webhook.timeout_seconds),
        ) as response:
            if response.status <= 202:
                return response.status, ""
            body = (await response.text(errors="replace")).strip()[:BODY_CHARACTERS]
            return response.status, f"answered {response.status}: {body or response.reason}"
    except TimeoutError:
        return 0, f"gave no answer within {webhook.timeout}"
    except (aiohttp.ClientError, OSError, ValueError) as error:
        return 0, f"failed: {error or type(error).__name__}"
