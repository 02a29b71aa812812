"""The list of all Canaries as HTML: a card each, what needs a person first."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from urllib.parse import urlencode

from controller.api import Phase
from controller.api.history import Rollout
from controller.api.page import path_of
from controller.views.chart import sparkline
from controller.views.html import served
from controller.views.rows import CanaryRow
from controller.views.summary import Summary, Urgency

_SIGNS = {Urgency.PERSON: "!", Urgency.UNDER_WAY: "▶", Urgency.AT_REST: "✓"}
"""Beside the colour, for those who do not see it."""


@dataclass(frozen=True, slots=True)
class Filter:
    """Which Canaries are listed; what is empty asks for all.

    Attributes:
        namespace: only those of this one.
        state: the word of an `Urgency`.
        name: a part of ``NAMESPACE/NAME``.
    """

    namespace: str = ""
    state: str = ""
    name: str = ""

    def has_place(self, namespace: str, name: str) -> bool:
        """Whether a Canary is one of them wherever it stands."""
        return self.namespace in ("", namespace) and self.name in f"{namespace}/{name}"

    def has(self, summary: Summary) -> bool:
        row = summary.row
        return self.has_place(row.namespace, row.name) and self.state in ("", summary.urgency.word)

    @property
    def query(self) -> str:
        """As in an address."""
        asked = {"namespace": self.namespace, "state": self.state, "name": self.name}
        return urlencode({name: value for name, value in asked.items() if value})


def card_id(namespace: str, name: str) -> str:
    """The id of a Canary's card."""
    return f"card/{namespace}/{name}"


def render_list(cards: Iterable[str], namespaces: Sequence[str], wanted: Filter) -> str:
    """The whole page: the cards of `render_card`, in any order."""
    found = "".join(cards)
    return served(
        "Canaries",
        f"<header><h1>Canaries</h1>{_form(namespaces, wanted)}</header>"
        '<p class="away" role="status" id="away" hidden>The connection is lost; this page may be old.</p>'
        f'<main><ul class="cards" id="cards">{found}</ul><p class="note">Those that need a person come first.'
        " A new one appears by itself.</p></main>",
        live=f"/live?{wanted.query}",
    )


def _form(namespaces: Sequence[str], wanted: Filter) -> str:
    states = {each.word: each.words for each in Urgency}
    return (
        '<form role="search">'
        f"<label>Namespace {_select('namespace', {each: each for each in namespaces}, wanted.namespace)}</label>"
        f"<label>State {_select('state', states, wanted.state)}</label>"
        f'<label>Name <input name="name" value="{escape(wanted.name)}" size="14"></label><button>Show</button></form>'
    )


def _select(name: str, options: dict[str, str], chosen: str) -> str:
    choices = "".join(
        f'<option value="{escape(value)}"{" selected" if value == chosen else ""}>{escape(words)}</option>'
        for value, words in {"": "all", **options}.items()
    )
    return f'<select name="{name}">{choices}</select>'


def render_card(summary: Summary, current: Rollout | None = None) -> str:
    """One Canary, with the rollout that is under way or has just ended. Cards are sorted by ``data-order``."""
    row = summary.row
    failed = f"{row.failed_checks} of {row.threshold} failed checks" if row.failed_checks and row.threshold else ""
    facts = [each for each in (_versions(row), failed) if each]
    return (
        f'<li class="card {summary.urgency.word}" id="{escape(card_id(row.namespace, row.name))}"'
        f' data-order="{escape(sort_key(summary))}"><h2><a href="{escape(path_of(row.namespace, row.name))}">'
        f"{escape(row.label)}</a></h2>"
        f"{tag(summary)}<p>{escape(summary.sentence)}</p>{weight_bar(row)}{_spark(current)}"
        f'<p class="soft">{escape(" · ".join(facts))}</p></li>'
    )


def sort_key(summary: Summary) -> str:
    """What cards are sorted by: the most urgent first, then by name."""
    return f"{summary.urgency:d} {summary.row.label}"


def tag(summary: Summary) -> str:
    """The phase, and who has to look."""
    phase = summary.row.phase or "New"
    sign = "✕" if phase is Phase.FAILED else _SIGNS[summary.urgency]
    return (
        f'<span class="tag {summary.urgency.word}"><span aria-hidden="true">{sign}</span> {escape(phase)},'
        f" {summary.urgency.words}</span>"
    )


def weight_bar(row: CanaryRow) -> str:
    """The weight that is set and, as a mark, the share of the requests that was seen; nothing without weights."""
    if row.rounds or not row.weight:
        return ""
    seen = "" if row.observed is None else f", {row.observed:.0f}% of the requests seen"
    words = f"{row.weight}% of the traffic set{seen}"
    mark = (
        "" if row.observed is None else f'<rect class="seen" x="{min(row.observed, 99.5):.1f}" width=".8" height="4"/>'
    )
    return (
        f'<svg class="bar" viewBox="0 0 100 4" preserveAspectRatio="none" role="img" aria-label="{words}">'
        f'<title>{words}</title><rect class="all" width="100" height="4"/>'
        f'<rect class="set" width="{row.weight}" height="4"/>{mark}</svg><p class="soft">{words}</p>'
    )


def _spark(current: Rollout | None) -> str:
    weights = [float(each.weight) for each in current.samples] if current else []
    return sparkline("weight by look", weights) if any(weights) else ""


def _versions(row: CanaryRow) -> str:
    sides = (("primary", row.primary), ("canary", row.canary))
    return " · ".join(f"{side} {version}" for side, version in sides if version)
