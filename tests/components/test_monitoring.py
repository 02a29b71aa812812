"""Whom a stack tells of its rollouts, what its metrics are asked of, and that its secrets stay secret."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any

import pytest
from pulumi.runtime.rpc import is_rpc_secret, unwrap_rpc_secret

from stack.errors import ConfigError
from stack.secrets import hidden
from tests.components.recording import IMAGE, PROJECT, Recording, run_program

VALUE = "hunter2"
STRICT = {"controller": {"image": IMAGE, "trust": {"crossNamespaceReferences": False}}}
CART: dict[str, Any] = {"image": "registry.example/cart", "tag": "1", "service": {"port": 80}}
CHAT = {"alerts": {"team": {"provider": {"type": "slack", "secretRef": {"name": "chat"}}}}}
SALES = {"query": "q", "provider": {"type": "datadog", "secretRef": {"name": "datadog"}}}


def run_with_secrets(config: Mapping[str, Any]) -> Recording:
    return run_program(config, secret=[f"{PROJECT}:secrets"])


# --- secrets ----------------------------------------------------------------------------------------------------------

POD = {
    "imagePullSecrets": [{"name": "a"}],
    "volumes": [
        {"name": "certificate", "secret": {"secretName": "b"}},
        {"name": "all", "projected": {"sources": [{"secret": {"name": "c"}}]}},
    ],
    "containers": [
        {
            "env": [{"name": "KEY", "valueFrom": {"secretKeyRef": {"name": "d", "key": "key"}}}],
            "envFrom": [{"secretRef": {"name": "e"}}],
        }
    ],
}

USES: Mapping[str, tuple[dict[str, Any], set[str]]] = {
    # case -> (what names the Secrets, where they are)
    "the provider of an alert": (CHAT, {"istio-system/chat"}),
    "the provider of a metric": ({"observability": {"metricTemplates": {"sales": SALES}}}, {"istio-system/datadog"}),
    "a provider where Canaries use their own namespace alone": (
        {**CHAT, **STRICT, "namespaces": {"team-1": {}}},
        {"prod/chat", "team-1/chat"},
    ),
    "a gateway": ({"gateway": {"credentialName": "shop-tls"}}, {"istio-system/shop-tls"}),
    "a gateway elsewhere, on pods of others": (
        {
            "gateways": {
                "shared": {"namespace": "prod", "hosts": ["a.example"], "credentialName": "a"},
                "edge": {"namespace": "prod", "selector": {"istio": "edge"}, "credentialName": "b"},
                "far": {"selector": {"istio": "far"}, "podsNamespace": "far", "credentialName": "c"},
            }
        },
        {"istio-system/a", "prod/b", "far/c"},
    ),
    "two apps of one namespace, and one of another": (
        {
            "apps": {"cart": {**CART, "secrets": ["db"]}, "pay": {**CART, "secrets": ["db"]}},
            "namespaces": {"team-1": {"apps": {"cart": {**CART, "secrets": ["db"]}}}},
        },
        {"prod/db", "team-1/db"},
    ),
    "the pods of the platform, for their registries": (
        {
            "observability": {"prometheus": {"pullSecrets": ["a"]}},
            "controller": {"image": IMAGE, "pullSecrets": ["a", "b"]},
            "loadTester": {"pullSecrets": ["c"]},
        },
        {"istio-system/a", "istio-system/b", "prod/c"},
    ),
    "the pod of an app, in every way": (
        {"namespaces": {"team-1": {"apps": {"cart": {**CART, "podSpec": POD}}}}},
        {f"team-1/{name}" for name in "abcde"},
    ),
}


@pytest.mark.parametrize("case", USES)
def test_a_secret_is_where_something_names_it(case: str) -> None:
    config, expected = USES[case]
    values = {name.partition("/")[2]: {"address": VALUE} for name in expected}
    program = run_with_secrets({**config, "secrets": values})
    made = {f"{each.inputs['metadata']['namespace']}/{each.object}" for each in program.of_kind("Secret")}
    assert made == expected


def test_the_login_of_a_repository_of_charts_is_a_secret_of_its_releases_and_no_object_of_the_cluster() -> None:
    locked = {"repository": "https://charts.example", "repositorySecret": "charts"}
    login = {"username": "alice", "password": VALUE}
    program = run_with_secrets({"istio": locked, "observability": {"grafana": locked}, "secrets": {"charts": login}})
    assert program.of_kind("Secret") == []
    releases = {each.object: each.inputs["repositoryOpts"] for each in program.of_kind("Release")}
    assert {*releases} == {"istio-base", "istiod", "istio-gateway", "flagger-grafana"}
    for options in releases.values():
        hidden_options = unwrap_rpc_secret(options) if is_rpc_secret(options) else options
        assert all(is_rpc_secret(hidden_options[key]) for key in login) or is_rpc_secret(options)
        assert {key: _plain(hidden_options[key]) for key in login} == login


def _plain(value: Any) -> Any:
    return unwrap_rpc_secret(value) if is_rpc_secret(value) else value


def test_only_a_secret_of_one_app_is_part_of_its_rollouts() -> None:
    config, _ = USES["two apps of one namespace, and one of another"]
    secrets = run_with_secrets({**config, "secrets": {"db": {"password": VALUE}}}).of_kind("Secret")
    annotations = {each.inputs["metadata"]["namespace"]: each.inputs["metadata"].get("annotations") for each in secrets}
    assert annotations == {"prod": {"flagger.app/config-tracking": "disabled"}, "team-1": None}


@pytest.mark.parametrize(("value", "text"), [("true", "true"), (True, "true"), (4711, "4711")])
def test_a_value_is_the_text_that_was_set_whatever_it_looks_like(value: Any, text: str) -> None:
    assert hidden({"chat": {"token": value}})["chat"]["token"].get_secret_value() == text


@pytest.mark.parametrize("value", [VALUE, 4711, "a: {b}\n"])
def test_a_value_is_encrypted_in_the_state_and_is_nowhere_else(value: Any) -> None:
    program = run_with_secrets({**CHAT, "secrets": {"chat": {"address": value}}})
    secret = program.get("Secret", "chat")
    text = str(value)
    encoded = base64.b64encode(text.encode()).decode()
    data = secret.inputs["data"]
    assert is_rpc_secret(data)
    assert {key: unwrap_rpc_secret(each) for key, each in unwrap_rpc_secret(data).items()} == {"address": encoded}
    rest = json.dumps([each.inputs for each in program.resources if each is not secret] + [program.outputs])
    assert encoded not in rest
    assert json.dumps(text) not in rest


def test_a_secret_comes_before_what_uses_it_and_after_its_namespace() -> None:
    program = run_with_secrets(
        {
            **CHAT,
            **STRICT,
            "apps": {"cart": {**CART, "secrets": ["db"]}},
            "secrets": {"chat": {"address": VALUE}, "db": {"a": "b"}},
        }
    )
    namespace, secret, provider = (
        program.get(*each) for each in (("Namespace", "prod"), ("Secret", "db"), ("AlertProvider", "team"))
    )
    before = program.all_before(program.get("Deployment", "cart"))
    assert {namespace.urn, secret.urn, provider.urn} <= before
    assert namespace.urn in program.all_before(secret)
    assert program.get("Secret", "chat").urn in program.all_before(provider)


def test_a_pull_secret_has_the_type_that_kubernetes_asks_for() -> None:
    pull = {"apps": {"cart": {**CART, "podSpec": {"imagePullSecrets": [{"name": "registry"}]}}}}
    program = run_with_secrets(
        {**pull, **CHAT, "secrets": {"registry": {".dockerconfigjson": "{}"}, "chat": {"address": VALUE}}}
    )
    assert program.get("Secret", "registry").inputs["type"] == "kubernetes.io/dockerconfigjson"
    assert "type" not in program.get("Secret", "chat").inputs


def test_a_pod_of_the_platform_names_its_pull_secrets_and_waits_for_them() -> None:
    program = run_with_secrets(
        {
            "observability": {"prometheus": {"pullSecrets": ["mirror"]}},
            "controller": {"image": IMAGE, "pullSecrets": ["mirror"]},
            "loadTester": {"pullSecrets": ["mirror"]},
            "secrets": {"mirror": {".dockerconfigjson": "{}"}},
        }
    )
    secrets = {each.inputs["metadata"]["namespace"]: each.urn for each in program.of_kind("Secret")}
    for name in ("prometheus", "canary-controller", "flagger-loadtester"):
        deployment = program.get("Deployment", name)
        assert deployment.inputs["spec"]["template"]["spec"]["imagePullSecrets"] == [{"name": "mirror"}], name
        assert secrets[deployment.inputs["metadata"]["namespace"]] in program.all_before(deployment), name


REFUSED: Mapping[str, tuple[Any, str]] = {
    # case -> (the section, what the error says of it)
    "a text": (VALUE, 'secrets: Invalid value: "secret": must be of type object: "secret"'),
    "a list": ([VALUE], 'secrets: Invalid value: "array": must be of type object: "array"'),
    "a Secret that is a text": (
        {"chat": VALUE},
        'secrets.chat: Invalid value: "secret": must be of type object: "secret"',
    ),
    "a value that is a mapping": (
        {"chat": {"address": {"url": VALUE}}},
        'secrets.chat.address: Invalid value: "object": must be of type string: "object"',
    ),
    "an empty value": (
        {"chat": {"address": ""}},
        'secrets.chat.address: Invalid value: "secret": must not be empty',
    ),
    "nothing that uses it": ({"chat": {"address": VALUE}, "other": {"address": VALUE}}, "secrets.other: Forbidden: "),
    "a name that Kubernetes would not take": ({"Chat": {"address": VALUE}}, "secrets.Chat: Invalid value: "),
    "a key that Kubernetes would not take": ({"chat": {"a b": VALUE}}, "secrets.chat.a b: Invalid value: "),
}


@pytest.mark.parametrize("case", REFUSED)
def test_an_error_says_what_is_wrong_with_a_secret_and_not_what_is_in_it(case: str) -> None:
    section, expected = REFUSED[case]
    with pytest.raises(ConfigError) as raised:
        run_with_secrets({**CHAT, "secrets": section})
    assert f"{PROJECT}:{expected}" in str(raised.value)
    assert VALUE not in str(raised.value)


def test_secrets_have_their_own_section_and_it_has_nothing_else() -> None:
    plain = {"backend": {"env": {"PASSWORD": VALUE}}}
    with pytest.raises(ConfigError, match=f"{PROJECT}:apps: must not be a Pulumi secret") as raised:
        run_program({"apps": plain}, secret=[f"{PROJECT}:apps"])
    assert VALUE not in str(raised.value)
    with pytest.raises(ConfigError, match=f"{PROJECT}:secrets: must be Pulumi secrets") as raised:
        run_program({**CHAT, "secrets": {"chat": {"address": VALUE}}})
    assert VALUE not in str(raised.value)


# --- alerts -----------------------------------------------------------------------------------------------------------

EVENTS = {"type": "webhook", "address": "https://events.example"}
TWO = {
    "alerts": {
        "events": {"provider": EVENTS},
        "on-call": {"severity": "error", "canaries": ["*/backend", "team-1/*"]},
    },
    "namespaces": {"team-1": {"targets": {"pay": {"service": {"port": 80}}}}},
}


def alert(name: str, severity: str = "info", namespace: str = "istio-system") -> dict[str, Any]:
    return {"name": name, "severity": severity, "providerRef": {"name": name, "namespace": namespace}}


TOLD: Mapping[str, tuple[dict[str, Any], dict[str, Any]]] = {
    # case -> (configuration, the alerts of each Canary)
    "nobody": ({}, {"frontend": None, "backend": None}),
    "one of all, and another of some": (
        TWO,
        {
            "frontend": [alert("events")],
            "backend": [alert("events"), alert("on-call", "error")],
            "team-1/pay": [alert("events"), alert("on-call", "error")],
        },
    ),
    "each of them in the Canary's own namespace": (
        {**TWO, **STRICT},
        {
            "frontend": [alert("events", namespace="prod")],
            "backend": [alert("events", namespace="prod"), alert("on-call", "error", "prod")],
            "team-1/pay": [alert("events", namespace="team-1"), alert("on-call", "error", "team-1")],
        },
    ),
    "an app that says otherwise of one, and adds another": (
        {
            **TWO,
            "apps": {
                "frontend": {"analysis": {"alerts": {"events": None}}},
                "backend": {
                    "analysis": {
                        "alerts": {"on-call": {"severity": "warn"}, "own": {"providerRef": {"name": "own-chat"}}}
                    }
                },
            },
        },
        {
            "frontend": [],
            "backend": [
                alert("events"),
                alert("on-call", "warn"),
                {"name": "own", "providerRef": {"name": "own-chat"}},
            ],
            "team-1/pay": [alert("events"), alert("on-call", "error")],
        },
    ),
    "an app with a list of its own": (
        {**TWO, "apps": {"backend": {"analysis": {"alerts": [{"name": "own", "providerRef": {"name": "own-chat"}}]}}}},
        {
            "frontend": [alert("events")],
            "backend": [{"name": "own", "providerRef": {"name": "own-chat"}}],
            "team-1/pay": [alert("events"), alert("on-call", "error")],
        },
    ),
}


@pytest.mark.parametrize("case", TOLD)
def test_is_told(case: str) -> None:
    config, expected = TOLD[case]
    canaries = run_program(config).of_kind("Canary")
    assert {each.name: each.inputs["spec"]["analysis"].get("alerts") for each in canaries} == expected


@pytest.mark.parametrize(
    ("more", "namespaces"), [({}, ["istio-system"]), (STRICT, ["prod", "team-1"])], ids=["shared", "strict"]
)
def test_the_stack_makes_the_providers_that_are_not_there_already(more: dict[str, Any], namespaces: list[str]) -> None:
    made = run_program({**TWO, **more}).of_kind("AlertProvider")
    assert [(each.inputs["metadata"]["namespace"], each.object, each.inputs["spec"]) for each in made] == [
        (namespace, "events", EVENTS) for namespace in namespaces
    ]


# --- metrics ----------------------------------------------------------------------------------------------------------


def test_a_metric_template_asks_the_server_that_it_names() -> None:
    templates = {
        "sales": {"query": "avg:sales", "provider": {"type": "datadog", "secretRef": {"name": "datadog"}}},
        "latency": {
            "query": "p99",
            "provider": {"type": "prometheus", "address": "https://p.example", "headers": {"X-Scope-OrgID": ["shop"]}},
        },
    }
    found = run_program({"observability": {"metricTemplates": templates}}).of_kind("MetricTemplate")
    own = {"type": "prometheus", "address": "http://prometheus.istio-system:9090"}
    assert {each.object: each.inputs["spec"]["provider"] for each in found} == {
        "error-rate": own,
        **{name: template["provider"] for name, template in templates.items()},
    }


# --- a Prometheus of somebody else's ----------------------------------------------------------------------------------

EXTERNAL = {"enabled": False, "url": "https://prometheus.example"}
SECURED = {**EXTERNAL, "headers": {"X-Scope-OrgID": ["shop"]}, "secretRef": {"name": "monitoring"}}


def controller_of(program: Recording) -> Any:
    return program.get("Deployment", "canary-controller").inputs["spec"]["template"]["spec"]


@pytest.mark.parametrize("config", [EXTERNAL, SECURED], ids=["open", "secured"])
def test_an_external_prometheus_serves_the_templates(config: dict[str, Any]) -> None:
    program = run_program({"observability": {"prometheus": config}})
    own = {"type": "prometheus", "address": "https://prometheus.example"}
    asked = {key: value for key, value in config.items() if key in {"headers", "secretRef"}}
    assert {each.object: each.inputs["spec"]["provider"] for each in program.of_kind("MetricTemplate")} == {
        "error-rate": own | asked,
        "latency": own | asked,
    }
    assert program.outputs["prometheusUrl"] == "https://prometheus.example"


def test_an_external_prometheus_serves_the_built_in_metrics_with_its_headers_and_its_secret() -> None:
    program = run_with_secrets(
        {**STRICT, "observability": {"prometheus": SECURED}, "secrets": {"monitoring": {"token": VALUE}}}
    )
    pod = controller_of(program)
    (container,) = pod["containers"]
    assert container["args"][1:4] == [
        "--metrics-server=https://prometheus.example",
        "--metrics-server-header=X-Scope-OrgID: shop",
        "--metrics-server-secret=/etc/metrics-server",
    ]
    assert container["volumeMounts"] == [
        {"name": "metrics-server", "mountPath": "/etc/metrics-server", "readOnly": True}
    ]
    assert pod["volumes"] == [{"name": "metrics-server", "secret": {"secretName": "monitoring"}}]
    secrets = program.of_kind("Secret")
    assert {each.inputs["metadata"]["namespace"] for each in secrets} == {"istio-system", "prod"}
    before = program.all_before(program.get("Deployment", "canary-controller"))
    assert {each.urn for each in secrets} <= before


def test_another_server_of_the_controller_gets_none_of_it() -> None:
    other = {"controller": {"image": IMAGE, "metricsServer": "http://other.example"}}
    pod = controller_of(run_program({**other, "observability": {"prometheus": SECURED}}))
    (container,) = pod["containers"]
    assert container["args"][1:3] == ["--metrics-server=http://other.example", "--page-port=8081"]
    assert ("volumes" in pod, "volumeMounts" in container) == (False, False)


def test_grafana_sends_the_headers_along() -> None:
    values = run_program({"observability": {"prometheus": SECURED}}).get("Release", "flagger-grafana").inputs["values"]
    (source,) = values["datasources"]["datasources.yaml"]["datasources"]
    assert (source["url"], source["jsonData"], source["secureJsonData"]) == (
        "https://prometheus.example",
        {"httpHeaderName1": "X-Scope-OrgID"},
        {"httpHeaderValue1": "shop"},
    )
