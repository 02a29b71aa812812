"""Metric servers that answer one request with numbers: what is the same for all of them.

A server is described by a `Dialect`: pure functions for the request and for what its answer says.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Literal, TypeAlias

import aiohttp

from controller.api.metric_template import MetricProvider
from controller.core.analysis.thresholds import number_of
from controller.core.model import Manifest
from controller.core.probes import History, NoValues, QueryFailed, Sample, Samples, Value
from controller.shell.budget import Caller
from controller.shell.outside import QUOTED, Answer, NoAnswer, Outside, printable, server_of
from controller.shell.secrets import decoded


@dataclass(frozen=True, slots=True)
class Request:
    """One request, in the words of `Outside.ask`; ``text`` is a body that is sent as it is."""

    url: str
    method: Literal["GET", "POST"] = "GET"
    params: Mapping[str, str] | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Any = None
    text: str | None = None


Send: TypeAlias = Callable[[Request], Awaitable[Answer]]
"""Sends a request. Raises RequestError if there is no answer with status 200."""


class RequestError(ValueError):
    """A request that has failed; the message says where and how, and may be shown."""


@dataclass(frozen=True, slots=True)
class Question:
    """What a request is made of.

    Attributes:
        provider: as the MetricTemplate describes it.
        secret: the keys of its Secret, decoded; empty without one.
        query: ready to be sent.
        interval: how far back the metric looks, seconds.
        now: Unix seconds.
    """

    provider: MetricProvider
    secret: Mapping[str, str]
    query: str
    interval: float
    now: float

    def address(self, default: str = "", *, websocket: bool = False) -> str:
        """The server's URL without a slash at its end. Raises ValueError if there is none."""
        address = self.provider.address or default
        schemes = ("http://", "https://", *(("ws://", "wss://") if websocket else ()))
        if not address.startswith(schemes) or {"?", "#"} & set(address):
            raise ValueError(
                f"spec.provider.address must be a URL that starts with {' or '.join(schemes)}, without ? or #"
            )
        return address.rstrip("/")

    def key(self, name: str) -> str:
        """A key that the Secret must have. Raises ValueError if it is missing."""
        if not self.secret.get(name):
            raise ValueError(f"the Secret of spec.provider.secretRef must have the key {name}")
        return self.secret[name]


@dataclass(frozen=True)
class Dialect:
    """How to talk to a server.

    Attributes:
        ask: the request for a query. Raises ValueError for what cannot be asked; the message quotes no secret.
        read: the series of an answer with status 200, each with its one number, from the body. Raises ValueError for
            an error that the body tells; KeyError, TypeError and the like for a body that is another.
        check: the request that shows whether the server can be used. Raises as ``ask``.
        seconds: time for an answer; 5, as in Flagger, unless it takes another.
        online: the statuses of the check's answer with which the server can be used.
        sign_in: keys that are added to those of the Secret: the controller's own. Raises as ``ask`` and ``read``.
    """

    ask: Callable[[Question], Request]
    read: Callable[[str], Iterable[Sample]]
    check: Callable[[Question], Request]
    seconds: float = 5.0
    online: Collection[int] = (200,)
    sign_in: Callable[[Send, Question], Awaitable[Mapping[str, str]]] | None = None


