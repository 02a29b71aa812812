"""The results of a replay as text and as JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from controller.api import Canary
from controller.core.evidence.e_values import Counts
from controller.core.model import Evidence
from controller.core.simulation.recording import Recording
from controller.core.simulation.replay import PastRollout, Replay
from controller.core.simulation.run import WITHOUT_VERDICT, Look, Outcome
from controller.views import words

NOTES = (
    "Traffic weights are the recorded ones, not those of this Canary. Comparisons count requests, so they still hold.",
    "Thresholds see the canary under its recorded load.",
    "Webhooks are not recorded: gates count as open, and rollback hooks as not called.",
    "A rollout is undecided if the recorded one ended before this Canary decided.",
)
NO_ROLLOUT = "at no time did canary and primary both serve requests."


def rollout_reason(canary: Canary, rollout: PastRollout) -> str:
    """Why the replayed rollout ended as it did: its message, or the evidence of its last look."""
    last = rollout.run.looks[-1]
    if rollout.run.outcome in (Outcome.HARM, Outcome.THRESHOLD, Outcome.INCONCLUSIVE):
        return last.state.message
    dry_runs = {metric.name for metric in canary.spec.analysis.metrics if metric.dry_run}
    said = [
        f"{name}{' (dry run)' if name in dry_runs else ''}: {comparison.describe(compare)}"
        for name, comparison, compare in _compared(canary, last)
    ]
    return "; ".join([*([last.state.message] if last.state.message else []), *said])


def quiet_sentences(canary: Canary, result: Replay) -> Iterator[str]:
    """How often the Canary would have raised a false alarm."""
    runs = len(result.quiet)
    if not runs:
        yield (
            "Quiet times: no runs. A run needs a time without a canary, as long as the analysis, in which two pods of"
            " the primary serve requests."
        )
    else:
        count = Counter(null.run.outcome for null in result.quiet)
        yield f"Quiet times: {runs} runs, with one pod of the primary as the canary and its other pods as the primary."
        if canary.spec.analysis.compares:
            deciding = (metric.compare for metric in canary.spec.analysis.metrics if not metric.dry_run)
            risk = max(compare.risk for compare in deciding if compare)
            rate = words.percent(count[Outcome.HARM] / runs)
            yield f"  false alarms of comparisons: {count[Outcome.HARM]} ({rate}; risk is {words.percent(risk)})"
        yield f"  rolled back by failed checks: {count[Outcome.THRESHOLD]}"
        if canary.spec.analysis.compares:
            yield f"  ended without a verdict: {sum(count[each] for each in WITHOUT_VERDICT)}"
    if result.left_out:
        yield f"Not tested in quiet times, because no query of theirs tells pods apart: {', '.join(result.left_out)}."


def as_json(canary: Canary, recording: Recording, result: Replay) -> dict[str, Any]:
    """All of a replay, look by look."""
    outcomes = Counter(null.run.outcome for null in result.quiet)
    return {
        "namespace": canary.namespace,
        "name": canary.name,
        "start": recording.time(0).isoformat(),
        "end": recording.time(recording.points - 1).isoformat(),
        "intervalSeconds": canary.spec.analysis.tick_seconds(),
        "rollouts": [
            {
                "beginsAt": rollout.begins_at.isoformat(),
                "endsAt": rollout.ends_at.isoformat(),
                "begunBefore": rollout.cut_off,
                "canaryRequests": rollout.canary_requests,
                "primaryRequests": rollout.primary_requests,
                "outcome": rollout.run.outcome.name.lower(),
                "atLook": rollout.run.looks[-1].number,
                "reason": rollout_reason(canary, rollout),
                "looks": [_look(canary, look) for look in rollout.run.looks],
            }
            for rollout in result.rollouts
        ],
        "quiet": {
            "runs": len(result.quiet),
            "outcomes": {outcome.name.lower(): outcomes[outcome] for outcome in Outcome if outcomes[outcome]},
            "alarms": [
                {
                    "pod": null.pod,
                    "beginsAt": null.run.looks[0].at.isoformat(),
                    "outcome": null.run.outcome.name.lower(),
                    "atLook": null.run.looks[-1].number,
                    "reason": null.run.reason,
                }
                for null in result.quiet
                if null.run.outcome in (Outcome.HARM, Outcome.THRESHOLD)
            ],
            "notTried": list(result.left_out),
        },
        "notes": list(NOTES),
    }


def _look(canary: Canary, look: Look) -> dict[str, Any]:
    return {
        "look": look.number,
        "at": look.at.isoformat(),
        "phase": str(look.state.phase),
        "canaryWeight": look.state.routes.canary_weight,
        "failedChecks": look.state.failed_checks,
        "checks": [
            {
                "name": check.name,
                "passed": check.passed,
                "value": words.finite(check.value),
                "detail": check.detail,
                "dryRun": check.dry_run,
            }
            for check in look.checks
        ],
        "evidence": {
            name: {
                "verdict": str(comparison.verdict(compare)),
                "pValue": comparison.p_value,
                "ratio": words.finite(comparison.ratio),
                **(_counts(comparison.seen) if comparison.seen else {}),
            }
            for name, comparison, compare in _compared(canary, look)
        },
    }


def _counts(seen: Counts) -> dict[str, float]:
    return {
        "canaryTotal": seen.canary_total,
        "canaryBad": seen.canary_bad,
        "primaryTotal": seen.primary_total,
        "primaryBad": seen.primary_bad,
    }


def _compared(canary: Canary, look: Look) -> Iterator[tuple[str, Evidence, Any]]:
    for metric in canary.spec.analysis.metrics:
        if metric.compare and metric.name in look.comparisons:
            yield metric.name, look.comparisons[metric.name], metric.compare
