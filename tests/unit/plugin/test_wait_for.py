"""The annotation pulumi.com/waitFor."""

from typing import Any

import pytest

from sandbox.plugin.wait_for import Condition, JsonPath, parse_wait_for

CANARY: dict[str, Any] = {
    "spec": {"replicas": 2, "weights": [10, 20]},
    "status": {
        "phase": "Succeeded",
        "canaryWeight": 0,
        "conditions": [{"type": "Promoted", "status": "True", "reason": "Succeeded"}],
        "ports": [{"name": "http", "port": 80}, {"name": "grpc", "port": 81}],
        "empty": "",
    },
    "metadata": {"annotations": {"a.b/c": "yes"}},
}


@pytest.mark.parametrize(
    ("annotation", "parsed"),
    [
        ("condition=Ready", (Condition("Ready"),)),
        ("condition=Promoted=Unknown", (Condition("Promoted", "Unknown"),)),
        ("jsonpath={.status.phase}=Running", (JsonPath("{.status.phase}", "Running"),)),
        ("jsonpath='{.status.phase}'=Running", (JsonPath("{.status.phase}", "Running"),)),
        ("jsonpath={.status.phase}", (JsonPath("{.status.phase}", None),)),
        (
            '["condition=Ready", "jsonpath={.a}=1"]',
            (Condition("Ready"), JsonPath("{.a}", "1")),
        ),
    ],
)
def test_expressions_are_parsed(annotation: str, parsed: tuple[object, ...]) -> None:
    assert parse_wait_for(annotation) == parsed


@pytest.mark.parametrize(
    ("annotation", "complaint"),
    [
        ("Ready", "must begin with condition= or jsonpath="),
        ("condition=", "names no condition"),
        ("jsonpath=.status.phase", "must be jsonpath="),
        ("jsonpath={.status[}", "cannot read the JSONPath"),
        ("jsonpath={}", "selects nothing"),
        ("[]", "at least one expression"),
        ("[1]", "each a string"),
    ],
)
def test_a_bad_expression_is_refused_with_the_reason(annotation: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        parse_wait_for(annotation)


@pytest.mark.parametrize(
    ("annotation", "holds"),
    [
        ("condition=Promoted", True),
        ("condition=promoted=true", True),
        ("condition=Promoted=False", False),
        ("condition=Other", False),
        ("jsonpath={.status.phase}=Succeeded", True),
        ("jsonpath={.status.phase}=Failed", False),
        ("jsonpath={.status.canaryWeight}=0", True),
        ("jsonpath={.status.canaryWeight}", True),
        ("jsonpath={.status.nothing}", False),
        ("jsonpath={.status.nothing}=0", False),
        ("jsonpath={.spec.weights[1]}=20", True),
        ("jsonpath={.spec.weights[-1]}=20", True),
        ("jsonpath={.spec.weights[*]}=20", False),
        ('jsonpath={.status.conditions[?(@.type=="Promoted")].reason}=Succeeded', True),
        ("jsonpath={.status.ports[?(@.name=='grpc')].port}=81", True),
        ("jsonpath={.metadata.annotations['a.b/c']}=yes", True),
        (r"jsonpath={.metadata.annotations.a\.b/c}=yes", True),
    ],
)
def test_an_expression_is_judged_on_the_live_object(annotation: str, holds: bool) -> None:
    assert all(item.holds(CANARY) for item in parse_wait_for(annotation)) is holds
