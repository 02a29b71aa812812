"""The inputs that a refresh or an import reports: the program's fields as they are on the cluster now."""

from typing import Any

_ABSENT = object()
_SERVER_METADATA = (
    "creationTimestamp",
    "deletionGracePeriodSeconds",
    "deletionTimestamp",
    "generation",
    "managedFields",
    "resourceVersion",
    "selfLink",
    "uid",
)


def drifted_inputs(inputs: Any, known: Any, live: Any) -> Any:
    """`inputs` with what has drifted taken over from `live`.

    Args:
        inputs: the inputs of the last update.
        known: the object as the server returned it after that update.
        live: the object now.

    An input whose place did not change between `known` and `live` stays as the program wrote it, however the server
    spells it (`1000m` stored as `1`, defaults, a webhook's edits, write-only `stringData`). Fields outside the inputs
    are not looked at.
    """
    result = _drift(inputs, known, live)
    return {} if result is _ABSENT else result


def _drift(inputs: Any, known: Any, live: Any) -> Any:
    if known == live or (known is _ABSENT and live is _ABSENT):
        return inputs
    if isinstance(inputs, dict) and isinstance(live, dict):
        before = known if isinstance(known, dict) else {}
        parts = {key: _drift(item, before.get(key, _ABSENT), live.get(key, _ABSENT)) for key, item in inputs.items()}
        return {key: item for key, item in parts.items() if item is not _ABSENT}
    if isinstance(inputs, list) and isinstance(live, list) and len(inputs) == len(live):
        before_items = known if isinstance(known, list) and len(known) == len(live) else [_ABSENT] * len(live)
        return [_drift(i, b, item) for i, b, item in zip(inputs, before_items, live, strict=True)]
    return live


def imported_inputs(live: dict[str, Any]) -> dict[str, Any]:
    """The inputs that would make this object: without status and what the server alone sets."""
    metadata = {key: value for key, value in live["metadata"].items() if key not in _SERVER_METADATA}
    return {**{key: value for key, value in live.items() if key != "status"}, "metadata": metadata}
