"""What the policy pack says, read from the events of Pulumi."""

from __future__ import annotations

from pathlib import Path

import pytest

from preview.policies import Violation, policy_options, read_violations
from tests.unit.preview.steps import event


def test_every_violation_is_read_once_and_the_mandatory_ones_come_first():
    log = "\n".join(
        (
            '{"preludeEvent": {"config": {}}}',
            event("b", "x: advised", "advisory"),
            event("c", "y: refused", "mandatory"),
            event("a", "x: advised", "advisory"),
            event("c", "y: refused", "mandatory"),
            "",
        )
    )
    assert [*read_violations(log)] == [
        Violation("c", "y: refused", is_mandatory=True),
        Violation("a", "x: advised", is_mandatory=False),
        Violation("b", "x: advised", is_mandatory=False),
    ]


@pytest.mark.parametrize(
    ("files", "stack", "options"),
    [
        ([], "prod", []),
        (["policy/PulumiPolicy.yaml"], "prod", ["--policy-pack=policy"]),
        (
            ["policy/PulumiPolicy.yaml", "policy/prod.json"],
            "organization/project/prod",
            ["--policy-pack=policy", "--policy-pack-config=policy/prod.json"],
        ),
    ],
)
def test_the_pack_of_the_project_is_asked_with_what_is_mandatory_for_the_stack(
    files, stack, options, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    for file in files:
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).touch()
    assert [*policy_options(stack)] == options
