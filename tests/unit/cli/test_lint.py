"""``canary lint``: the words of the models, and where."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from controller.api import InvalidObject, unsupported_fields
from controller.cli import app
from controller.cli.lint import PARSERS, check_files
from tests.unit.api.bad_cases import BAD
from tests.unit.api.cases import GOOD

CANARY = """\
apiVersion: flagger.app/v1beta1
kind: Canary
metadata: {name: backend, namespace: prod}
spec:
  targetRef: {apiVersion: apps/v1, kind: Deployment, name: backend}
  service: {port: 9898}
  analysis:
    interval: 10s
    threshold: 3
    stepWeight: 10
    metrics:
      - name: error-rate
        templateRef: {name: error-rate}
        thresholdRange: {max: 1}
"""
TEMPLATE = """\
apiVersion: flagger.app/v1beta1
kind: MetricTemplate
metadata: {name: error-rate, namespace: prod}
spec:
  provider: {type: prometheus, address: http://prometheus:9090}
  query: 'errors{workload="{{ target }}"}'
"""
OTHER = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: backend}\n"


@pytest.fixture
def check(tmp_path, monkeypatch):
    """The findings about files of this content, as they are printed."""
    monkeypatch.chdir(tmp_path)

    def findings(**files: str) -> list[str]:
        for name, content in files.items():
            Path(f"{name}.yaml").write_text(content)
        return [str(finding) for finding in check_files([f"{name}.yaml" for name in files])[0]]

    return findings


def test_valid_files_have_no_findings(check):
    assert check(a=f"{CANARY}---\n{TEMPLATE}---\n{OTHER}---\n", b="", c="just text") == []


@pytest.mark.parametrize("bad", BAD, ids=[bad.name for bad in BAD])
def test_an_invalid_object_has_the_error_messages_of_the_api(check, bad):
    """The same table holds the models and a real API server to these words."""
    obj = bad.manifest()
    with pytest.raises(InvalidObject) as caught:
        PARSERS[obj["kind"]](obj)
    found = check(a=yaml.safe_dump(obj))
    for problem in caught.value.problems:
        assert any(line.endswith(f": {problem}") and ": error: " in line for line in found), (str(problem), found)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (
            "interval: 10s",
            "interval: soon",
            (
                "a.yaml:8: error: Canary prod/backend: spec.analysis.interval: Invalid value: "
                '"soon": must be a duration such as "30s", "1m30s" or "500ms"'
            ),
        ),
        (
            "    stepWeight: 10\n",
            "",
            (
                'a.yaml:8: error: Canary prod/backend: spec.analysis: Invalid value: "object": '
                "exactly one of iterations, stepWeight, stepWeights must be set"
            ),
        ),
        ("  service: {port: 9898}\n", "", "a.yaml:5: error: Canary prod/backend: spec.service: Required value"),
        (
            "thresholdRange: {max: 1}",
            "thresholdRange: {maximum: 1}",
            (
                "a.yaml:14: error: Canary prod/backend: spec.analysis.metrics[0].thresholdRange.maximum: "
                'unknown field; did you mean "max"? (known: max, min)'
            ),
        ),
        (
            "v1beta1",
            "v1",
            (
                "a.yaml:1: error: Canary prod/backend: apiVersion: Unsupported value: "
                '"flagger.app/v1": supported values: "flagger.app/v1beta1"'
            ),
        ),
        (
            "spec:\n",
            "spec:\n  suspend: true\n  provider: linkerd\n",
            "a.yaml:6: error: Canary prod/backend: spec.provider: only istio is supported",
        ),
        (
            "name: error-rate}",
            "name: other}",
            (
                "a.yaml:13: note: Canary prod/backend: spec.analysis.metrics[0].templateRef: "
                "MetricTemplate prod/other is not in these files; it must exist in the cluster"
            ),
        ),
        (
            "metadata: {name: backend, namespace: prod}",
            "metadata: [1]",
            (
                'a.yaml:3: error: Canary (without a name): metadata: Invalid value: "array": must be of type object: '
                '"array"'
            ),
        ),
    ],
)
def test_a_finding_has_its_file_and_its_line(check, old, new, said):
    assert said in check(a=CANARY.replace(old, new, 1), b=TEMPLATE)


def test_a_later_document_and_an_item_of_a_list_have_their_position(check):
    broken = CANARY.replace("interval: 10s", "interval: soon")
    (finding,) = check(a=f"{OTHER}---\n{broken}", b=TEMPLATE)
    assert finding.startswith("a.yaml:12: error: document 2, Canary prod/backend: spec.analysis.interval: ")
    items = "apiVersion: v1\nkind: List\nitems:\n" + "".join(
        f"{'- ' if number == 0 else '  '}{line}\n" for number, line in enumerate(broken.splitlines())
    )
    (finding,) = check(a=items, b=TEMPLATE)
    assert finding.startswith("a.yaml:11: error: Canary prod/backend: spec.analysis.interval: ")


def test_a_placeholder_that_cannot_be_filled_is_an_error_no_schema_sees(check):
    (finding,) = check(a=CANARY, b=TEMPLATE.replace("{{ target }}", "{{ variables.region }}"))
    assert finding.startswith(
        "a.yaml:12: error: Canary prod/backend: spec.analysis.metrics[0]: "
        "placeholder {{ variables.region }} is unknown, there are: "
    )


COMPARED = "compare: {value: {templateRef: {name: error-rate}, better: lower}}"


@pytest.mark.parametrize(
    ("compare", "template", "said"),
    [
        pytest.param(COMPARED, TEMPLATE, "", id="a template for both sides"),
        pytest.param(
            COMPARED,
            "",
            "note: Canary prod/backend: spec.analysis.metrics[0].compare.value.templateRef: MetricTemplate",
            id="a template that is elsewhere",
        ),
        pytest.param(
            COMPARED,
            TEMPLATE.replace("{{ target }}", "backend"),
            "error: Canary prod/backend: spec.analysis.metrics[0].compare: the query is the same for canary and",
            id="a template for one side",
        ),
        pytest.param(
            "compare: {counters: {bad: 'a{{workload}}', total: 'b{{workload}}{{ a }}'}}",
            "",
            "error: Canary prod/backend: spec.analysis.metrics[0].compare: placeholder {{ a }} is unknown, there are: ",
            id="a placeholder",
        ),
    ],
)
def test_queries_of_a_comparison_are_checked(check, compare, template, said):
    below_100 = CANARY.replace("stepWeight: 10", "stepWeights: [10, 50]")
    found = check(a=below_100[: below_100.index("templateRef")] + f"{compare}\n", b=template)
    assert len(found) == bool(said)
    assert all(said in finding for finding in found)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("", "", "spec.targetRef: Deployment backend is also used by Canary backend"),
        (
            "name: backend}\n  service: {port: 9898}",
            "name: other}\n  service: {port: 9898, name: backend-primary}",
            "spec.service.name: Service backend-primary is also used by Canary backend",
        ),
        (
            "name: backend}\n  service",
            "name: backend-primary}\n  service",
            "spec.targetRef: Deployment backend-primary is",
        ),
    ],
)
def test_two_canaries_that_use_the_same_object_are_an_error(check, old, new, message):
    other = CANARY.replace("metadata: {name: backend", "metadata: {name: other").replace(old, new)
    elsewhere = other.replace("namespace: prod", "namespace: dev")
    found = check(a=f"{CANARY}---\n{other}", b=TEMPLATE)
    assert [line for line in found if f"error: document 2, Canary prod/other: {message}" in line]
    assert not [line for line in check(a=f"{CANARY}---\n{elsewhere}") if "is also used by" in line]


def dependent(name: str, *needs: str) -> str:
    references = ", ".join(f"{{name: {need}}}" for need in needs)
    text = CANARY.replace("name: backend", f"name: {name}")
    return text.replace("  analysis:\n", f"  dependsOn: [{references}]\n  analysis:\n")


def test_canaries_that_wait_for_each_other_are_an_error_and_one_that_is_missing_a_note(check):
    documents = (TEMPLATE, dependent("a", "b"), dependent("b", "c", "d"), dependent("c", "a"))
    found = [line for line in check(a="---\n".join(documents)) if "dependsOn" in line]
    circle = "spec.dependsOn leads in a circle: {}; remove one of these references"
    missing = "spec.dependsOn[1]: Canary prod/d is not in these files; it must exist in the cluster"
    ways = ("prod/a -> prod/b -> prod/c -> prod/a", "prod/b -> prod/c -> prod/a -> prod/b")
    assert [line.partition(": ")[2] for line in found] == [
        f"error: document 2, Canary prod/a: {circle.format(ways[0])}",
        f"note: document 3, Canary prod/b: {missing}",
        f"error: document 3, Canary prod/b: {circle.format(ways[1])}",
        f"error: document 4, Canary prod/c: {circle.format('prod/c -> prod/a -> prod/b -> prod/c')}",
    ]


MATCH = "    match: [{headers: {x: {exact: y}}}]\n"


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (
            "    stepWeight: 10\n",
            f"    iterations: 5\n{MATCH}",
            "with analysis.match the canary serves only the requests that match",
        ),
        (
            "    metrics:\n",
            "    sessionAffinity: {cookieName: c}\n    metrics:\n",
            "with analysis.sessionAffinity the canary keeps its users",
        ),
        (
            "    stepWeight: 10\n",
            "    iterations: 5\n",
            "blue/green sends no user traffic to the canary during the analysis",
        ),
    ],
)
def test_a_biased_comparison_is_a_warning(check, old, new, said):
    weighted = CANARY.replace("    metrics:\n", "    maxWeight: 50\n    metrics:\n")
    compared = weighted.replace("thresholdRange: {max: 1}", "compare: {errors: {}}").replace(
        "templateRef: {name: error-rate}", "dryRun: false"
    )
    assert check(a=compared) == []
    found = check(a=compared.replace(old, new, 1))
    assert [line for line in found if f"warning: Canary prod/backend: spec.analysis.metrics[0].compare: {said}" in line]
    threshold_only = check(a=CANARY.replace(old, new, 1), b=TEMPLATE)
    assert not [line for line in threshold_only if said in line]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("a: [1\n", "a.yaml:2: error: invalid YAML: expected ',' or ']', but got '<stream end>'"),
        ("a: b: c\n", "a.yaml:1: error: invalid YAML: mapping values are not allowed here"),
    ],
)
def test_invalid_yaml_is_an_error_with_its_line(check, content, said):
    assert check(a=content) == [said]


def test_only_errors_set_the_exit_status(tmp_path, monkeypatch):
    files = {"good": CANARY + "---\n" + TEMPLATE, "note": CANARY, "bad": CANARY.replace("10s", "soon")}
    codes = {}
    for name, content in files.items():
        path = tmp_path / name
        path.write_text(content)
        codes[name] = CliRunner().invoke(app, ["lint", str(path)]).exit_code
    codes["missing"] = CliRunner().invoke(app, ["lint", str(tmp_path / "none")]).exit_code
    assert codes == {"good": 0, "note": 0, "bad": 1, "missing": 1}


def test_the_summary_counts_what_was_found(tmp_path, capsys):
    (tmp_path / "a").write_text(CANARY.replace("10s", "soon") + "---\n" + TEMPLATE)
    result = CliRunner().invoke(app, ["lint", str(tmp_path / "a")])
    assert result.stderr == "2 objects checked: 1 error\n"


def test_the_standard_input_is_a_file_too(monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO(CANARY.replace("10s", "soon")))
    (finding,) = check_files(["-"])[0]
    assert str(finding).startswith("-:8: error: Canary prod/backend: spec.analysis.interval: ")


@pytest.mark.parametrize("name", GOOD)
def test_an_object_that_the_api_server_accepts_is_wrong_only_where_it_is_unsupported(check, name):
    unsupported = unsupported_fields(PARSERS[GOOD[name]["kind"]](GOOD[name]))
    errors = [line.split(": ", 3)[3] for line in check(a=yaml.safe_dump(GOOD[name])) if ": error: " in line]
    assert sorted(errors) == sorted(unsupported)


def test_a_variable_that_the_query_does_not_use_is_a_warning(check):
    canary = CANARY.replace("thresholdRange:", "templateVariables: {target: a, region: eu}\n        thresholdRange:")
    template = TEMPLATE.replace("target }}", "variables.target }}")
    (finding,) = check(a=f"{canary}---\n{template}")
    assert finding.endswith(
        "warning: Canary prod/backend: spec.analysis.metrics[0].templateVariables: no query uses {{ variables.region }}"
    )


def test_an_alert_to_nobody_is_a_note(check):
    alerts = (
        "    alerts:\n      - {name: chat, providerRef: {name: chat}}\n      - {name: all, providerRef: {name: all}}\n"
    )
    chat = (
        "apiVersion: flagger.app/v1beta1\nkind: AlertProvider\nmetadata: {name: chat, namespace: prod}\n"
        "spec: {type: slack, address: https://hooks.example.com/x}\n"
    )
    assert check(a=f"{CANARY}{alerts}---\n{TEMPLATE}---\n{chat}") == [
        (
            "a.yaml:17: note: Canary prod/backend: spec.analysis.alerts[1].providerRef: "
            "AlertProvider prod/all is not in these files; it must exist in the cluster"
        )
    ]
