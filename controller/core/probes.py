"""What is measured: the questions of a decision to webhooks and metric servers, and their answers.

The core asks and reads, the shell runs what is asked (`shell.providers`, `shell.reconciler`). Immutable.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from controller.api.metric import DEFAULT_METRIC_INTERVAL_SECONDS
from controller.api.metric_template import MetricProvider
from controller.api.status import Phase
from controller.api.webhook import Webhook


def _key(name: str, earlier: int) -> str:
    """What an answer is kept under: one of its own for each probe, or a second gate would never be asked."""
    return f"{name}#{earlier + 1}" if earlier else name


@dataclass(frozen=True, slots=True)
class HookProbe:
    """Ask a webhook (Flagger's POST of name, namespace, phase, checksum, metadata); its answer may block.

    Attributes:
        webhook: the webhook to call.
        phase: the phase that is sent to the webhook.
        checksum: the same.
        earlier: how many webhooks of this type and name stand before it; Flagger's API lets names repeat.
    """

    webhook: Webhook
    phase: Phase
    checksum: str
    earlier: int = 0

    @property
    def key(self) -> str:
        return _key(f"webhook/{self.webhook.hook_type}/{self.webhook.name}", self.earlier)


@dataclass(frozen=True, slots=True)
class MetricProbe:
    """Run one query.

    Attributes:
        name: the metric's name in the analysis.
        query: ready to be sent.
        provider: who answers; None for the controller's own metrics server.
        namespace: where the provider's Secret lives.
        earlier: how many metrics of this name stand before it; Flagger's API lets names repeat.
        side: whose number it is, of a metric that compares two; empty for a threshold.
        interval: how far back to look, seconds, for a provider whose queries do not say it.
    """

    name: str
    query: str
    provider: MetricProvider | None = None
    namespace: str = ""
    earlier: int = 0
    side: Literal["", "canary", "primary"] = ""
    interval: float = DEFAULT_METRIC_INTERVAL_SECONDS

    @property
    def key(self) -> str:
        return f"value/{self.name}/{self.side}" if self.side else _key(f"metric/{self.name}", self.earlier)


@dataclass(frozen=True, slots=True)
class CounterProbe:
    """Read raw counters: a query with many samples as its answer. Attributes as ``MetricProbe``."""

    name: str
    query: str
    provider: MetricProvider | None = None
    namespace: str = ""

    @property
    def key(self) -> str:
        return f"counters/{self.name}"


@dataclass(frozen=True, slots=True)
class HistoryProbe:
    """Read raw counters as they were at ``looks`` times up to now, ``step`` seconds apart.

    Further attributes as ``MetricProbe``.
    """

    name: str
    query: str
    looks: int
    step: int
    provider: MetricProvider | None = None
    namespace: str = ""

    @property
    def key(self) -> str:
        return self.key_of(self.name)

    @staticmethod
    def key_of(name: str) -> str:
        return f"history/{name}"


@dataclass(frozen=True, slots=True)
class TrafficProbe:
    """Read Istio's counters of both sides, whatever the metrics are: a query with many samples.

    Attributes:
        what: all requests, or how those that failed differ between the sides.

    Further attributes as ``MetricProbe``.
    """

    what: Literal["requests", "failures"]
    query: str
    provider: MetricProvider | None = None
    namespace: str = ""

    @property
    def key(self) -> str:
        return f"traffic/{self.what}"


@dataclass(frozen=True, slots=True)
class PodsProbe:
    """Read the pods of a workload: why they are not ready, or which images they run.

    Attributes:
        workload: its name, in the Canary's namespace.
        selector: of its pods, as in ``labelSelector``.
    """

    workload: str
    selector: str

    @property
    def key(self) -> str:
        return f"pods/{self.workload}"


Query: TypeAlias = MetricProbe | CounterProbe | HistoryProbe | TrafficProbe
Probe: TypeAlias = HookProbe | Query | PodsProbe


@dataclass(frozen=True, slots=True)
class Passed:
    """The webhook agreed (HTTP status up to 202)."""


@dataclass(frozen=True, slots=True)
class Refused:
    """The webhook said no, timed out or could not be reached; ``reason`` says which."""

    reason: str


@dataclass(frozen=True, slots=True)
class Pending:
    """The webhook has not answered yet. The call goes on, and its answer is there when it is asked for again."""

    reason: str = "has not answered yet"


@dataclass(frozen=True, slots=True)
class Value:
    """The query's number."""

    value: float


@dataclass(frozen=True, slots=True)
class Sample:
    """One element of a query's vector."""

    labels: Mapping[str, str]
    value: float


@dataclass(frozen=True, slots=True)
class Samples:
    """All elements of a query's vector; none where nothing was counted yet."""

    samples: tuple[Sample, ...]


@dataclass(frozen=True, slots=True)
class History:
    """What ``Samples`` would have been at each time, in order."""

    times: tuple[Samples, ...]


@dataclass(frozen=True, slots=True)
class Pods:
    """Pods as the API serves them; none where they cannot be read."""

    pods: tuple[Mapping[str, Any], ...]


@dataclass(frozen=True, slots=True)
class NoValues:
    """The query worked and found nothing, or NaN."""


@dataclass(frozen=True, slots=True)
class QueryFailed:
    """The query could not be run; ``reason`` says why and where."""

    reason: str


ProbeResult: TypeAlias = Passed | Refused | Pending | Value | Samples | History | Pods | NoValues | QueryFailed
