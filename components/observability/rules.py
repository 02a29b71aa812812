"""Alert rules of Prometheus: what somebody should look at."""

from __future__ import annotations

from typing import Any

_WAITS = "StartNotApproved|StepNotApproved|PromotionNotApproved"
_BY_HAND = "Suspended|Paused|DependencyNotReady|WaitingForTurn|WaitingForGroup"
"""Reasons that somebody has chosen."""
_MOVES = "Initialized|Started|Advanced|Promoted|Reverted|BackToPromoted|TrafficReturned|TrafficReturning"
_UP = 'up{job="canary-controller"}'


def build_rules() -> dict[str, Any]:
    """The content of a rule file."""
    moving = 'phase=~"Initializing|Waiting|Progressing|WaitingPromotion|Promoting|Finalising"'
    where = "{{ $labels.name }}.{{ $labels.namespace }}"
    return {
        "groups": [
            {
                "name": "canaries",
                "rules": [
                    _rule(
                        "CanaryRolledBack",
                        "flagger_canary_status == 2",
                        "0s",
                        f"The last rollout of {where} has failed; `canary history` says why.",
                    ),
                    _rule(
                        "CanaryStuck",
                        f'canary_state{{{moving}, reason!~"|{_WAITS}|{_BY_HAND}|{_MOVES}"}} == 1',
                        "15m",
                        f"{where} makes no progress: {{{{ $labels.reason }}}}; see docs/troubleshooting.md.",
                    ),
                    _rule(
                        "CanaryWaitsForApproval",
                        f'canary_state{{reason=~"{_WAITS}"}} == 1',
                        "30m",
                        f"A gate of {where} is closed: {{{{ $labels.reason }}}}; see docs/by-hand.md.",
                        severity="info",
                    ),
                    _rule(
                        "CanaryControllerDown",
                        f"absent({_UP} == 1) or (sum(canary_leader) < 1)",
                        "2m",
                        "No canary controller is up and leads: rollouts stand still, and no canary is judged.",
                        severity="critical",
                    ),
                    _rule(
                        "CanaryControllerLate",
                        "histogram_quantile(0.99, sum by (le) (rate(canary_tick_lateness_seconds_bucket[5m]))) > 10",
                        "10m",
                        "Canaries are judged more than 10 s after their time; see docs/cost.md.",
                    ),
                ],
            }
        ]
    }


def _rule(name: str, expression: str, lasting: str, summary: str, severity: str = "warning") -> dict[str, Any]:
    return {
        "alert": name,
        "expr": expression,
        "for": lasting,
        "labels": {"severity": severity},
        "annotations": {"summary": summary},
    }
