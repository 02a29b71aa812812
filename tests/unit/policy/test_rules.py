"""The rules of the policy pack: what each refuses, in whole sentences, and what is right beside it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from canary_policy.resources import EXCEPTION, Resource
from canary_policy.rules import RULES, ChangeRule, ObjectRule

ROOT = Path(__file__).parents[3]
TYPES = {
    "Canary": "kubernetes:flagger.app/v1beta1:Canary",
    "ConfigMap": "kubernetes:core/v1:ConfigMap",
    "CronJob": "kubernetes:batch/v1:CronJob",
    "DaemonSet": "kubernetes:apps/v1:DaemonSet",
    "Deployment": "kubernetes:apps/v1:Deployment",
    "Pod": "kubernetes:core/v1:Pod",
    "Secret": "kubernetes:core/v1:Secret",
}
DIGEST = f"registry.example/cart@sha256:{'0' * 64}"
LIMITED = {"name": "cart", "resources": {"limits": {"memory": "1Gi"}}}
THRESHOLD = {"name": "errors", "thresholdRange": {"max": 1}}
COMPARED = {"name": "errors", "compare": {"errors": {}}}


def made(kind: str, name: str = "cart", component: str = "", namespace: str = "shop", **fields: Any) -> Resource:
    """One object, or another resource by its whole type."""
    token = TYPES.get(kind, kind)
    path = f"{component}${token}" if component else token
    metadata = {"name": name, "namespace": namespace, **fields.pop("metadata", {})}
    return Resource(token, f"urn:pulumi:prod::project::{path}::{name}", {"metadata": metadata, **fields})


def workload(*containers: Mapping[str, Any], kind: str = "Deployment", **fields: Any) -> Resource:
    return made(kind, spec={"template": {"spec": {"containers": [*containers]}}}, **fields)


def canary(*metrics: Mapping[str, Any], target: str = "cart", kind: str = "Deployment", **fields: Any) -> Resource:
    spec = {
        "targetRef": {"kind": kind, "name": target},
        "analysis": {"metrics": [*metrics], **fields.pop("analysis", {})},
        **fields.pop("spec", {}),
    }
    return made("Canary", target, spec=spec, **fields)


def routed(*explained: str, **service: Any) -> Resource:
    """A Canary with these routes, and why it has no others."""
    annotations = {f"{EXCEPTION}no-lost-routes": "\n".join(explained)} if explained else {}
    return canary(spec={"service": service}, metadata={"annotations": annotations})


def env(name: str, **source: Any) -> Resource:
    return workload({"name": "cart", "env": [{"name": name, **source}]})


def find(rule: str, *resources: Resource) -> list[str]:
    """What the rule says of a stack."""
    (found,) = (each for each in RULES if each.name == rule)
    if isinstance(found, ChangeRule):
        return [*found.check(*resources)]
    if isinstance(found, ObjectRule):
        return [message for each in resources for message in found.check(each)]
    return [message for _, message in found.check(resources)]


NO_CANARY = "Deployment shop/cart has no Canary: a new version reaches all its users at once. Add one"
NOT_JUDGED = (
    "Canary shop/cart has no metric that decides: a version that is worse is promoted. "
    "Add one to analysis.metrics, with a threshold or with compare"
)
BY_TAG = "Deployment shop/cart: container cart has the image {}, which may be moved. Name its digest"
NO_LIMIT = "{} shop/cart: container {} may use all memory of its node. Set resources.limits.memory"
PLAIN = "{} shop/cart has a secret in plain text, in {}. Put it into a Secret and refer to that"

LOSES = "Canary shop/cart loses {}. Say why in lostRoutes: {{{}: ...}}"
FOR_BOTH = routed(hosts=["a.example", "b.example"], gateways=["x/public", "mesh"])
NARROW = {"uri": {"prefix": "/cart"}}

BAD: Sequence[tuple[str, Sequence[Resource], Sequence[str]]] = [
    ("every-deployment-has-a-canary", [workload()], [NO_CANARY]),
    ("every-deployment-has-a-canary", [workload(), canary(target="other")], [NO_CANARY]),
    ("every-deployment-has-a-canary", [workload(), canary(kind="DaemonSet")], [NO_CANARY]),
    ("every-deployment-has-a-canary", [workload(), canary(namespace="other")], [NO_CANARY]),
    ("every-deployment-has-a-canary", [workload(component="canary:mesh:CanaryApp"), canary(target="a")], [NO_CANARY]),
    ("every-canary-is-judged", [canary()], [NOT_JUDGED]),
    ("every-canary-is-judged", [made("Canary", spec={})], [NOT_JUDGED]),
    ("every-canary-is-judged", [canary({**COMPARED, "dryRun": True})], [NOT_JUDGED]),
    ("every-canary-is-judged", [canary(analysis={"webhooks": [{"name": "test"}]})], [NOT_JUDGED]),
    ("alerts-are-sent", [canary()], ["Canary shop/cart tells nobody of a rollback. Add analysis.alerts"]),
    (
        "no-skipped-analysis",
        [canary(spec={"skipAnalysis": True})],
        ["Canary shop/cart promotes new versions without an analysis. Remove skipAnalysis"],
    ),
    ("images-by-digest", [workload({"name": "cart", "image": "cart"})], [BY_TAG.format("cart")]),
    ("images-by-digest", [workload({"name": "cart", "image": "r:5/cart:1"})], [BY_TAG.format("r:5/cart:1")]),
    ("images-by-digest", [workload({"name": "cart", "image": "cart@sha256:0"})], [BY_TAG.format("cart@sha256:0")]),
    ("memory-is-limited", [workload({"name": "cart"})], [NO_LIMIT.format("Deployment", "cart")]),
    (
        "memory-is-limited",
        [workload(LIMITED, {"name": "log", "resources": {"limits": {"cpu": 1}}}, kind="DaemonSet")],
        [NO_LIMIT.format("DaemonSet", "log")],
    ),
    (
        "memory-is-limited",
        [made("Pod", spec={"initContainers": [{"name": "init"}], "containers": [LIMITED]})],
        [NO_LIMIT.format("Pod", "init")],
    ),
    (
        "memory-is-limited",
        [made("CronJob", spec={"jobTemplate": {"spec": {"template": {"spec": {"containers": [{"name": "job"}]}}}}})],
        [NO_LIMIT.format("CronJob", "job")],
    ),
    (
        "no-lost-routes",
        [FOR_BOTH, routed(hosts=["b.example"])],
        [LOSES.format("a.example", "a.example"), LOSES.format("x/public", "x/public")],
    ),
    (
        "no-lost-routes",
        [FOR_BOTH, routed("x/public: closed", "b.example: not this one", hosts=["b.example"])],
        [LOSES.format("a.example", "a.example")],
    ),
    ("no-lost-routes", [routed(), routed(gateways=["x/public"])], [LOSES.format("mesh", "mesh")]),
    (
        "no-lost-routes",
        [routed(), routed(match=[NARROW])],
        [LOSES.format("requests, of which service.match says nothing any more", "match")],
    ),
    (
        "no-lost-routes",
        [routed(match=[NARROW, {}]), routed(match=[NARROW])],
        [LOSES.format("requests, of which service.match says nothing any more", "match")],
    ),
    ("no-plain-secrets", [env("DB_PASSWORD", value="x")], [PLAIN.format("Deployment", "DB_PASSWORD")]),
    ("no-plain-secrets", [env("token", value="x")], [PLAIN.format("Deployment", "token")]),
    (
        "no-plain-secrets",
        [env("AWS_SECRET_ACCESS_KEY", value="x")],
        [PLAIN.format("Deployment", "AWS_SECRET_ACCESS_KEY")],
    ),
    ("no-plain-secrets", [env("DB", value="postgres://me:it@db/")], [PLAIN.format("Deployment", "DB")]),
    ("no-plain-secrets", [made("ConfigMap", data={"apiKey": "x"})], [PLAIN.format("ConfigMap", "apiKey")]),
    (
        "no-plain-secrets",
        [made("ConfigMap", data={"tls.pem": "-----BEGIN RSA PRIVATE KEY-----\nx"})],
        [PLAIN.format("ConfigMap", "tls.pem")],
    ),
    (
        "no-plain-secrets",
        [made("kubernetes:helm.sh/v3:Release", values={"grafana": {"adminPassword": "x"}})],
        [PLAIN.format("Release", "adminPassword")],
    ),
    (
        "no-plain-secrets",
        [canary(analysis={"webhooks": [{"url": "https://me:it@example.com"}]})],
        [PLAIN.format("Canary", "url")],
    ),
]

GOOD: Sequence[tuple[str, Sequence[Resource]]] = [
    ("every-deployment-has-a-canary", [workload(), canary()]),
    ("every-deployment-has-a-canary", [workload(namespace=""), canary(namespace="")]),
    ("every-deployment-has-a-canary", [workload(kind="DaemonSet"), made("ConfigMap"), made("aws:s3:Bucket")]),
    ("every-deployment-has-a-canary", [workload(component="a:b:C$canary:mesh:LoadTester")]),
    ("every-canary-is-judged", [canary(THRESHOLD), canary(COMPARED), workload()]),
    ("every-canary-is-judged", [canary({**COMPARED, "dryRun": True}, THRESHOLD)]),
    ("alerts-are-sent", [canary(analysis={"alerts": [{"name": "team"}]}), workload()]),
    ("no-skipped-analysis", [canary(), canary(spec={"skipAnalysis": False}), workload()]),
    ("images-by-digest", [workload({"name": "cart", "image": DIGEST}), canary(), made("ConfigMap")]),
    ("memory-is-limited", [workload(LIMITED), canary(), made("ConfigMap")]),
    ("no-lost-routes", [FOR_BOTH, FOR_BOTH]),
    ("no-lost-routes", [routed(hosts=["b.example"]), FOR_BOTH]),
    ("no-lost-routes", [routed(), routed(hosts=["a.example"], gateways=["mesh", "x/public"])]),
    ("no-lost-routes", [routed(match=[NARROW]), routed()]),
    ("no-lost-routes", [routed(match=[NARROW]), routed(match=[{}, NARROW])]),
    ("no-lost-routes", [FOR_BOTH, routed("a.example: moved", "x/public: closed", hosts=["b.example"])]),
    ("no-lost-routes", [routed(), routed("match: the rest has moved", match=[NARROW])]),
    ("no-lost-routes", [FOR_BOTH, made("Canary")]),
    ("no-plain-secrets", [made("Secret", stringData={"password": "x"}), made("aws:s3:Bucket", password="x")]),
    ("no-plain-secrets", [env("DB_PASSWORD", valueFrom={"secretKeyRef": {"name": "db", "key": "password"}})]),
    ("no-plain-secrets", [env("DB_PASSWORD", value=""), env("DB_PASSWORD", value="$(OTHER)")]),
    ("no-plain-secrets", [env("TOKEN_FILE", value="x"), env("TOKEN", value="/var/run/token")]),
    ("no-plain-secrets", [env("DB", value="postgres://db:5432/shop"), env("KEYS", value="x")]),
    ("no-plain-secrets", [made("ConfigMap", data={"secretName": "db", "existingSecret": "db"})]),
]


@pytest.mark.parametrize(("rule", "stack", "said"), BAD)
def test_a_rule_says_what_is_wrong_where_and_what_to_do(rule, stack, said):
    assert find(rule, *stack) == said


@pytest.mark.parametrize(("rule", "stack"), GOOD)
def test_a_rule_lets_pass_what_is_right_and_what_is_not_its_own(rule, stack):
    assert find(rule, *stack) == []


def test_every_rule_has_both_sides_and_is_explained():
    names = [rule.name for rule in RULES]
    assert list(dict.fromkeys(rule for rule, *_ in BAD)) == names
    assert list(dict.fromkeys(rule for rule, _ in GOOD)) == names
    explained = re.findall(r"^\| `([\w-]+)` \|", (ROOT / "docs/policies.md").read_text(), re.MULTILINE)
    assert explained == names


@pytest.mark.parametrize(
    ("annotations", "excepted"),
    [
        ({f"{EXCEPTION}memory-is-limited": "measured: it needs all"}, True),
        ({f"{EXCEPTION}memory-is-limited": " "}, False),
        ({f"{EXCEPTION}no-plain-secrets": "a test account"}, False),
        ({}, False),
    ],
)
def test_an_object_is_excepted_from_the_rule_that_it_names_if_it_says_why(annotations, excepted):
    assert (made("Deployment", metadata={"annotations": annotations}).exception("memory-is-limited") != "") is excepted


@pytest.mark.parametrize("file", sorted((ROOT / "policy").glob("*.json")), ids=lambda file: file.name)
def test_a_stack_makes_rules_mandatory_that_exist(file):
    levels = json.loads(file.read_text())
    assert levels.keys() <= {rule.name for rule in RULES}
    assert {*levels.values()} <= {"mandatory"}
