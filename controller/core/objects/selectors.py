"""Which pods are whose: the labels that the Services, and the primary, select by.

A Service selects by the whole selector of its workload, as far as a Service can: by equality. The primary's pods carry
the target's labels but for one, which tells the two apart.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from controller.api.errors import CanaryError
from controller.api.names import primary_name
from controller.core.model import Manifest


class SelectorError(CanaryError):
    """The target has no label that tells the primary's pods from its own."""


def selector_label(target: Manifest, candidates: Sequence[str]) -> tuple[str, str]:
    """The label that tells primary from canary, and its value: the first of ``candidates`` in the selector.

    Raises:
        SelectorError: there is none.
    """
    labels = service_selector(target)
    label = next((each for each in candidates if each in labels), None)
    if label is not None:
        return label, labels[label]
    found = ", ".join(labels) or "none"
    raise SelectorError(
        f"{target['kind']} {target['metadata']['name']}: spec.selector.matchLabels must have one of "
        f"{', '.join(candidates)}, found {found}"
    )


def service_selector(workload: Manifest) -> dict[str, str]:
    """All that a Service can select a workload's pods by: ``matchLabels``, and expressions with one allowed value.

    Other expressions only narrow the choice; pods that they would have kept out are found by ``overlaps``.
    """
    selector = workload["spec"]["selector"]
    only = {
        expression["key"]: expression["values"][0]
        for expression in selector.get("matchExpressions") or ()
        if expression.get("operator") == "In" and len(expression.get("values") or ()) == 1
    }
    return {**(selector.get("matchLabels") or {}), **only}


def primary_selector(target: Manifest, candidates: Sequence[str]) -> dict[str, str]:
    """What a new primary selects by: the target's selector with the value of the telling label replaced."""
    label, value = selector_label(target, candidates)
    return {**service_selector(target), label: primary_name(value)}


def service_selectors(
    target: Manifest, primary: Manifest | None, candidates: Sequence[str]
) -> Mapping[str, Mapping[str, str]]:
    """What the Services of the two sides select by, by the kind and name of the side.

    Raises:
        SelectorError: as by `selector_label`.
    """
    kind, own = target["kind"], target["metadata"]["name"]
    copied = primary_name(own) if primary is None else primary["metadata"]["name"]
    return {
        f"{kind} {own}": service_selector(target),
        f"{kind} {copied}": primary_selector(target, candidates) if primary is None else service_selector(primary),
    }


def overlaps(
    target: Manifest,
    primary: Manifest | None,
    workloads: Iterable[Manifest],
    candidates: Sequence[str],
    is_own: Callable[[Manifest], bool],
) -> str:
    """Which other workload's pods the Services would select too; empty where there is none.

    Args:
        target: the workload that the user edits.
        primary: its copy, where it exists.
        workloads: of the namespace, those that may have the labels of a selector.
        candidates: labels that can distinguish the two.
        is_own: whether a workload is the Canary's: a former primary, which serves until it is removed.
    """
    selectors = service_selectors(target, primary, candidates)
    for workload in (*workloads, *([primary] if primary else [])):
        labels = pod_labels(workload)
        for selecting, selector in selectors.items():
            if any(labels.get(key) != value for key, value in selector.items()):
                continue  # nearly all of them; the namespace may have hundreds
            other = f"{workload['kind']} {workload['metadata']['name']}"
            if other != selecting and (workload is primary or not is_own(workload)):
                return _overlap(selecting, selector, other)
    return ""


def _overlap(selecting: str, selector: Mapping[str, str], other: str) -> str:
    return (
        f"the selector of {selecting} ({', '.join(f'{key}={value}' for key, value in selector.items())}) "
        f"also matches the pods of {other}, which would get its traffic; add a label to the selector of "
        f"one of them that the other does not have"
    )


def pod_labels(workload: Manifest) -> Mapping[str, str]:
    """The labels of a workload's newest pods."""
    labels: Mapping[str, str] = (workload["spec"]["template"].get("metadata") or {}).get("labels") or {}
    return labels
