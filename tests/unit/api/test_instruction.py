"""What a person may write into the annotation, and what is said about everything else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.api.instruction import FORM, Instruction, Verb, parse_instruction

REVISION = "79b4f6a0c1d2e3f4"
GOOD = {
    f"pause revision={REVISION} nonce=1": Instruction(Verb.PAUSE, REVISION, 1),
    f"promote-fully nonce=1732900000 revision={REVISION}": Instruction(Verb.PROMOTE_FULLY, REVISION, 1732900000),
    f"  weight  20 revision={REVISION}\n nonce=7 by=alice@example.com ": Instruction(
        Verb.WEIGHT, REVISION, 7, "alice@example.com", 20
    ),
}


@pytest.mark.parametrize("text", GOOD)
def test_an_instruction_is_read(text):
    assert parse_instruction(text) == GOOD[text]


BAD = {
    "": f"'' is not an action; allowed are {', '.join(Verb)}",
    "Pause": f"'Pause' is not an action; allowed are {', '.join(Verb)}",
    "undo\x1b[2J": rf"'undo\\x1b[2J' is not an action; allowed are {', '.join(Verb)}",
    "pause": f"revision and nonce missing; write {FORM}",
    f"pause revision={REVISION}": f"nonce missing; write {FORM}",
    f"pause revision={REVISION} nonce=1 nonce=2": f"'nonce=2' is not expected; write {FORM}",
    f"pause 20 revision={REVISION} nonce=1": f"'20' is not expected; write {FORM}",
    "pause revision=79B4 nonce=1": "revision '79B4' must be the 16 digits of status.revision",
    f"pause revision={REVISION} nonce=-1": "nonce '-1' must be a whole number above the last one, such as the time in "
    "seconds",
    f"pause revision={REVISION} nonce=٣": "nonce '٣' must be a whole number above the last one, such as the time in "
    "seconds",
    f"pause revision={REVISION} nonce=1 by=": "by '' must be a name of at most 100 characters",
    f"weight revision={REVISION} nonce=1": "weight needs a percentage from 1 to 100 after it, as in weight 20",
    f"weight 0 revision={REVISION} nonce=1": "weight needs a percentage from 1 to 100 after it, as in weight 20",
    f"weight 101 revision={REVISION} nonce=1": "weight needs a percentage from 1 to 100 after it, as in weight 20",
    "pause " + "x" * 200: "has 206 characters; at most 200 are allowed",
}


@pytest.mark.parametrize("text", BAD)
def test_what_is_wrong_is_said(text):
    assert parse_instruction(text) == f"annotation flagger.app/action: {BAD[text]}"


@given(st.text(max_size=300))
def test_any_text_is_an_instruction_or_a_short_problem(text):
    parsed = parse_instruction(text)
    assert isinstance(parsed, Instruction) or len(parsed) < 1000


INSTRUCTIONS = st.builds(
    Instruction,
    st.sampled_from(sorted(set(Verb) - {Verb.WEIGHT})),
    st.text("0123456789abcdef", min_size=16, max_size=16),
    st.integers(1, 10**15 - 1),
    st.sampled_from(["", "alice", "system:serviceaccount:ci:deployer"]),
)


@given(
    st.one_of(
        INSTRUCTIONS,
        st.builds(Instruction, st.just(Verb.WEIGHT), st.just(REVISION), st.just(1), weight=st.integers(1, 100)),
    )
)
def test_what_is_written_is_what_is_read(instruction):
    assert parse_instruction(str(instruction)) == instruction
