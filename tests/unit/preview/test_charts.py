"""What a release has inside: rendered by a ``helm`` that is played by a script, compared object by object."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from preview.changes import Change, Op
from preview.charts import ChartDiff, Logins, compare, read_objects, render_charts
from tests.unit.preview.steps import play

RELEASE = "kubernetes:helm.sh/v3:Release"
PLAYED = """import os, pathlib, sys, yaml
known = pathlib.Path(os.environ["HELM_REPOSITORY_CONFIG"])
if sys.argv[1:3] == ["repo", "add"]:
    known.write_text(" ".join([*sys.argv[4:], sys.stdin.read()]))
    sys.exit()
options = dict(each.split("=", 1) for each in sys.argv[4:] if "=" in each)
values = yaml.safe_load(pathlib.Path(options.pop("--values")).read_text())
if values.get("bad"):
    sys.exit("Error: values don't meet the specifications of the schema(s)")
metadata = {"name": sys.argv[2], "namespace": options["--namespace"]}
asked = " ".join(each for each in sys.argv[3:] if not each.startswith("--values"))
if known.exists():
    asked += f" of {known.read_text()}"
print(yaml.safe_dump({"kind": "ConfigMap", "metadata": metadata, "data": {"asked": asked, **values}}))
"""


@pytest.fixture
def helm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    play(monkeypatch, tmp_path, "helm", PLAYED)


def release(**inputs: Any) -> dict[str, Any]:
    return {"name": "istiod", "chart": "istiod", "namespace": "istio-system", "skipCrds": False, **inputs}


def no_logins() -> Logins:
    raise AssertionError("no release asks for a login")


def changed(op: Op, before: dict[str, Any], after: dict[str, Any]) -> Change:
    return Change(op, RELEASE, "istiod", before, after)


@pytest.mark.usefixtures("helm")
def test_a_new_version_and_new_values_are_rendered_from_where_the_chart_comes():
    before = release(version="1.30.0", repositoryOpts={"repo": "https://example.com"}, values={"a": "1"})
    after = release(version="1.31.1", repositoryOpts={"repo": "https://example.com"}, values={"a": "2"}, skipCrds=True)
    (found,) = render_charts((changed(Op.UPDATE, before, after),), no_logins)
    assert (found.release, found.problem) == ("istiod", "")
    ((name, diff),) = found.objects
    assert name == "ConfigMap/istio-system/istiod"
    source = "istiod --namespace=istio-system --version={} --repo=https://example.com{}"
    assert "-  a: '1'\n" in diff
    assert "+  a: '2'\n" in diff
    shown = " ".join(line[1:].strip() for line in diff.splitlines())
    assert source.format("1.30.0", " --include-crds") in shown
    assert source.format("1.31.1", "") in shown


LOCKED = {"repo": "https://charts.example", "username": "[secret]", "password": "[secret]"}


@pytest.mark.usefixtures("helm")
def test_a_repository_that_asks_for_a_login_gets_that_of_the_stack_and_no_argument_has_the_password():
    before, after = release(version="1", repositoryOpts=LOCKED), release(version="2", repositoryOpts=LOCKED)
    logins = {"https://charts.example": ("alice", "hunter2")}
    (found,) = render_charts((changed(Op.UPDATE, before, after),), lambda: logins)
    ((_, diff),) = found.objects
    shown = " ".join(line[1:].strip() for line in diff.splitlines())
    added = "https://charts.example --username=alice --password-stdin hunter2"
    assert f"stack/istiod --namespace=istio-system --version=2 --include-crds of {added}" in shown


@pytest.mark.usefixtures("helm")
def test_a_login_that_the_stack_has_no_more_is_told():
    changes = (changed(Op.UPDATE, release(repositoryOpts=LOCKED), release()),)
    problem = "the stack's configuration has no login of https://charts.example any more"
    assert list(render_charts(changes, dict)) == [ChartDiff("istiod", problem=problem)]


@pytest.mark.usefixtures("helm")
def test_values_that_the_chart_refuses_are_told():
    changes = (changed(Op.UPDATE, release(), release(values={"bad": True})),)
    problem = "Error: values don't meet the specifications of the schema(s)"
    assert list(render_charts(changes, no_logins)) == [ChartDiff("istiod", problem=problem)]


def test_without_helm_that_is_said(monkeypatch):
    monkeypatch.setenv("PATH", "")
    changes = (changed(Op.REPLACE, release(), release(version="2")),)
    assert list(render_charts(changes, no_logins)) == [ChartDiff("istiod", problem="helm is not installed")]


@pytest.mark.parametrize("op", [Op.SAME, Op.CREATE, Op.DELETE])
def test_a_release_that_does_not_change_is_not_rendered(op):
    assert list(render_charts((changed(op, release(), release()),), no_logins)) == []


BEFORE = """
kind: Deployment
metadata: {name: a, namespace: x}
spec: {replicas: 1}
---
kind: Secret
metadata: {name: s}
data: {token: b2xk}
---
kind: Service
metadata: {name: gone}
---
kind: ConfigMap
metadata: {name: same}
"""
AFTER = """
kind: ConfigMap
metadata: {name: same}
---
kind: Secret
metadata: {name: s}
data: {token: bmV3, other: bmV3}
---
# nothing
---
kind: Deployment
metadata: {namespace: x, name: a}
spec: {replicas: 2}
---
kind: CustomResourceDefinition
metadata: {name: new}
"""


def test_objects_are_compared_by_their_names_kinds_first_and_no_secret_is_shown():
    assert dict(compare(read_objects(BEFORE), read_objects(AFTER))) == {
        "CustomResourceDefinition/new": "+kind: CustomResourceDefinition\n+metadata:\n+  name: new",
        "Deployment/x/a": "   name: a\n   namespace: x\n spec:\n-  replicas: 1\n+  replicas: 2",
        "Secret/s": " data:\n+  other: '[secret]'\n   token: '[secret]'\n kind: Secret\n metadata:",
        "Service/gone": "-kind: Service\n-metadata:\n-  name: gone",
    }
    assert next(compare(read_objects(BEFORE), read_objects(AFTER)))[0] == "CustomResourceDefinition/new"
