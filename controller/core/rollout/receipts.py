"""Receipts: what proves the revision that the primary runs.

A receipt is begun in the analysis, with the first thing that a person asks of a rollout, filled in when the promotion
starts, as the analysis is then, and handed out when the rollout has succeeded. `settle.stamp` lets go of one whose
revision the primary does not run, or that is not tried any more.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from pydantic import ValidationError

from controller.api.errors import shown
from controller.api.instruction import Instruction, Verb
from controller.api.names import OVERRIDE_ANNOTATION
from controller.api.receipt import SKIPS, Override, Receipt, Verdict
from controller.core.analysis.findings import find_all
from controller.core.model import State
from controller.core.objects.kinds import as_workload
from controller.core.objects.manifests import canonical_json
from controller.core.objects.pods import image_ids
from controller.core.objects.workload import REVISION_LENGTH, primary_revision
from controller.core.probes import Pods, PodsProbe
from controller.core.rollout.phases import ANALYSIS
from controller.core.tick import Tick

_NOTED = (Verb.PROMOTE, Verb.PROMOTE_FULLY, Verb.APPROVE, Verb.WEIGHT)
"""Actions after which a rollout is not what its spec says."""


def note(state: State, override: Override) -> State:
    """``state`` with something in the receipt to come that was other than the spec has it."""
    begun = state.pending_receipt or (Receipt(revision=state.applied) if state.phase in ANALYSIS else None)
    if begun is None or override in begun.overrides:
        return state
    return replace(state, pending_receipt=begun.model_copy(update={"overrides": (*begun.overrides, override)}))


def note_action(state: State, asked: Instruction, who: str) -> State:
    """``state`` after a person's word was obeyed."""
    if asked.verb not in _NOTED:
        return state
    what = asked.verb.value if asked.weight is None else f"{asked.verb} {asked.weight}"
    return note(state, Override(what=what, by=who))


def filled_in(tick: Tick) -> Receipt | None:
    """The receipt as the promotion starts: whoever edits the analysis later does not change what it was.

    None where the primary has the revision already: this rollout is not why.
    """
    template, state, primary = as_workload(tick.target).template, tick.state, tick.facts.primary
    if primary is not None and primary_revision(primary) == state.applied:
        return None
    for override in _declared(tick):
        state = note(state, override)
    begun = state.pending_receipt or Receipt(revision=state.applied)
    return begun.model_copy(
        update={
            "images": {each["name"]: each.get("image", "") for each in template["spec"]["containers"]},
            "pod_template": _digest(template),
            "configs": dict(state.tracked_configs),
            "analysis": _digest(tick.analysis.to_dict()),
            "verdicts": tuple(_verdicts(tick)),
        }
    )


def _declared(tick: Tick) -> Iterator[Override]:
    """What the Canary itself says: why there is no analysis, and why the version needed no proof elsewhere."""
    if text := tick.canary.metadata.annotations.get(OVERRIDE_ANNOTATION):
        yield _without_proof(text)
    if tick.canary.spec.skip_analysis:
        yield Override(what="skipAnalysis")
    elif tick.state.applied in [each.revision for each in tick.former]:
        yield Override(what="rollbackWindow")


def _without_proof(text: str) -> Override:
    """What the stack wrote; what it did not write is kept as it is."""
    try:
        return Override.model_validate_json(text).model_copy(update={"what": "promotion"})
    except ValidationError:
        return Override(what="promotion", why=shown(text))


def _verdicts(tick: Tick) -> Iterator[Verdict]:
    for found in find_all(tick.canary, tick.state):
        yield Verdict(
            name=found.metric,
            verdict=found.verdict,
            detail=found.detail,
            value=found.value if found.value is not None and math.isfinite(found.value) else None,
            requests=found.requests,
            p_value=found.p_value,
            dry_run=found.dry_run,
        )


def unread_images(tick: Tick) -> PodsProbe | None:
    """Whose images to ask for before the canary's pods go; None where they are read, or run a newer revision."""
    probe = tick.pods(tick.target)
    return None if tick.moved_on or probe.key in tick.observation.results else probe


def handed_out(tick: Tick) -> Receipt | None:
    """The receipt of the rollout that succeeds now; the one before where it had nothing to promote."""
    begun = tick.state.pending_receipt
    if begun is None:
        return tick.state.receipt
    answer = tick.observation.results.get(tick.pods(tick.target).key)
    found = image_ids(tick.target, answer.pods) if isinstance(answer, Pods) and not tick.moved_on else {}
    skipped = next((str(each) for each in begun.overrides if each.what in SKIPS), "")
    return begun.model_copy(
        update={
            "image_ids": {name: found[name] for name in begun.images if name in found},
            "skipped": skipped,
            "promoted_at": tick.facts.now.replace(microsecond=0),
        }
    )


def _digest(value: Any) -> str:
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()[:REVISION_LENGTH]
