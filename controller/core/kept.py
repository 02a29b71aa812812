"""What is kept of the rollouts of a Canary: one ConfigMap of bounded size, with a key for each rollout, its number."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from controller.api.canary import Canary
from controller.api.history import History, Rollout, read_rollouts
from controller.api.names import API_VERSION, CANARY_KIND, history_name
from controller.core.history import Origin, from_rest, joined, see, thinned
from controller.core.model import Manifest

MOST_ROLLOUTS = 20
MOST_BYTES = 200 * 1024
"""Of all rollouts; etcd takes 1.5 MiB an object, and a cluster may have hundreds of Canaries."""
LEAST_SAMPLES = 8
"""A rollout that is thinned keeps so many, if there is room at all."""


def merged(kept: History, seen: Sequence[Rollout]) -> History:
    """The rollouts that were kept, with those that were seen since: known ones go on, others get the next number."""
    known = {each.started_at: each for each in kept}
    number = max((each.number for each in kept), default=0)
    for rollout in seen:
        before = known.get(rollout.started_at)
        number += before is None
        known[rollout.started_at] = joined(before, rollout) if before else rollout.model_copy(update={"number": number})
    return tuple(sorted(known.values(), key=lambda each: each.number))[-MOST_ROLLOUTS:]


def up_to_date(kept: History, seen: Sequence[Rollout], canary: Canary) -> History:
    """The rollouts that were kept with those seen since; where nobody has seen any, with what the status says."""
    if not seen:
        current = see(None, canary, None, Origin()).rollout
        ended = from_rest(canary) if kept and kept[-1].outcome is None else None
        if ended is not None and ended.started_at == kept[-1].started_at:
            current = ended  # a controller that was killed before it could write the end
        seen = [current] if current is not None else []
    return merged(kept, seen)


def history_data(live: Manifest | None, seen: Sequence[Rollout]) -> dict[str, str]:
    """The ``data`` of the ConfigMap after some rollouts: at most `MOST_ROLLOUTS` and `MOST_BYTES`.

    Where it would be too large, the oldest series are thinned first, then the newer ones; then the oldest rollouts go.
    """
    rollouts = {each.number: each for each in merged(read_history(live), seen)}
    data = {number: _text(rollout) for number, rollout in rollouts.items()}
    while sum(map(len, data.values())) > MOST_BYTES:
        thick = next((number for number, each in rollouts.items() if len(each.samples) > LEAST_SAMPLES), None)
        if thick is not None:
            samples = thinned(rollouts[thick].samples, max(LEAST_SAMPLES, len(rollouts[thick].samples) // 2))
            rollouts[thick] = rollouts[thick].model_copy(update={"samples": samples})
        else:
            thick, last = next(iter(rollouts.items()))
            if len(rollouts) > 1:
                del rollouts[thick], data[thick]
                continue
            rollouts[thick] = last.model_copy(update={"samples": (), "verdicts": (), "limits": ()})
            return {str(thick): _text(rollouts[thick])}
        data[thick] = _text(rollouts[thick])
    return {str(number): text for number, text in data.items()}


def _text(rollout: Rollout) -> str:
    """ASCII: its length is that in bytes."""
    return json.dumps(rollout.to_dict(), separators=(",", ":"))


def history_object(canary: Manifest, data: Mapping[str, str], live: Manifest | None) -> dict[str, Any]:
    """The ConfigMap. The Canary owns it and does not control it: what it controls follows from its spec."""
    metadata = canary["metadata"]
    version = {"resourceVersion": live["metadata"]["resourceVersion"]} if live is not None else {}
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": history_name(metadata["name"]),
            "namespace": metadata["namespace"],
            "ownerReferences": [_owner(metadata)],
            **version,
        },
        "data": dict(data),
    }


def is_history_of(canary: Manifest, live: Manifest) -> bool:
    """Whether a ConfigMap is the history of this Canary, and not of one before it, or somebody's of that name."""
    return _owner(canary["metadata"]) in (live["metadata"].get("ownerReferences") or ())


def _owner(metadata: Mapping[str, Any]) -> dict[str, str]:
    return {"apiVersion": API_VERSION, "kind": CANARY_KIND, "name": str(metadata["name"]), "uid": str(metadata["uid"])}


def read_history(live: Manifest | None) -> History:
    """The rollouts in a ConfigMap; none where there is no such object."""
    return read_rollouts((live or {}).get("data") or {})
