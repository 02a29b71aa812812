"""One comment for a pull request, in Markdown: of each stack what users will get, what else changes, and the diff."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from urllib.parse import quote

from controller.api.page import address_of
from controller.core.simulation.expectations import Traffic
from preview.changes import Change, Op
from preview.charts import ChartDiff
from preview.rollouts import Rollout, find_rollouts
from preview.stacks import StackPreview

MARKER = "<!-- canary-on-istio: preview -->"
"""By which a workflow finds the comment again."""
LIMIT = 65_000
"""Characters; GitHub takes 65,536."""
CHART_LIMIT, OBJECT_LIMIT = 12_000, 3_000
"""Characters of what one release has inside, and of one object there."""
NAMED = 20
"""Objects of a release that are named where there is no room for their diffs."""
SHOWN = 8
"""Changed properties of one resource that are named."""
_CUT = "\n\n**Cut here: the rest does not fit into a comment.**\n"
_DANGEROUS = (Op.DELETE, Op.REPLACE)


def render(previews: Sequence[StackPreview], traffic: Mapping[str, Mapping[str, Traffic]] | None = None) -> str:
    """The comment; the diffs get what room is left.

    Args:
        previews: of all stacks, in the order in which they are updated.
        traffic: today's, by stack and place of the app.
    """
    told = ["\n".join(_stack(each, (traffic or {}).get(each.stack, {}))) for each in previews]
    room = LIMIT - sum(map(len, told)) - len(MARKER) - 200 * len(previews)
    share = max(0, room // max(1, sum(1 for each in previews if each.diff)))
    parts = [f"{text}\n{_folded(each.diff, share)}" for text, each in zip(told, previews, strict=True)]
    whole = f"{MARKER}\n" + "\n".join(parts)
    return whole if len(whole) <= LIMIT else f"{whole[: LIMIT - len(_CUT)]}{_CUT}"


def _stack(preview: StackPreview, traffic: Mapping[str, Traffic]) -> Iterator[str]:
    yield f"## {preview.stack}"
    if preview.error:
        yield "**No preview.**"
        yield _fenced(preview.error)
        return
    if preview.unreachable:
        yield f"The cluster does not answer, so this is compared with the last update: {_inline(preview.unreachable)}"
        yield ""
    yield from _refusals(preview)
    changed = [each for each in preview.changes if each.op is not Op.SAME]
    if not changed:
        yield "No changes."
    else:
        rollouts = tuple(find_rollouts(preview.changes, traffic))
        yield from _rollouts(rollouts, preview.page_url)
        yield from _changes(changed)
        for chart in preview.charts:
            yield ""
            yield from _chart(chart)
    if preview.messages:
        yield ""
        yield "Pulumi says:"
        yield from (f"- {_inline(message)}" for message in preview.messages)
    yield from _advice(preview)


def _refusals(preview: StackPreview) -> Iterator[str]:
    refused = [each for each in preview.violations if each.is_mandatory]
    if refused:
        yield "**Policies refuse this:**"
        yield from (f"- {_inline(each.message)} (`{each.rule}`)" for each in refused)
        yield ""


def _advice(preview: StackPreview) -> Iterator[str]:
    advised = [each for each in preview.violations if not each.is_mandatory]
    if advised:
        yield ""
        yield f"<details><summary>Warnings of policies: {len(advised)}</summary>"
        yield ""
        yield from (f"- {_inline(each.message)} (`{each.rule}`)" for each in advised)
        yield ""
        yield "</details>"


def _rollouts(rollouts: Sequence[Rollout], page_url: str) -> Iterator[str]:
    if not rollouts:
        yield "No app changes for its users."
        yield ""
        return
    yield "| app | what is new | how it reaches its users |"
    yield "|---|---|---|"
    for each in rollouts:
        new, plan = ("<br>".join(map(_cell, lines)) for lines in (each.changes, each.plan))
        yield f"| {_linked(each.place, page_url)} | {new} | {plan} |"
    yield ""


def _linked(place: str, page_url: str) -> str:
    """An app, with a link to where its rollout is watched."""
    address = address_of(page_url, *place.split("/"))
    return f"[{_cell(place)}]({quote(address, safe=':/?#&=%~@+,;')})" if address else _cell(place)


def _changes(changed: Sequence[Change]) -> Iterator[str]:
    """Every resource, the dangerous first, folded where there is nothing dangerous about it."""
    order = {op: number for number, op in enumerate(Op)}
    counted = Counter(each.op for each in changed)
    total = ", ".join(_emphasised(op, f"{counted[op]} to {op}") for op in Op if counted[op])
    yield f"<details{' open' if counted.keys() & {*_DANGEROUS} else ''}><summary>{_html(total)}</summary>"
    yield ""
    yield "| | kind | name | properties |"
    yield "|---|---|---|---|"
    for each in sorted(changed, key=lambda change: (order[change.op], change.kind, change.name)):
        paths = [f"`{_cell(path)}`" for path in each.paths[:SHOWN]]
        more = [f"{len(each.paths) - SHOWN} more"] if len(each.paths) > SHOWN else []
        named = "/".join(filter(None, each.place)) or each.name
        yield f"| {_emphasised(each.op, each.op)} | {each.kind} | {_cell(named)} | {', '.join((*paths, *more))} |"
    yield ""
    yield "</details>"


def _chart(chart: ChartDiff) -> Iterator[str]:
    """What a release changes in the cluster, folded."""
    if chart.problem:
        yield f"The objects of the release {_inline(chart.release)} are not shown: {_inline(chart.problem)}"
        return
    count = len(chart.objects)
    total = f"{count} object{'s' * (count != 1)}"
    yield f"<details><summary>Release {_inline(chart.release)} changes {total}</summary>"
    yield ""
    room, left = CHART_LIMIT, list[str]()
    for name, diff in chart.objects:
        shown = diff if len(diff) <= OBJECT_LIMIT else f"{diff[:OBJECT_LIMIT]}\n… cut"
        if len(shown) > room:
            left.append(name)
            continue
        room -= len(shown)
        yield _inline(name)
        yield _fenced(shown, "diff")
    if left:
        yield f"And {len(left)} more: {_inline(', '.join(left[:NAMED]))}{', …' if len(left) > NAMED else ''}"
    yield ""
    yield "</details>"


def _folded(diff: str, room: int) -> str:
    if not diff:
        return ""
    shown = diff if len(diff) <= room else f"{diff[:room]}\n… cut: {len(diff) - room:,} characters more"
    return f"\n<details><summary>Pulumi's own diff</summary>\n\n{_fenced(shown)}\n\n</details>\n"


def _fenced(text: str, language: str = "") -> str:
    """A block that no text can end by a fence of its own."""
    longest = max((len(run) for run in re.findall(r"`{3,}", text)), default=2)
    fence = "`" * (longest + 1)
    return f"{fence}{language}\n{text.rstrip()}\n{fence}"


def _emphasised(op: Op, text: str) -> str:
    return f"**{text}**" if op in _DANGEROUS else text


def _html(text: str) -> str:
    """Markdown's emphasis, where Markdown is not read."""
    return re.sub(r"\*\*(.+?)\*\*", r"<b>\1</b>", text)


def _cell(text: str) -> str:
    """One cell of a table."""
    return _inline(text).replace("|", "\\|")


def _inline(text: str) -> str:
    """One line in which no tag is a tag; what is between backticks is shown as it is."""
    parts = " ".join(text.split()).split("`")
    return "`".join(part if number % 2 else part.replace("<", "&lt;") for number, part in enumerate(parts))