class RestProvider:
    """A `Provider` that speaks a dialect.

    Args:
        dialect: what it speaks.
        outside: sends the requests.
        caller: on whose behalf.
        provider: address, headers, and whether its certificate is checked.
        secret: the Secret that it refers to; None without one.
        interval: how far back the metric looks, seconds.
    """

    def __init__(  # noqa: PLR0917 -- those of every provider, in their order
        self,
        dialect: Dialect,
        outside: Outside,
        caller: Caller,
        provider: MetricProvider,
        secret: Manifest | None,
        interval: float,
    ) -> None:
        self._dialect = dialect
        self._outside = outside
        self._caller = caller
        self._provider = provider
        self._secret = secret
        self._interval = interval

    async def query(self, query: str) -> Value | NoValues | QueryFailed:
        """The query's number."""
        try:
            answer = await self._send(self._dialect.ask(await self._question(query)))
        except RequestError as error:
            return QueryFailed(str(error))
        except _UNREADABLE as error:
            return QueryFailed(f"{self._name}: {_told(error)}")
        try:
            found = number_of(tuple(self._dialect.read(answer.text)))
        except _UNREADABLE as error:
            told = answer.quoted(_told(error, answer.text))
            return QueryFailed(f"{self._name} gave a result that cannot be read: {told}")
        return QueryFailed(printable(found.reason)) if isinstance(found, QueryFailed) else found

    async def samples(self, query: str) -> Samples | QueryFailed:  # noqa: ARG002 -- of Provider
        return self._no_counters()

    async def history(self, query: str, looks: int, step: int) -> History | QueryFailed:  # noqa: ARG002 -- of Provider
        return self._no_counters()

    async def check(self) -> str:
        """Why the server cannot be used; empty if it can."""
        try:
            await self._send(self._dialect.check(await self._question("")), self._dialect.online)
        except RequestError as error:
            return str(error)
        except _UNREADABLE as error:
            return f"{self._name}: {_told(error)}"
        return ""

    @property
    def _name(self) -> str:
        return server_of(self._provider.address) if self._provider.address else self._provider.type

    def _no_counters(self) -> QueryFailed:
        return QueryFailed(
            f"{self._provider.type} has no counters; compare.counters needs a provider of type prometheus"
        )

    async def _question(self, query: str) -> Question:
        secret: Mapping[str, str] = decoded(self._secret or {})
        question = Question(self._provider, secret, query, self._interval, time.time())
        if self._dialect.sign_in is None:
            return question
        own = await self._dialect.sign_in(partial(self._send, signing_in=True), question)
        return replace(question, secret={**secret, **own})

    async def _send(self, request: Request, statuses: Collection[int] = (200,), *, signing_in: bool = False) -> Answer:
        """What a template says of headers and certificates is about its own server."""
        headers = {} if signing_in else self._provider.headers
        given = ((name, value) for name, values in headers.items() for value in values)
        answer = await self._outside.ask(
            self._caller,
            request.method,
            request.url,
            params=request.params,
            headers=[*given, *request.headers.items()],
            body=request.body,
            text=request.text,
            verify=signing_in or not self._provider.insecure_skip_verify,
            seconds=self._dialect.seconds,
        )
        if isinstance(answer, NoAnswer):
            raise RequestError(f"{server_of(request.url)} {answer.reason}")
        if problem := _problem(answer, statuses):
            raise RequestError(f"{server_of(request.url)} answered {answer.status}{problem}")
        return answer


def basic_auth(question: Question) -> dict[str, str]:
    """The header for the keys ``username`` and ``password``; none without a Secret."""
    if not question.secret:
        return {}
    return {"Authorization": aiohttp.encode_basic_auth(question.key("username"), question.key("password"))}


def series(number: object, **labels: object) -> Sample:
    """One series of a result, with what names it. Raises TypeError or ValueError if it has no number."""
    if isinstance(number, bool) or not isinstance(number, (int, float, str)):
        raise TypeError(f"{number!r} is not a number")
    return Sample({name: str(value) for name, value in labels.items()}, float(number))


_UNREADABLE = (AttributeError, IndexError, KeyError, OSError, OverflowError, RecursionError, TypeError, ValueError)
"""What a body of another shape makes a dialect raise."""


def _told(error: Exception, text: str = "") -> str:
    """What a message says: the words of a dialect, else the kind of the error, and the body."""
    told = str(error) if type(error) is ValueError else f"{type(error).__name__} {error}: {text}".removesuffix(": ")
    return printable(told)[: 2 * QUOTED]


def _problem(answer: Answer, statuses: Collection[int]) -> str:
    if 300 <= answer.status < 400:
        return ": redirects are not followed, the address must be the final one"
    if not answer.complete:
        return f" with more than can be read: {answer.quoted()}"
    return "" if answer.status in statuses else f": {answer.quoted()}"
