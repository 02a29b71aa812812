"""What changed between the inputs of the last update and the program's inputs of now.

Only inputs are compared, so fields that other managers set (a controller scaling, an HPA, a webhook filling in a
bundle) never show up as a change: the same rule as the official plugin's.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from sandbox.plugin.property_path import WILDCARD, Path, Step, resolve
from sandbox.plugin.wire import UNKNOWN


class Change(Enum):
    ADD = "add"
    DELETE = "delete"
    UPDATE = "update"


@dataclass(frozen=True)
class Difference:
    """Changes by path, the paths among them that force a replacement, and in which order to replace."""

    changes: Mapping[Path, Change]
    replaces: frozenset[Path] = frozenset()
    delete_before_replace: bool = False


def changes_between(old: Any, new: Any) -> dict[Path, Change]:
    """Every changed leaf. A mapping or list that appears or vanishes whole is one change, at its own path."""
    return dict(_walk(old, new, ()))


def _walk(old: Any, new: Any, path: Path) -> Iterator[tuple[Path, Change]]:
    if isinstance(old, dict) and isinstance(new, dict):
        keys: list[Step] = [*old, *(key for key in new if key not in old)]
        yield from _walk_children(keys, old, new, path, lambda side, key: key in side)
    elif isinstance(old, list) and isinstance(new, list):
        indexes: list[Step] = list(range(max(len(old), len(new))))
        yield from _walk_children(indexes, old, new, path, lambda side, i: i < len(side))
    elif type(old) is not type(new) or old != new or new == UNKNOWN:
        yield path, Change.UPDATE


def _walk_children(
    steps: Sequence[Step], old: Any, new: Any, path: Path, has: Callable[[Any, Any], bool]
) -> Iterator[tuple[Path, Change]]:
    for step in steps:
        here = (*path, step)
        if not has(new, step):
            yield here, Change.DELETE
        elif not has(old, step):
            yield here, Change.ADD
        else:
            yield from _walk(old[step], new[step], here)


def touches(path: Path, rule: Path, old: Any, new: Any) -> bool:
    """Whether a change at `path` changes what `rule` (a path, WILDCARD for any index) names: it, something in it, or
    a whole that holds it on one of the two sides.
    """
    common = min(len(path), len(rule))
    if any(r not in (WILDCARD, p) for p, r in zip(path[:common], rule[:common], strict=True)):
        return False
    if len(path) >= len(rule):
        return True
    pattern = (*path, *rule[common:])
    return any(next(resolve(side, pattern), None) is not None for side in (old, new))


def find_difference(old: Any, new: Any, immutable: Sequence[Path]) -> Difference:
    """The changes, and those that an immutable property turns into a replacement."""
    changes = changes_between(old, new)
    replaces = frozenset(path for path in changes if any(touches(path, rule, old, new) for rule in immutable))
    return Difference(changes, replaces)
