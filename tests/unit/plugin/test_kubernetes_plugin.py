"""The kubernetes plugin's provider inputs, and how answers of a plugin reach the engine."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pytest
from pulumi.runtime.proto import provider_pb2, provider_pb2_grpc, status_pb2

from sandbox.plugin.command import CommandPlugin
from sandbox.plugin.errors import CheckError, NotReadyError, PluginError
from sandbox.plugin.kubeconfig import load_connection
from sandbox.plugin.kubernetes import KubernetesPlugin
from sandbox.plugin.resource import Handler, Outcome, Run, Target
from sandbox.plugin.service import ResourceProvider, target_of
from sandbox.plugin.wire import Properties, decode, encode

KUBECONFIG = """
apiVersion: v1
kind: Config
current-context: a
clusters: [{name: one, cluster: {server: "https://127.0.0.1:1"}}]
contexts:
- {name: a, context: {cluster: one, namespace: prod}}
- {name: b, context: {cluster: one}}
"""


def test_a_kubeconfig_is_content_or_path_or_in_the_environment(tmp_path: Path) -> None:
    path = tmp_path / "config"
    path.write_text(KUBECONFIG)
    assert load_connection(KUBECONFIG, "", {}).source is None
    assert load_connection(str(path), "b", {}).config.namespace == "default"
    found = load_connection("", "", {"KUBECONFIG": str(path)})
    assert (found.config.namespace, str(found)) == ("prod", f"https://127.0.0.1:1 (context a of {path})")


@pytest.mark.parametrize(
    ("given", "context", "complaint"),
    [
        ("/nowhere/config", "", "no kubeconfig: /nowhere/config: No such file"),
        ("/a:/b", "", "one kubeconfig file, not several"),
        (KUBECONFIG, "c", "Context 'c' not found"),
        ("- a\n- b\n", "", "must be a YAML mapping"),
        ("a: [\n", "", "cannot use the given kubeconfig"),
    ],
)
def test_a_bad_kubeconfig_is_an_error_that_says_why(given: str, context: str, complaint: str) -> None:
    with pytest.raises(PluginError, match=complaint):
        load_connection(given, context, {})


def test_provider_inputs_that_are_not_served_are_refused_together() -> None:
    with pytest.raises(CheckError) as caught:
        KubernetesPlugin().check_config(
            {"enableServerSideApply": "false", "renderYamlToDirectory": "out", "context": "a"}
        )
    assert [failure.path for failure in caught.value.failures] == ["renderYamlToDirectory", "enableServerSideApply"]


@pytest.mark.parametrize(
    "token",
    ["kubernetes:helm.sh/v4:Chart", "kubernetes:kustomize/v2:Directory", "kubernetes:yaml/v2:ConfigGroup"],
)
def test_resource_types_that_are_not_served_are_refused_by_name(token: str) -> None:
    with pytest.raises(PluginError, match=f"{token} is not served"):
        KubernetesPlugin().handler(token)


def test_manifests_are_decoded_for_config_files() -> None:
    text = "a: 1\nb: null\n---\n---\nc: 2\n"
    assert KubernetesPlugin().invoke("kubernetes:yaml:decode", {"text": text}) == {"result": [{"a": 1}, {"c": 2}]}


class _NeverReady:
    """A handler whose objects are created but do not become ready."""

    def create(self, target: Target, inputs: Properties, run: Run) -> Outcome:
        raise NotReadyError("it is not ready", resource_id="prod/x", outputs=inputs, reasons=["no image", "no node"])


class _Plugin(CommandPlugin):
    def handler(self, token: str) -> Handler:
        if token == "defect":
            raise ZeroDivisionError("oops")
        return _NeverReady()  # type: ignore[return-value]


@pytest.fixture
def stub() -> Iterator[Any]:
    server = grpc.server(ThreadPoolExecutor(2))
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(ResourceProvider(_Plugin(), "1", None), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield provider_pb2_grpc.ResourceProviderStub(channel)
    server.stop(None).wait()


def test_an_object_that_is_not_ready_is_reported_with_its_state_so_that_pulumi_keeps_it(stub: Any) -> None:
    request = provider_pb2.CreateRequest(urn="urn:pulumi:d::p::a:b:C::x", properties=encode({"a": 1}))
    with pytest.raises(grpc.RpcError) as caught:
        stub.Create(request)
    trailer = {item.key: item.value for item in caught.value.trailing_metadata()}
    status = status_pb2.Status.FromString(trailer["grpc-status-details-bin"])
    detail = provider_pb2.ErrorResourceInitFailed()
    assert status.details[0].Unpack(detail)
    assert (caught.value.details(), detail.id, decode(detail.properties), list(detail.reasons)) == (
        "it is not ready",
        "prod/x",
        {"a": 1},
        ["no image", "no node"],
    )


def test_a_defect_is_called_one(stub: Any, capfd: pytest.CaptureFixture[str]) -> None:
    request = provider_pb2.CheckRequest(urn="urn:pulumi:d::p::defect::x")
    with pytest.raises(grpc.RpcError, match="a defect in the stand-in plugin: ZeroDivisionError: oops"):
        stub.Check(request)
    assert "ZeroDivisionError" in capfd.readouterr().err


def test_a_stack_may_propose_names_or_want_them_written_out() -> None:
    options = provider_pb2.CheckRequest.AutonamingOptions
    urn = "urn:pulumi:d::p::parent:x:Y$a:b:C::web"
    plain = target_of(provider_pb2.CheckRequest(urn=urn, randomSeed=b"1"))
    proposed = target_of(
        provider_pb2.CheckRequest(urn=urn, autonaming=options(proposed_name="dev-web", mode=options.ENFORCE))
    )
    disabled = target_of(provider_pb2.CheckRequest(urn=urn, autonaming=options(mode=options.DISABLE)))
    assert (plain.type, plain.name, plain.proposed_name[:4], len(plain.proposed_name)) == ("a:b:C", "web", "web-", 12)
    assert (proposed.proposed_name, disabled.autonaming_disabled) == ("dev-web", True)
