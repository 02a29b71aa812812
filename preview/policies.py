"""What the policy pack says of a preview, read from the log of events that Pulumi writes."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PACK = Path("policy")
"""The folder of the pack, in the project; a stack's file there, ``prod.json``, says what is mandatory for it."""
_COLOURS = re.compile(r"<\{%.*?%\}>")


@dataclass(frozen=True, slots=True)
class Violation:
    """What is against a rule; `up` refuses it where the rule is mandatory for the stack."""

    rule: str
    message: str
    is_mandatory: bool


def policy_options(stack: str) -> Iterator[str]:
    """The options by which Pulumi asks the pack of the project in the current folder; none if it has no pack."""
    if (PACK / "PulumiPolicy.yaml").is_file():
        yield f"--policy-pack={PACK}"
        if (levels := PACK / f"{stack.rpartition('/')[2]}.json").is_file():
            yield f"--policy-pack-config={levels}"


def read_violations(log: str) -> Iterator[Violation]:
    """Every violation once, those first that Pulumi does not let pass."""
    events = (json.loads(line).get("policyEvent") for line in log.splitlines() if line.strip())
    found = dict.fromkeys(
        Violation(
            event["policyName"],
            # Pulumi writes the description of the rule first, in a line of its own.
            _COLOURS.sub("", event["message"]).strip().rpartition("\n")[2],
            event["enforcementLevel"] == "mandatory",
        )
        for event in events
        if event
    )
    yield from sorted(found, key=lambda each: (not each.is_mandatory, each.rule, each.message))
