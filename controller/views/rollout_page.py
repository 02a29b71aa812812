"""One Canary as HTML: what is going on, its steps, metrics, both sides, and what a person can do."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from html import escape
from urllib.parse import urlsplit

from controller.api import Canary, InvalidObject, parse_canary
from controller.api.history import History, Rollout
from controller.api.page import path_of
from controller.core.model import Facts
from controller.core.objects.kinds import as_workload
from controller.views import words
from controller.views.cards import tag, weight_bar
from controller.views.html import served
from controller.views.ladder import Mark, ladder
from controller.views.metric_table import render_metrics
from controller.views.offers import Offer, find_offers
from controller.views.pods import render_pods
from controller.views.record import change_of, outcome_of, render_course, render_plots
from controller.views.subject import Subject
from controller.views.summary import summarize
from controller.views.way_back import way_back

_CURRENT = {Mark.NOW: ' aria-current="step"'}

_COLUMNS = (("summary", "steps", "actions"), ("metrics", "sides", "events", "past"), ("course", "hooks"))
"""The sections, as they are side by side on a screen that is wide enough."""


def render_rollout(subject: Subject) -> str:
    """The whole page."""
    sections = render_sections(subject)
    namespace, name = subject.namespace, subject.name
    first, *others = ("".join(sections[each] for each in column) for column in _COLUMNS)
    rest = "".join(f"<div>{each}</div>" for each in others)
    path = path_of(namespace, name)
    return served(
        f"{namespace}/{name}",
        f'<header><h1>{escape(namespace)}/{escape(name)}</h1><nav><a href="/">All Canaries</a></nav></header>'
        '<p class="away" role="status" id="away" hidden>The connection is lost; this page may be old.</p>'
        f'<main class="columns" data-path="{escape(path)}"><div>{first}{_SIGN_IN}</div>{rest}</main>',
        live=f"{path}/live",
    )


_SIGN_IN = (
    '<form id="token-form"><label>Token <input id="token" type="password" autocomplete="off" spellcheck="false"'
    ' size="24"></label><span class="soft">A Kubernetes token of somebody who may update this Canary, as'
    " <code>kubectl create token</code> prints it. It stays in this tab until it is closed or reloaded.</span></form>"
    '<p id="answer" role="status"></p>'
)
"""Outside of the sections, so that news never touches what somebody types."""


def render_sections(subject: Subject) -> Mapping[str, str]:
    """Each part of the page by its id; one that does not change looks the same."""
    summary = summarize(subject.manifest, *subject.workloads)
    try:
        canary = parse_canary(subject.manifest)
    except InvalidObject:
        canary = None
    parts = {
        "summary": f'{tag(summary)}<p class="lead">{escape(summary.sentence)}</p>{weight_bar(summary.row)}'
        f"{_last_action(canary)}",
        "steps": _steps(canary, subject.rollouts),
        "actions": _actions(canary, subject),
        "metrics": render_metrics(canary, summary.row),
        "sides": _sides(canary, subject),
        "events": _events(subject),
        "course": _course(subject.rollouts),
        "hooks": _hooks(canary),
        "past": _past(subject),
    }
    return {name: f'<section id="{name}">{body}</section>' for name, body in parts.items()}


def _last_action(canary: Canary | None) -> str:
    last = canary.status.last_action if canary else None
    if last is None:
        return ""
    verb = last.text.partition(" ")[0]
    became = f'<span class="refused">refused: {escape(last.refused)}</span>' if last.refused else "done"
    return f'<p class="soft">Last action: {escape(verb)} by {escape(last.by)}: {became}</p>'


def _steps(canary: Canary | None, rollouts: History) -> str:
    """The ladder, where the rollout stands on it marked by a sign and a colour."""
    rungs = ladder(canary, rollouts[-1] if rollouts else None) if canary else ()
    drawn = "".join(
        f'<li class="{rung.mark.name.lower()}"{_CURRENT.get(rung.mark, "")}>{rung.mark.value} {escape(rung.words)}</li>'
        for rung in rungs
    )
    return f'<h2>Steps</h2><ol class="ladder">{drawn}</ol>' if rungs else ""


def _course(rollouts: History) -> str:
    """The rollout that is under way, or was the last."""
    if not rollouts:
        return ""
    last = rollouts[-1]
    return f"<h2>Course of {escape(change_of(last))}: {escape(outcome_of(last))}</h2>{render_plots(last)}"


def _events(subject: Subject) -> str:
    rows = "".join(
        f'<tr><td class="whole">{each.at:%H:%M:%S}</td><td>{escape(each.reason or each.phase or "New")}'
        f'<div class="soft">{escape(each.message)}</div></td><td class="whole">{each.weight}%</td></tr>'
        for each in subject.happened
    )
    head = "<tr><th>UTC</th><th>What</th><th>Weight</th></tr>"
    return f"<h2>What happened lately</h2><table>{head}{rows}</table>" if rows else ""


def _past(subject: Subject) -> str:
    rows = "".join(_past_row(subject, rollout) for rollout in reversed(subject.rollouts) if rollout.outcome)
    head = "<tr><th></th><th>Version</th><th>Outcome</th><th>Started (UTC), took</th></tr>"
    return f"<h2>Last rollouts</h2><table>{head}{rows}</table>" if rows else ""


def _past_row(subject: Subject, rollout: Rollout) -> str:
    path = f"{path_of(subject.namespace, subject.name)}/rollouts/{rollout.number}"
    took = "" if rollout.seconds is None else f", {words.duration(rollout.seconds)}"
    link = f'<a href="{escape(path)}">{rollout.number}</a>' if rollout.number else ""
    by = f'<br><span class="soft">by {escape(rollout.by)}</span>' if rollout.by else ""
    return (
        f"<tr><td>{link}</td><td>{escape(change_of(rollout))}</td><td>{escape(outcome_of(rollout))}{by}</td>"
        f"<td>{words.moment(rollout.started_at)}{took}</td></tr>"
    )


def render_past(subject: Subject, rollout: Rollout) -> str:
    """The page of one rollout of the past."""
    title, path = (
        f"Rollout {rollout.number} of {subject.namespace}/{subject.name}",
        path_of(subject.namespace, subject.name),
    )
    nav = f'<nav><a href="{escape(path)}">{escape(subject.name)}</a> <a href="/">All Canaries</a></nav>'
    header = f"<header><h1>{escape(title)}: {escape(outcome_of(rollout))}</h1>{nav}</header>"
    return served(title, f"{header}<main>{render_course(rollout)}</main>")


def _sides(canary: Canary | None, subject: Subject) -> str:
    if canary is None:
        return ""
    status = canary.status
    weight = f"{status.canary_weight}%" if not status.mirrored else "a copy"
    seen = "" if status.observed_weight is None else f" ({status.observed_weight:.0f}% seen)"
    columns = (
        ("Primary", subject.primary, f"{100 - status.canary_weight}%"),
        ("Canary", subject.target, f"{weight}{seen}"),
    )
    body = "".join(
        f"<tr><th>{name}</th><td>{_images(workload)}</td><td>{_pods(workload)}</td><td>{traffic}</td></tr>"
        for name, workload, traffic in columns
    )
    head = "<tr><th></th><th>Images</th><th>Pods ready</th><th>Traffic</th></tr>"
    return f"<h2>Both sides</h2><table>{head}{body}</table>{render_pods(subject)}"


def _images(workload: Mapping[str, object] | None) -> str:
    if workload is None:
        return "not there"
    containers = as_workload(workload).template["spec"]["containers"]
    return "<br>".join(escape(str(each.get("image", ""))) for each in containers)


def _pods(workload: Mapping[str, object] | None) -> str:
    if workload is None:
        return ""
    counts = as_workload(workload).counts
    sign = "✓" if counts.ready >= counts.wanted else "…"
    return f"{sign} {counts.ready} of {counts.wanted}"


def _actions(canary: Canary | None, subject: Subject) -> str:
    if canary is None:
        return ""
    facts = Facts(subject.now, canary, target=subject.target, primary=subject.primary)
    offers = "".join(map(_offer, find_offers(facts)))
    said, command = way_back(canary, subject.rollouts)
    shown = f"<br><code>{escape(command)}</code>" if command else ""
    return (
        f'<h2>Actions</h2><ul class="actions">{offers}<li><span>Go back</span>'
        f'<span class="soft" id="about-back">{escape(said)}{shown}</span></li></ul>'
    )


def _offer(offer: Offer) -> str:
    said = f"Not now: {offer.obstacle}." if offer.obstacle else offer.effect
    return (
        f'<li><button data-verb="{offer.verb}"{" disabled" if offer.obstacle else ""}'
        f' aria-describedby="about-{offer.verb}">{offer.label}</button>'
        f'<span class="soft" id="about-{offer.verb}">{escape(said)}</span></li>'
    )


def _hooks(canary: Canary | None) -> str:
    rows = "".join(_hook_rows(canary)) if canary else ""
    head = "<tr><th>Webhook</th><th>When</th><th>Who answers</th></tr>"
    return f"<h2>Webhooks and gates</h2><table>{head}{rows}</table>" if rows else ""


def _hook_rows(canary: Canary) -> Iterator[str]:
    """Of a URL the host alone: the rest may have credentials."""
    for hook in canary.spec.analysis.webhooks:
        host = urlsplit(hook.url).hostname or "" if hook.url else "a person"
        yield f"<tr><td>{escape(hook.name)}</td><td>{hook.hook_type}</td><td>{escape(host)}</td></tr>"
