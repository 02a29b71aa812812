"""What a stack's settings change, and how the program refuses what it cannot do."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml

from components._shared.image import source_digest
from components.canary_crds import CRD_FOLDER, read_crds
from stack.errors import ConfigError
from tests.components.recording import IMAGE, OUTCOME, PROJECT, ROOT, Recording, Registered, run_program

BUILD = {"enabled": True, "publish": 'kind load docker-image "$IMAGE"'}


def controller_arguments(program: Recording) -> list[str]:
    spec = program.get("Deployment", "canary-controller").inputs["spec"]["template"]["spec"]
    arguments: list[str] = spec["containers"][0]["args"]
    return arguments


def test_exports_the_addresses_and_names_that_a_user_needs(program: Recording) -> None:
    assert program.outputs == {
        "canaries": ["prod/frontend", "prod/backend"],
        "controller": "canary-controller.istio-system",
        "gatewayService": "istio-gateway.istio-system",
        "hosts": ["*"],
        "istio": {"stable": {"version": "1.31.1", "revision": ""}},
        "prometheusUrl": "http://prometheus.istio-system:9090",
        "rollouts": {"frontend": OUTCOME, "backend": OUTCOME},
        "versions": {name: [{name: "ghcr.io/stefanprodan/podinfo:6.1.0"}] for name in ("frontend", "backend")},
    }


def test_the_controller_gets_its_settings_as_arguments() -> None:
    settings = {
        "image": IMAGE,
        "logLevel": "debug",
        "minimumInterval": "2s",
        "maxRollouts": 5,
        "maxRolloutsPerNamespace": 1,
        "namespaces": ["prod"],
        "args": ["--event-webhook=http://events.example"],
    }
    assert controller_arguments(run_program({"controller": settings})) == [
        "run",
        "--metrics-server=http://prometheus.istio-system:9090",
        "--page-port=8081",
        "--log-level=debug",
        "--minimum-interval=2s",
        "--max-rollouts=5",
        "--max-rollouts-per-namespace=1",
        "--leader-election=true",
        "--leader-election-namespace=istio-system",
        "--namespace=istio-system",
        "--namespace=prod",
        "--event-webhook=http://events.example",
    ]


def test_what_canaries_may_use_becomes_options_of_the_controller() -> None:
    trust = {
        "crossNamespaceReferences": False,
        "hosts": ["[*]", "shop.example"],
        "gateways": ["istio-system/public-gateway"],
        "addresses": ["*.{namespace}"],
    }
    program = run_program({"controller": {"image": IMAGE, "namespaces": ["prod"], "trust": trust}})
    assert controller_arguments(program)[7:] == [
        "--namespace=prod",
        "--no-cross-namespace-refs=true",
        "--allowed-hosts=[*],shop.example",
        "--allowed-gateways=istio-system/public-gateway",
        "--allowed-addresses=*.{namespace},prometheus.istio-system",
    ]
    assert {template.inputs["metadata"]["namespace"] for template in program.of_kind("MetricTemplate")} == {"prod"}
    assert [role.inputs["metadata"]["namespace"] for role in program.of_kind("Role")] == ["prod", "istio-system"]


def test_a_built_image_is_tagged_by_its_sources_and_built_before_the_controller_runs() -> None:
    program = run_program({"controller": {"image": "canary-controller", "build": BUILD}})
    command = program.get("Command", "canary-controller-image")
    deployment = program.get("Deployment", "canary-controller")
    image = deployment.inputs["spec"]["template"]["spec"]["containers"][0]["image"]
    assert image == f"canary-controller:{source_digest(CRD_FOLDER.parent)}"
    assert command.inputs["environment"] == {"IMAGE": image}
    assert command.inputs["create"] == (
        'docker build --tag "$IMAGE" --file controller/Dockerfile . && kind load docker-image "$IMAGE"'
    )
    assert command.urn in deployment.waits_for


def test_the_sources_digest_changes_with_content_and_name_but_not_with_caches(tmp_path: Path) -> None:
    package = tmp_path / "controller"
    package.mkdir()
    (tmp_path / "uv.lock").write_text("lock")
    (package / "a.py").write_text("1")
    first = source_digest(tmp_path)
    (package / "__pycache__").mkdir()
    (package / "__pycache__" / "a.pyc").write_bytes(b"x")
    assert source_digest(tmp_path) == first
    (package / "a.py").write_text("2")
    changed = source_digest(tmp_path)
    (package / "a.py").rename(package / "b.py")
    assert len({first, changed, source_digest(tmp_path)}) == 3


def test_another_prometheus_configuration_makes_another_pod(program: Recording) -> None:
    def checksum(of: Recording) -> str:
        template = of.get("Deployment", "prometheus").inputs["spec"]["template"]
        value: str = template["metadata"]["annotations"]["checksum/config"]
        return value

    faster = run_program({"observability": {"prometheus": {"scrapeInterval": "2s"}}})
    assert checksum(faster) != checksum(program)
    assert checksum(run_program()) == checksum(program)


def test_a_scrape_never_takes_longer_than_its_interval(program: Recording) -> None:
    def timing(of: Recording) -> dict[str, Any]:
        text = of.get("ConfigMap", "prometheus").inputs["data"]["prometheus.yml"]
        timing: dict[str, Any] = yaml.safe_load(text)["global"]
        return timing

    faster = run_program({"observability": {"prometheus": {"scrapeInterval": "2s"}}})
    assert timing(faster) == {"scrape_interval": "2s", "scrape_timeout": "2s"}
    assert timing(program) == {"scrape_interval": "15s", "scrape_timeout": "10s"}


def test_without_the_load_tester_nothing_of_it_is_made() -> None:
    hooks = {"conformance-test": None, "load-test": None}
    apps = {name: {"analysis": {"webhooks": hooks}} for name in ("frontend", "backend")}
    program = run_program({"loadTester": {"enabled": False}, "apps": apps})
    assert [r.name for r in program.resources if "load" in r.name] == []


def test_an_app_set_to_null_is_not_made() -> None:
    assert [r.name for r in run_program({"apps": {"frontend": None}}).of_kind("Canary")] == ["backend"]


def test_local_charts_take_the_place_of_the_repository(tmp_path: Path) -> None:
    for chart in ("base", "istiod", "gateway"):
        (tmp_path / chart).mkdir()
        (tmp_path / chart / "Chart.yaml").write_text(f"name: {chart}")
    program = run_program({"istio": {"chartPath": str(tmp_path)}})
    releases = {name: program.get("Release", name).inputs for name in ("istio-base", "istiod", "istio-gateway")}
    assert {name: release["chart"] for name, release in releases.items()} == {
        "istio-base": str(tmp_path / "base"),
        "istiod": str(tmp_path / "istiod"),
        "istio-gateway": str(tmp_path / "gateway"),
    }
    assert not [name for name, release in releases.items() if "version" in release or "repositoryOpts" in release]


def test_a_configuration_that_is_not_valid_registers_nothing() -> None:
    with pytest.raises(ConfigError, match=r"did you mean \"istio\""):
        run_program({"isto": {}})


def test_keys_of_other_projects_and_providers_are_ignored(program: Recording) -> None:
    others = {"kubernetes:context": "kind", "vault:namespace": "shop", "other-project:isto": "{}"}
    assert len(run_program(more=others).resources) == len(program.resources)


@pytest.mark.parametrize(
    "prefix",
    ["canary-on-istio-dev", "canary-on-isto", "canary_on_istio", "Canary-on-Istio", "canaryonistio", "canary", "istio"],
)
def test_a_key_whose_prefix_is_meant_to_be_the_projects_is_refused_with_all_else_that_is_wrong(prefix: str) -> None:
    more = {f"{prefix}:apps": "{}", f"{PROJECT}:apps.backend.tag": "6.1.1"}
    with pytest.raises(ConfigError) as refused:
        run_program({"isto": {}}, more=more)
    assert [problem.path for problem in refused.value.problems] == ["apps", "apps.backend.tag", "isto"]
    assert f"set as {prefix}:apps, which no program reads; did you mean {PROJECT}:apps?" in str(refused.value)


def test_a_section_that_is_a_bare_text_is_refused_and_not_a_crash() -> None:
    with pytest.raises(ConfigError, match='gateway: Invalid value: "public": must be of type object'):
        run_program(more={f"{PROJECT}:gateway": "public"})


def test_a_path_that_was_set_as_a_flat_key_is_refused_with_the_right_command() -> None:
    with pytest.raises(ConfigError, match=r"apps\.backend\.tag: unknown field: .* `pulumi config set --path`"):
        run_program(more={f"{PROJECT}:apps.backend.tag": "6.1.1"})


def test_without_crds_the_program_says_so(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no CRD in"):
        read_crds(tmp_path)


# --- the end of a rollout ---------------------------------------------------------------------------------------------


def gates(recording: Recording) -> dict[str, Registered]:
    return {r.name.removesuffix("-rollout"): r for r in recording.of_kind("Command") if r.name.endswith("-rollout")}


def test_an_update_follows_the_rollout_of_each_app_by_what_its_target_asks_for(program: Recording) -> None:
    found = gates(program)
    assert {*found} == {"frontend", "backend"}  # registered side by side, in any order
    command = found["backend"].inputs["create"]
    assert shlex.split(command)[1:] == ["wait", "backend", "--namespace=prod", "--output=json"]
    assert (ROOT / shlex.split(command)[0]).is_file()
    assert "environment" not in found["backend"].inputs


def test_what_an_update_says_leads_to_the_page_where_that_has_an_address() -> None:
    url = "https://rollouts.example.com"
    recording = run_program({"controller": {"image": IMAGE, "page": {"url": url}}})
    assert {shlex.split(gate.inputs["create"])[-1] for gate in gates(recording).values()} == {f"--page-url={url}"}
    assert recording.outputs["page"] == url


TLS = {"gateway": {"credentialName": "rollouts-tls"}}
KEYS = '{"keys": [{"kty": "RSA", "n": "x", "e": "AQAB"}]}'
JWT = {"issuer": "https://login.example.com", "audiences": ["rollouts"], "jwks": KEYS, "header": "X-Token"}


@pytest.mark.parametrize(
    ("stack", "url"),
    [
        ({}, "http://rollouts.example.com"),
        ({"gateway": {"httpPort": 8080}}, "http://rollouts.example.com:8080"),
        (TLS, "https://rollouts.example.com"),
        ({"gateway": {**TLS["gateway"], "httpsPort": 8443}}, "https://rollouts.example.com:8443"),
        (
            {"gateways": {"edge": {"hosts": ["*.example.com"], "selector": {"istio": "edge"}, **TLS["gateway"]}}},
            "https://rollouts.example.com",
        ),
    ],
)
def test_the_address_of_a_page_behind_the_gateway_follows_from_that(stack: dict[str, Any], url: str) -> None:
    page = {"gateway": {"host": "rollouts.example.com", "auth": {"jwt": JWT}}}
    program = run_program({"controller": {"image": IMAGE, "page": page}, **stack})
    assert (program.outputs["page"], f"--page-url={url}" in controller_arguments(program)) == (url, True)
    route = program.get("VirtualService", "canary-controller-page")
    for kind in ("RequestAuthentication", "AuthorizationPolicy"):
        assert program.get(kind, "canary-controller-page").urn in program.all_before(route), kind


def test_only_a_change_of_the_app_starts_the_command_again(program: Recording) -> None:
    changed = gates(
        run_program({"apps": {"frontend": {}, "backend": {"tag": "6.1.9"}}, "istio": {"timeoutSeconds": 60}})
    )
    triggers = {name: gate.inputs["triggers"] for name, gate in gates(program).items()}
    assert {name: gate.inputs["triggers"] == triggers[name] for name, gate in changed.items()} == {
        "frontend": True,
        "backend": False,
    }


@pytest.mark.parametrize(
    "stack",
    [
        {"rollouts": {"follow": False}},
        {"controller": {"image": IMAGE, "replicas": 0}},
        {"apps": {"frontend": {"suspend": True}, "backend": {"suspend": True}}},
    ],
    ids=["not wanted", "no controller", "suspended"],
)
def test_a_rollout_that_may_never_end_is_not_waited_for(stack: dict[str, Any]) -> None:
    recording = run_program(stack)
    assert (gates(recording), recording.outputs["rollouts"]) == ({}, {})


def test_the_command_asks_the_cluster_of_the_provider() -> None:
    access = {"kubernetes:kubeconfig": "clusters/prod.yaml", "kubernetes:context": "prod"}
    gate = gates(run_program(more=access))["backend"].inputs
    assert gate["create"].endswith(" --context=prod")
    assert gate["environment"] == {"KUBECONFIG": "clusters/prod.yaml"}


def test_a_kubeconfig_that_is_no_file_is_refused_before_anything_is_made_where_a_command_has_to_read_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made: list[str] = []
    monkeypatch.setattr("components.istio.Istio.__init__", lambda *_, **__: made.append("Istio"))
    inline = {"kubernetes:kubeconfig": "apiVersion: v1\nkind: Config\n"}
    with pytest.raises(ConfigError, match=r"must be the path of a file where rollouts\.follow is set"):
        run_program(more=inline)
    assert made == []
    monkeypatch.undo()
    assert run_program({"rollouts": {"follow": False}}, more=inline).outputs["rollouts"] == {}
