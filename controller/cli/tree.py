"""One rollout as a tree: its steps, its metrics against their limits, the pods of both sides, and the last events."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from rich.console import Group, RenderableType
from rich.text import Text
from rich.tree import Tree

from controller.api import Canary, InvalidObject, parse_canary
from controller.api.history import History, Rollout
from controller.cli.table import draw_metrics, status_text
from controller.core.model import Manifest
from controller.core.objects.kinds import as_workload
from controller.core.objects.pods import STARTING, pod_state, pods_of, restarts
from controller.views import words
from controller.views.ladder import Mark, ladder
from controller.views.record import change_of, limit_words
from controller.views.rows import CanaryRow, read_rows, tag_of

MOST_EVENTS = 6
_STYLES = {Mark.DONE: "green", Mark.NOW: "bold yellow", Mark.FAILED: "red", Mark.AHEAD: "dim"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """What is seen of one Canary.

    Attributes:
        manifest: of the Canary.
        workloads: its target and its primary, as far as they are there and may be read.
        pods: of both.
        events: of the Canary.
        history: its rollouts, the oldest first.
        now: the time.
    """

    manifest: Manifest
    workloads: Sequence[Manifest] = ()
    pods: Sequence[Manifest] = ()
    events: Sequence[Manifest] = ()
    history: History = ()
    now: datetime


def draw_scene(scene: Scene) -> RenderableType:
    """The tree; below it the message, on lines of its own."""
    (row,) = read_rows([scene.manifest], scene.workloads)
    last = scene.history[-1] if scene.history else None
    try:
        canary = parse_canary(scene.manifest)
    except InvalidObject:
        return Group(_head(row, None, scene), Text(words.plain(row.message), style="red"))
    tree = Tree(_head(row, canary, scene), guide_style="dim")
    if last is not None:
        tree.add(Text(words.plain(_about(last))))
    tree.add(_steps(canary, last))
    if row.metrics:
        metrics = tree.add("Metrics")
        metrics.add(draw_metrics(row))
        if limits := _limits(last):
            metrics.add(Text(limits, style="dim"))
    for side, (kind, name) in (("Primary", canary.primary_key), ("Canary", canary.target_key)):
        workload = next((w for w in scene.workloads if (w["kind"], w["metadata"]["name"]) == (kind, name)), None)
        branch = tree.add(Text(words.plain(_side(side, name, workload))))
        for pod in pods_of(workload, scene.pods) if workload is not None else ():
            branch.add(_pod(pod, scene.now))
    if scene.events:
        branch = tree.add("Events")
        for line in _events(scene.events):
            branch.add(Text(line))
    message = [Text(words.plain(row.message), style="yellow")] if row.message else []
    return Group(tree, *message)


def _head(row: CanaryRow, canary: Canary | None, scene: Scene) -> Text:
    due = canary.status.next_check_time if canary else None
    soon = max(0.0, (due - scene.now).total_seconds()) if due else 0.0
    following = f", next check in {words.duration(soon)}" if due else ""
    failed = f", failed checks {row.failed}" if row.failed[0] != "0" else ""
    return Text.assemble((row.label, "bold"), "  ", status_text(row), f"  {row.traffic}{failed}{following}")


def _about(last: Rollout) -> str:
    """``Rollout 3: 6.1.0 → 6.1.1, by pulumi, started 12:00:10 UTC``."""
    by = f", by {last.by}" if last.by else ""
    took = f", took {words.duration(last.seconds)}" if last.seconds is not None else ""
    return f"Rollout {last.number}: {change_of(last)}{by}, started {last.started_at:%H:%M:%S} UTC{took}"


def _steps(canary: Canary, last: Rollout | None) -> Text:
    """In a line, which is folded where it is long: ``✓ 10%  ● 20%  ○ 30%``."""
    line = Text("Steps")
    for rung in ladder(canary, last):
        line.append("  ")
        line.append(f"{rung.mark.value} {rung.words}".replace(" ", "\u00a0"), style=_STYLES[rung.mark])
    return line


def _limits(last: Rollout | None) -> str:
    found = ((each.name, limit_words(each)) for each in (last.limits if last else ()))
    said = ", ".join(f"{name} {limit}" for name, limit in found if limit)
    return words.plain(f"allowed: {said}") if said else ""


def _side(side: str, name: str, workload: Manifest | None) -> str:
    if workload is None:
        return f"{side}  {name}: not there"
    seen = as_workload(workload)
    tags = ", ".join(tag_of(str(each["image"])) for each in seen.template["spec"]["containers"])
    return f"{side}  {name}  {tags}  {seen.counts.ready} of {seen.counts.wanted} ready"


def _pod(pod: Manifest, now: datetime) -> Text:
    ready, state = pod_state(pod)
    begun = str(pod["metadata"].get("creationTimestamp", ""))
    age = f"  {words.duration((now - datetime.fromisoformat(begun)).total_seconds())}" if begun else ""
    sign, style = ("✓ ", "green") if ready else ("✗ ", "red") if state != STARTING else ("… ", "yellow")
    again = f"  restarts: {restarts(pod)}" if ready and restarts(pod) else ""  # else the reason says it
    return Text.assemble((sign, style), words.plain(f"{pod['metadata']['name']}  {state}"), (f"{again}{age}", "dim"))


def _events(events: Sequence[Manifest]) -> Iterator[str]:
    """The last ones, the newest last."""
    for event in sorted(events, key=lambda each: str(each.get("lastTimestamp") or ""))[-MOST_EVENTS:]:
        yield words.plain(f"{str(event.get('lastTimestamp') or '')[11:19]}  {event.get('message', '')}")
