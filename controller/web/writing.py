"""What a person asks for on a page: who they are, whether they may, and the annotation that says it.

Without a token of the cluster nothing is changed. The token is in a header that no other site can make a browser send,
and what a browser says about the page that sends is checked as well.
"""

from __future__ import annotations

import asyncio
import json
import logging
from urllib.parse import urlsplit

from aiohttp import web

from controller.api import Canary, InvalidObject, parse_canary
from controller.api.instruction import Verb
from controller.core.model import Facts
from controller.shell.allowance import Allowance
from controller.shell.instructions import write_instruction
from controller.shell.kubernetes.client import Kube
from controller.shell.kubernetes.errors import ClusterError, Rejected
from controller.views.offers import find_offers
from controller.views.subject import Subject
from controller.web.access import User, find_user, may_update

log = logging.getLogger(__name__)

BURST, REFILL_SECONDS = 20, 0.5
"""Tokens that are shown to the API server at once, and how often one more: anybody can send one."""


class Writing:
    """Takes actions on behalf of people.

    Args:
        kube: of the controller; it may ask for reviews and patch Canaries, whether this replica leads or not: what it
            writes is a person's word, which the leader obeys or refuses.
    """

    def __init__(self, kube: Kube) -> None:
        self._kube = kube
        self._allowance = Allowance(BURST, REFILL_SECONDS, 0.0)

    async def answer(self, request: web.Request, subject: Subject) -> web.Response:
        """Do what is asked of a Canary, or say why not."""
        _check_origin(request)
        verb = await _read_verb(request)
        token = _read_token(request)
        try:
            user = await self._find_user(token)
            if not await may_update(self._kube, user, subject.namespace, subject.name):
                raise web.HTTPForbidden(text=f"{user.name} may not update this Canary: canaries.{_RIGHT}.\n")
            canary = _possible(subject, verb)
            text = await write_instruction(self._kube, canary, verb, user.name)
        except ClusterError as error:
            log.warning("An action from the page could not be written: %s", error)
            raise web.HTTPBadGateway(text=_REFUSED if isinstance(error, Rejected) else _NO_ANSWER) from None
        log.info("%s asked for %s on %s.%s", user.name, verb, canary.name, canary.namespace)
        return web.json_response({"asked": text, "by": user.name})

    async def _find_user(self, token: str) -> User:
        if not self._allowance.take_if_left(asyncio.get_running_loop().time()):
            raise web.HTTPTooManyRequests(text="Too many tokens were sent lately; try again in a moment.\n")
        user = await find_user(self._kube, token)
        if user is None:
            raise web.HTTPUnauthorized(text="The Kubernetes API does not accept this token.\n", headers=_CHALLENGE)
        return user


_RIGHT = "flagger.app needs the verb update in its namespace"
_REFUSED = "The Kubernetes API does not let this controller do that: it may lack the right to review tokens.\n"
_NO_ANSWER = "The Kubernetes API did not answer; see the controller's log.\n"
_CHALLENGE = {"WWW-Authenticate": "Bearer"}


def _check_origin(request: web.Request) -> None:
    """A browser says which page sends; what is no browser says nothing, and has no token of somebody else."""
    origin, site = request.headers.get("Origin"), request.headers.get("Sec-Fetch-Site", "same-origin")
    if site != "same-origin" or (origin is not None and urlsplit(origin).netloc != request.host):
        raise web.HTTPForbidden(text="Only the page itself may ask for actions.\n")
    if request.content_type != "application/json":
        raise web.HTTPUnsupportedMediaType(text='An action is JSON, as in {"action": "pause"}.\n')


async def _read_verb(request: web.Request) -> Verb:
    try:
        return Verb(json.loads(await request.text())["action"])
    except (ValueError, KeyError, TypeError, RecursionError):
        allowed = ", ".join(verb for verb in Verb if verb is not Verb.WEIGHT)
        raise web.HTTPBadRequest(text=f'An action is JSON, as in {{"action": "pause"}}; {allowed}.\n') from None


def _read_token(request: web.Request) -> str:
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise web.HTTPUnauthorized(text="Changing a Canary needs a Kubernetes token.\n", headers=_CHALLENGE)
    return token.strip()


def _possible(subject: Subject, verb: Verb) -> Canary:
    try:
        canary = parse_canary(subject.manifest)
    except InvalidObject as error:
        raise web.HTTPConflict(text=f"Not possible: {error}\n") from None
    facts = Facts(subject.now, canary, target=subject.target, primary=subject.primary)
    obstacle = next((offer.obstacle for offer in find_offers(facts) if offer.verb is verb), "not an action of the page")
    if obstacle:
        raise web.HTTPConflict(text=f"Not possible: {obstacle}\n")
    return canary
