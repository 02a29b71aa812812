"""What is shown of a Canary: its status in a row, for the terminal and the page alike."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from controller.api import Canary, CanaryStatus, InvalidObject, Phase, Strategy, parse_canary
from controller.api.receipt import Receipt
from controller.core.analysis.findings import Finding, find_all
from controller.core.model import Manifest
from controller.core.objects.kinds import as_workload
from controller.core.rollout.conditions import without_proof
from controller.core.rollout.phases import Reason
from controller.core.status import state_from_status

_Place: TypeAlias = tuple[str, str, str]
"""Kind, namespace and name of a workload."""
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
        invalid: the spec is; the message says why.
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
    invalid: bool = False

    @property
    def label(self) -> str:
        return f"{self.namespace}/{self.name}"

    @property
    def failed(self) -> str:
        """Failed checks and how many cause a rollback, as in ``2/10``; all of them where they did."""
        ended = self.phase is Phase.FAILED and self.reason == Reason.CHECKS_FAILED and self.threshold
        failed = self.threshold if ended else self.failed_checks
        return f"{failed}/{self.threshold}" if self.threshold else str(failed)

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
    versions = {_place(each): _versions(each) for each in workloads}
    rows = (_row(manifest, versions) for manifest in canaries)
    return tuple(sorted(rows, key=lambda row: (row.namespace, row.name)))


def _row(manifest: Manifest, versions: Mapping[_Place, str]) -> CanaryRow:
    """One Canary; if its spec is invalid, its status and the first problem."""
    namespace, name = str(manifest["metadata"].get("namespace", "")), str(manifest["metadata"]["name"])
    canary: Canary | None = None
    problem = ""
    try:
        canary = parse_canary(manifest)
    except InvalidObject as error:
        problem = f"invalid: {error.problems[0]}"
    status = canary.status if canary else read_status(manifest)
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
        invalid=canary is None,
    )


def _place(manifest: Manifest) -> _Place:
    metadata = manifest["metadata"]
    return str(manifest["kind"]), str(metadata.get("namespace", "")), str(metadata["name"])


def read_status(manifest: Manifest) -> CanaryStatus:
    """The status, whatever the spec is like; an empty one if it cannot be read."""
    try:
        return CanaryStatus.model_validate(manifest.get("status") or {})
    except ValueError:
        return CanaryStatus()


def _version_of(canary: Canary, key: tuple[str, str], versions: Mapping[_Place, str]) -> str:
    kind, name = key
    return versions.get((kind, canary.namespace, name), "")


def _versions(manifest: Manifest) -> str:
    """Image tags and ready pods, as in ``6.1.0 (1/1)``."""
    workload = as_workload(manifest)
    tags = [tag_of(str(container["image"])) for container in workload.template["spec"]["containers"]]
    return f"{', '.join(tags)} ({workload.counts.ready}/{workload.counts.wanted})"


def tag_of(image: str) -> str:
    """The tag, else the first digits of the digest, else ``latest``."""
    name, _, digest = image.partition("@")
    _, _, tag = name.rpartition("/")[2].partition(":")
    return tag or digest.rpartition(":")[2][:12] or "latest"
