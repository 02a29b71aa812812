"""Canaries as a table: the rows from the objects' status, and the drawing. The sandbox shows the same one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from controller.api import Canary, CanaryStatus, InvalidObject, Phase, Strategy, parse_canary
from controller.api.receipt import Receipt
from controller.cli import words
from controller.core.analysis.findings import Finding, find_all
from controller.core.evidence.question import Verdict
from controller.core.model import Manifest
from controller.core.objects.kinds import as_workload
from controller.core.rollout.conditions import without_proof
from controller.core.status import state_from_status
from controller.shell.kubernetes.kinds import Key, key_of

_RIGHT = {"TRAFFIC", "FAILED", "VALUE", "RATIO", "P"}
_STYLES = {Phase.INITIALIZED: "green", Phase.SUCCEEDED: "green", Phase.FAILED: "red", Phase.NEW: "dim"}
_BAD, _GOOD = (Verdict.FAIL, "failed"), (Verdict.PASS, "passed")
_IN_ROUNDS = (Strategy.AB_TESTING, Strategy.BLUE_GREEN)


@dataclass(frozen=True, slots=True, kw_only=True)
class CanaryRow:
    """One Canary.

    Attributes:
        weight: percent of the traffic that the canary gets; for A/B of the matched traffic.
        observed: percent of the requests that it had lately; None if not known.
        iterations: rounds done of an A/B or blue/green analysis.
        rounds: how many rounds that analysis has; None for a weighted one, or if the spec is invalid.
        threshold: failed checks that cause a rollback; None if the spec is invalid.
        primary, canary: image tags and ready pods of the two workloads; empty if not known.
        reason: what happened last, in one word.
        message: what blocks the rollout, why it was rolled back, what its promotion left unproven, or what is wrong
            with the spec.
        receipt: what proves the version that the primary runs.
    """

    namespace: str
    name: str
    phase: Phase
    weight: int
    observed: float | None = None
    mirrored: bool
    iterations: int
    rounds: int | None
    failed_checks: int
    threshold: int | None
    primary: str = ""
    canary: str = ""
    metrics: tuple[Finding, ...] = ()
    reason: str = ""
    message: str = ""
    receipt: Receipt | None = None

    @property
    def label(self) -> str:
        return f"{self.namespace}/{self.name}"

    @property
    def traffic(self) -> str:
        """``30%``, ``mirror`` or ``round 2 of 10``, and what is seen of a weight if that is something else."""
        if self.rounds and 0 < self.iterations <= self.rounds:
            return f"round {self.iterations} of {self.rounds}"
        if self.mirrored:
            return "mirror"
        seen = "" if self.observed is None or abs(self.observed - self.weight) < 3 else f" ({self.observed:.0f}% seen)"
        return f"{self.weight}%{seen}"


def read_rows(canaries: Iterable[Manifest], workloads: Iterable[Manifest] = ()) -> tuple[CanaryRow, ...]:
    """A row for each Canary, by namespace and name; with what its workloads run, as far as ``workloads`` has them."""
    versions = {key_of(each): _versions(each) for each in workloads}
    rows = (_row(manifest, versions) for manifest in canaries)
    return tuple(sorted(rows, key=lambda row: (row.namespace, row.name)))


def _row(manifest: Manifest, versions: Mapping[Key, str]) -> CanaryRow:
    """One Canary; if its spec is invalid, its status and the first problem."""
    namespace, name = str(manifest["metadata"].get("namespace", "")), str(manifest["metadata"]["name"])
    canary: Canary | None = None
    problem = ""
    try:
        canary = parse_canary(manifest)
    except InvalidObject as error:
        problem = f"invalid: {error.problems[0]}"
    status = canary.status if canary else _status(manifest)
    analysis = canary.spec.analysis if canary else None
    return CanaryRow(
        namespace=namespace,
        name=name,
        phase=status.phase,
        weight=status.canary_weight,
        observed=status.observed_weight,
        mirrored=status.mirrored,
        iterations=status.iterations,
        rounds=analysis.iterations if analysis and analysis.strategy in _IN_ROUNDS else None,
        failed_checks=status.failed_checks,
        threshold=analysis.failure_threshold if analysis else None,
        primary=_version_of(canary, canary.primary_key, versions) if canary else "",
        canary=_version_of(canary, canary.target_key, versions) if canary else "",
        metrics=tuple(find_all(canary, state_from_status(canary))) if canary else (),
        reason=status.reason,
        message=problem or status.message or without_proof(status),
        receipt=status.receipt,
    )


def _status(manifest: Manifest) -> CanaryStatus:
    try:
        return CanaryStatus.model_validate(manifest.get("status") or {})
    except ValueError:
        return CanaryStatus()


def _version_of(canary: Canary, key: tuple[str, str], versions: Mapping[Key, str]) -> str:
    kind, name = key
    return versions.get((kind, canary.namespace, name), "")


def _versions(manifest: Manifest) -> str:
    """Image tags and ready pods, as in ``6.1.0 (1/1)``."""
    workload = as_workload(manifest)
    tags = [_tag(str(container["image"])) for container in workload.template["spec"]["containers"]]
    return f"{', '.join(tags)} ({workload.counts.ready}/{workload.counts.wanted})"


def _tag(image: str) -> str:
    """The tag, else the first digits of the digest, else ``latest``."""
    name, _, digest = image.partition("@")
    _, _, tag = name.rpartition("/")[2].partition(":")
    return tag or digest.rpartition(":")[2][:12] or "latest"


def draw_canaries(rows: Sequence[CanaryRow]) -> RenderableType:
    """The Canaries, their metrics, and their messages, one below the other; long text is folded, never cut."""
    if not rows:
        return Text("No Canaries found.")
    parts: list[RenderableType] = [_canary_table(rows)]
    if any(row.metrics for row in rows):
        parts += [Text(""), _metric_table(rows)]
    notes = [Text.assemble((f"{row.label}: ", "bold"), words.plain(row.message)) for row in rows if row.message]
    return Group(*parts, *([Text(""), *notes] if notes else []))


def _canary_table(rows: Sequence[CanaryRow]) -> Table:
    """One line for each Canary; the workloads only if they are known."""
    workloads = any(row.primary or row.canary for row in rows)
    pod_columns = ("PRIMARY PODS", "CANARY PODS") if workloads else ()
    table = words.table("CANARY", "STATUS", "TRAFFIC", "FAILED", *pod_columns, right=_RIGHT)
    for row in rows:
        failed = f"{row.failed_checks}/{row.threshold}" if row.threshold else str(row.failed_checks)
        pods = (row.primary or "-", row.canary or "-") if workloads else ()
        status = Text(row.phase or "(new)", style=_STYLES.get(row.phase, "yellow"))
        table.add_row(Text(row.label), status, row.traffic, failed, *(Text(words.plain(each)) for each in pods))
    return table


def _metric_table(rows: Sequence[CanaryRow]) -> Table:
    """One line for each metric; the first of a Canary has its name."""
    table = words.table("CANARY", "METRIC", "VALUE", "RATIO", "P", "VERDICT", right=_RIGHT)
    for row in rows:
        label = row.label
        for each in row.metrics:
            value = "" if each.value is None else f"{each.value:.4g}"
            ratio = "" if each.p_value is None else words.ratio(each.ratio)
            p_value = "" if each.p_value is None else words.probability(each.p_value)
            style = "red" if each.verdict in _BAD else "green" if each.verdict in _GOOD else ""
            verdict = Text(f"{each.verdict} (dry run)" if each.dry_run else each.verdict, style=style)
            table.add_row(Text(label), Text(words.plain(each.metric)), value, ratio, p_value, verdict)
            label = ""
    return table
