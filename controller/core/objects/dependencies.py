"""``spec.dependsOn``: the Canaries whose rollouts come first, read from manifests of any content."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

from controller.core.model import Manifest


def needs(manifest: Manifest) -> tuple[str, ...]:
    """``NAMESPACE/NAME`` of the Canaries in ``spec.dependsOn``, whatever else the spec is like."""
    spec, own = manifest.get("spec"), manifest["metadata"].get("namespace", "")
    references = spec.get("dependsOn") if isinstance(spec, Mapping) else None
    named = (each for each in references if isinstance(each, Mapping)) if isinstance(references, list) else ()
    return tuple(f"{each.get('namespace') or own}/{each.get('name')}" for each in named)


def ways(start: str, needs_of: Callable[[str], Iterable[str]]) -> Iterator[tuple[str, ...]]:
    """The shortest way from a Canary to each one that it waits for, both ends included; to itself in a circle.

    Args:
        start: ``NAMESPACE/NAME``.
        needs_of: what a Canary depends on; nothing where it does not exist.
    """
    seen = set[str]()
    following: list[tuple[str, ...]] = [(start,)]
    for way in following:
        for need in needs_of(way[-1]):
            if need not in seen:
                seen.add(need)
                following.append((*way, need))
                yield (*way, need)


def find_circle(start: str, needs_of: Callable[[str], Iterable[str]]) -> tuple[str, ...]:
    """The way from a Canary back to itself; empty if there is none."""
    return next((way for way in ways(start, needs_of) if way[-1] == start), ())


def circle_problem(circle: tuple[str, ...]) -> str:
    """Why none of these Canaries can go first; empty if there is no circle."""
    return f"spec.dependsOn leads in a circle: {' -> '.join(circle)}; remove one of these references" if circle else ""
