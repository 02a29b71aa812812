"""Pulumi's property paths: `spec.template.spec.containers[0].image`, `metadata.labels["app.kubernetes.io/name"]`,
`a[*].b`.
"""

import re
from collections.abc import Iterator
from typing import Any

Step = str | int
Path = tuple[Step, ...]

WILDCARD = "*"
_TOKEN = re.compile(r'\.?([^.\[\]"]+)|\[(\d+|\*)\]|\["((?:[^"\\]|\\.)*)"\]')
_PLAIN = re.compile(r"^[A-Za-z_$][A-Za-z0-9_$-]*$")


def parse(text: str) -> Path:
    """The steps of a property path; `[*]` and `*` become WILDCARD. Raises ValueError on bad syntax."""
    steps: list[Step] = []
    at = 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise ValueError(f"bad property path {text!r} at column {at + 1}")
        name, index, quoted = match.groups()
        if quoted is not None:
            steps.append(quoted.replace('\\"', '"').replace("\\\\", "\\"))
        elif index is not None:
            steps.append(int(index) if index.isdigit() else WILDCARD)
        else:
            steps.append(name)
        at = match.end()
    return tuple(steps)


def render(path: Path) -> str:
    """The path as Pulumi writes it in detailed diffs; inverse of `parse` for paths without wildcards."""
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
        elif _PLAIN.match(step):
            text += f".{step}" if text else step
        else:
            quoted = step.replace("\\", "\\\\").replace('"', '\\"')
            text += f'["{quoted}"]'
    return text


def resolve(value: Any, pattern: Path) -> Iterator[Path]:
    """Every concrete path in `value` that `pattern` names. A WILDCARD stands for each key or index."""
    if not pattern:
        yield ()
        return
    for step, child in _children(value, pattern[0]):
        for rest in resolve(child, pattern[1:]):
            yield (step, *rest)


def _children(value: Any, step: Step) -> Iterator[tuple[Step, Any]]:
    match value:
        case dict():
            keys = list(value) if step == WILDCARD else [step]
            yield from ((key, value[key]) for key in keys if key in value)
        case list():
            indexes = range(len(value)) if step == WILDCARD else [step]
            yield from ((i, value[i]) for i in indexes if isinstance(i, int) and i < len(value))
        case _:
            return


def get(value: Any, path: Path) -> Any:
    """What lies at a concrete path; KeyError or IndexError if nothing does."""
    for step in path:
        value = value[step]
    return value


def replace(value: Any, path: Path, new: Any) -> Any:
    """A copy of `value` with `new` at a concrete, existing path."""
    if not path:
        return new
    changed: Any = value.copy()
    changed[path[0]] = replace(value[path[0]], path[1:], new)
    return changed
