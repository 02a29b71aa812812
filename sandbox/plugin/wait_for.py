"""The annotation `pulumi.com/waitFor`: `condition=Ready`, `condition=Ready=False`,
`jsonpath={.status.phase}=Running`, `jsonpath={.status.address}` (any value), or a JSON array of such expressions that
must all hold.
"""

import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

_STEP = re.compile(
    r"""\.(?P<name>(?:[^\s.\[\]{}()'"\\]|\\.)+)
      | \[(?P<index>-?\d+)\]
      | \[(?P<all>\*)\]
      | \[(?P<quote>['"])(?P<key>.*?)(?P=quote)\]
      | \[\?\(\s*@\.(?P<field>[\w.-]+)\s*==\s*(?P<q>['"])(?P<equals>.*?)(?P=q)\s*\)\]
    """,
    re.VERBOSE,
)

Select = Callable[[Any], Iterator[Any]]


@dataclass(frozen=True)
class Condition:
    """A status condition of a type must have a status (compared without case, as kubectl does)."""

    type: str
    status: str = "True"

    def __str__(self) -> str:
        return f"condition {self.type}={self.status}"

    def holds(self, obj: dict[str, Any]) -> bool:
        conditions = (obj.get("status") or {}).get("conditions") or []
        return any(
            c.get("type", "").lower() == self.type.lower() and c.get("status", "").lower() == self.status.lower()
            for c in conditions
        )


@dataclass(frozen=True)
class JsonPath:
    """A JSONPath must select one value, equal to `value` if that is given."""

    expression: str
    value: str | None

    def __str__(self) -> str:
        return f"{self.expression}={self.value}" if self.value is not None else f"{self.expression} to have a value"

    def holds(self, obj: dict[str, Any]) -> bool:
        found = list(_select(_parse_path(self.expression), obj))
        if self.value is None:
            return bool(found)
        return len(found) == 1 and _text(found[0]) == self.value


WaitFor = Condition | JsonPath


def parse_wait_for(annotation: str) -> tuple[WaitFor, ...]:
    """The expressions of the annotation. Raises ValueError saying what is wrong with which one."""
    try:
        listed = json.loads(annotation)
    except ValueError:
        listed = annotation
    expressions = listed if isinstance(listed, list) else [annotation]
    if not expressions or not all(isinstance(item, str) for item in expressions):
        raise ValueError("must be an expression or a JSON array of at least one expression, each a string")
    return tuple(_parse_expression(item) for item in expressions)


def _parse_expression(text: str) -> WaitFor:
    if text.startswith("condition="):
        kind, _, status = text.removeprefix("condition=").partition("=")
        if not kind:
            raise ValueError(f"{text!r} names no condition")
        return Condition(kind, status or "True")
    if text.startswith("jsonpath="):
        match = re.fullmatch(r"""(['"]?)(\{.*\})\1(?:=(.*))?""", text.removeprefix("jsonpath="))
        if match is None:
            raise ValueError(f"{text!r} must be jsonpath={{.path}} or jsonpath={{.path}}=value")
        value = match[3].strip("'\"") if match[3] is not None else None
        _parse_path(match[2])
        return JsonPath(match[2], value)
    raise ValueError(f"{text!r} must begin with condition= or jsonpath=")


def _parse_path(expression: str) -> list[Select]:
    """The selections of `{.a.b[0]['c'].d[*].e[?(@.type=="Ready")].status}`, in order."""
    inner = expression[1:-1].strip().removeprefix("$")
    selections: list[Select] = []
    at = 0
    while at < len(inner):
        match = _STEP.match(inner, at)
        if match is None:
            raise ValueError(f"cannot read the JSONPath {expression} from {inner[at:]!r} on")
        selections.append(_selection(match))
        at = match.end()
    if not selections:
        raise ValueError(f"the JSONPath {expression} selects nothing")
    return selections


def _selection(match: re.Match[str]) -> Select:
    part = match.groupdict()
    if part["name"] is not None:
        return _child(re.sub(r"\\(.)", r"\1", part["name"]))
    if part["key"] is not None:
        return _child(part["key"])
    if part["index"] is not None:
        return _item(int(part["index"]))
    if part["all"] is not None:
        return _items
    return _matching(part["field"].split("."), part["equals"])


def _child(key: str) -> Select:
    def select(value: Any) -> Iterator[Any]:
        if isinstance(value, dict) and key in value:
            yield value[key]

    return select


def _item(index: int) -> Select:
    def select(value: Any) -> Iterator[Any]:
        if isinstance(value, list) and -len(value) <= index < len(value):
            yield value[index]

    return select


def _items(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        yield from value.values()
    elif isinstance(value, list):
        yield from value


def _matching(field: Sequence[str], equals: str) -> Select:
    path = [_child(name) for name in field]

    def select(value: Any) -> Iterator[Any]:
        yield from (item for item in _items(value) if any(_text(found) == equals for found in _select(path, item)))

    return select


def _select(path: Sequence[Select], value: Any) -> Iterator[Any]:
    if not path:
        yield value
        return
    for child in path[0](value):
        yield from _select(path[1:], child)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))
