"""What a person asks of a rollout, as the text of one annotation of the Canary.

``ACTION [PERCENT] revision=REVISION nonce=NUMBER [by=NAME]``, as in ``pause revision=79b4f6a0c1d2e3f4 nonce=1``:
short enough to write by hand, and the same for kubectl, a pipeline and the command line.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from controller.api.errors import SHOWN_CHARACTERS, shown
from controller.api.names import ACTION_ANNOTATION

FORM = "ACTION [PERCENT] revision=REVISION nonce=NUMBER [by=NAME]"
_FIELDS = {
    "revision": (re.compile(r"[0-9a-f]{16}"), "the 16 digits of status.revision"),
    "nonce": (re.compile(r"[1-9][0-9]{0,14}"), "a whole number above the last one, such as the time in seconds"),
    "by": (re.compile(r"\S{1,100}"), "a name of at most 100 characters"),
}
_REQUIRED = ("revision", "nonce")


class Verb(StrEnum):
    """What can be asked for; ``docs/by-hand.md`` describes each."""

    PROMOTE = "promote"
    PROMOTE_FULLY = "promote-fully"
    PAUSE = "pause"
    RESUME = "resume"
    ABORT = "abort"
    RETRY = "retry"
    APPROVE = "approve"
    WEIGHT = "weight"


@dataclass(frozen=True, slots=True)
class Instruction:
    """One thing asked of one revision, once.

    Attributes:
        revision: what it is for; for any other it is refused.
        nonce: larger than that of every instruction before.
        by: who says it, in their own words; empty: they did not say.
        weight: percent of the traffic, of `Verb.WEIGHT` only.
    """

    verb: Verb
    revision: str
    nonce: int
    by: str = ""
    weight: int | None = None

    def __str__(self) -> str:
        """The annotation's value."""
        percent = "" if self.weight is None else f" {self.weight}"
        by = f" by={self.by}" if self.by else ""
        return f"{self.verb}{percent} revision={self.revision} nonce={self.nonce}{by}"


def parse_instruction(text: str) -> Instruction | str:
    """The instruction, or what is wrong with the text."""
    if len(text) > SHOWN_CHARACTERS:  # the status remembers no more of it
        return _wrong(f"has {len(text)} characters; at most {SHOWN_CHARACTERS} are allowed")
    first, *rest = text.split() or [""]
    if first not in list(Verb):
        return _wrong(f"{shown(first)!r} is not an action; allowed are {', '.join(Verb)}")
    verb = Verb(first)
    percent = rest.pop(0) if verb is Verb.WEIGHT and rest else ""
    if verb is Verb.WEIGHT and not re.fullmatch(r"[1-9][0-9]?|100", percent):
        return _wrong("weight needs a percentage from 1 to 100 after it, as in weight 20")
    fields = _fields(rest)
    if isinstance(fields, str):
        return _wrong(fields)
    weight = int(percent) if percent else None
    return Instruction(verb, fields["revision"], int(fields["nonce"]), fields.get("by", ""), weight)


def _fields(parts: Sequence[str]) -> dict[str, str] | str:
    """The values by name, or what is wrong with one."""
    fields: dict[str, str] = {}
    for part in parts:
        name, _, value = part.partition("=")
        if name not in _FIELDS or name in fields:
            return f"{shown(part)!r} is not expected; write {FORM}"
        pattern, allowed = _FIELDS[name]
        if not pattern.fullmatch(value) or not value.isprintable():
            return f"{name} {shown(value)!r} must be {allowed}"
        fields[name] = value
    missing = [name for name in _REQUIRED if name not in fields]
    return f"{' and '.join(missing)} missing; write {FORM}" if missing else fields


def _wrong(what: str) -> str:
    return f"annotation {ACTION_ANNOTATION}: {what}"
