"""The pods of a rollout as HTML: both sides beside each other."""

from __future__ import annotations

from html import escape

from controller.core.model import Manifest
from controller.core.objects.pods import STARTING, pod_state, pods_of, restarts
from controller.views.subject import Subject

_MOST = 12
"""Of one side; those that are not ready come first, and the newest of them."""


def render_pods(subject: Subject) -> str:
    """Nothing where no pod is known."""
    sides = (("Primary", subject.primary), ("Canary", subject.target))
    drawn = "".join(_side(name, workload, subject) for name, workload in sides if workload is not None)
    problem = f'<p class="soft">{escape(subject.pods_problem)}</p>' if subject.pods_problem else ""
    return (f'<div class="sides">{drawn}</div>' if drawn else "") + problem


def _side(side: str, workload: Manifest, subject: Subject) -> str:
    pods = sorted(pods_of(workload, subject.pods), key=_rank)
    more = f'<li class="soft">and {len(pods) - _MOST} more</li>' if len(pods) > _MOST else ""
    rows = "".join(map(_row, pods[:_MOST]))
    return f'<div><h3>{side}: pods</h3><ul class="pods">{rows}{more}</ul></div>' if pods else ""


def _rank(pod: Manifest) -> int:
    ready, state = pod_state(pod)
    return 2 if ready else 1 if state == STARTING else 0


def _row(pod: Manifest) -> str:
    ready, state = pod_state(pod)
    sign, kind = ("✓", "good") if ready else ("…", "soft") if state == STARTING else ("✕", "bad")
    again = f", restarts: {restarts(pod)}" if ready and restarts(pod) else ""  # else the reason says it
    return (
        f'<li><span class="{kind}"><span aria-hidden="true">{sign}</span> {escape(str(pod["metadata"]["name"]))}</span>'
        f' <span class="soft">{escape(state)}{again}</span></li>'
    )
