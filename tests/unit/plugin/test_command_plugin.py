"""`command.local.Command` and the gRPC service, called as the engine calls them."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.empty_pb2 import Empty
from pulumi.runtime.proto import provider_pb2, provider_pb2_grpc

from sandbox.plugin.command import CommandPlugin
from sandbox.plugin.service import ResourceProvider
from sandbox.plugin.wire import SECRET, SIGNATURE, UNKNOWN, decode, encode, secret_keys

URN = "urn:pulumi:dev::shop::command:local:Command::greet"


@pytest.fixture
def stub() -> Iterator[Any]:
    server = grpc.server(ThreadPoolExecutor(4))
    provider = ResourceProvider(CommandPlugin(), "1.2.1", engine_address=None)
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(provider, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield provider_pb2_grpc.ResourceProviderStub(channel)
    server.stop(None).wait()


def _create(stub: Any, *, preview: bool = False, timeout: float = 0, **inputs: Any) -> Any:
    request = provider_pb2.CreateRequest(urn=URN, properties=encode(inputs), preview=preview, timeout=timeout)
    return stub.Create(request)


def _diff(stub: Any, old: dict[str, Any], new: dict[str, Any]) -> Any:
    return stub.Diff(provider_pb2.DiffRequest(urn=URN, old_inputs=encode(old), olds=encode(old), news=encode(new)))


def test_create_runs_the_command_in_its_folder_and_environment_with_its_input(stub: Any, tmp_path: Path) -> None:
    answer = _create(
        stub,
        create='read line; echo "$GREETING $line in $PWD"; echo aside >&2',
        environment={"GREETING": "hello"},
        stdin="world\n",
        dir=str(tmp_path),
    )
    outputs = decode(answer.properties)
    assert (outputs["stdout"], outputs["stderr"]) == (f"hello world in {tmp_path}", "aside")
    assert answer.id.startswith("greet-")


def test_another_interpreter_can_be_named(stub: Any) -> None:
    answer = _create(stub, create="print(6 * 7)", interpreter=["python3", "-c"])
    assert decode(answer.properties)["stdout"] == "42"


def test_a_failure_tells_the_status_and_what_was_written_but_not_the_command(stub: Any) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        _create(stub, create="echo no luck >&2; exit 3 # token")
    assert caught.value.details() == "the command ended with exit status 3:\nno luck"


def test_a_preview_runs_nothing_and_does_not_know_the_output(stub: Any, tmp_path: Path) -> None:
    outputs = decode(_create(stub, preview=True, create=f"touch {tmp_path}/ran").properties)
    assert (outputs["stdout"], outputs["stderr"]) == (UNKNOWN, UNKNOWN)
    assert list(tmp_path.iterdir()) == []


def test_output_is_secret_where_an_input_is(stub: Any) -> None:
    secret = {SIGNATURE: SECRET, "value": {"TOKEN": "hunter2"}}
    answer = _create(stub, create="echo $TOKEN", environment=secret)
    assert secret_keys(answer.properties) == {"environment", "stdout", "stderr"}
    assert not secret_keys(_create(stub, create="echo").properties)


@pytest.mark.parametrize(
    ("inputs", "ran"),
    [
        ({"create": "echo created", "update": "echo updated after $PULUMI_COMMAND_STDOUT"}, "updated after before"),
        ({"create": "echo created after $PULUMI_COMMAND_STDOUT"}, "created after before"),
        ({"create": "echo [$PULUMI_COMMAND_STDOUT]", "addPreviousOutputInEnv": False}, "[]"),
        ({}, "before"),
    ],
)
def test_update_runs_the_update_command_or_else_create(stub: Any, inputs: dict[str, Any], ran: str) -> None:
    request = provider_pb2.UpdateRequest(
        id="greet-1", urn=URN, olds=encode({"stdout": "before", "stderr": ""}), news=encode(inputs)
    )
    assert decode(stub.Update(request).properties)["stdout"] == ran


def test_delete_runs_the_delete_command_with_the_last_output(stub: Any, tmp_path: Path) -> None:
    state = {"delete": f'echo "$PULUMI_COMMAND_STDOUT" > {tmp_path}/gone', "stdout": "before", "stderr": ""}
    stub.Delete(provider_pb2.DeleteRequest(id="greet-1", urn=URN, properties=encode(state)))
    assert (tmp_path / "gone").read_text() == "before\n"


def test_triggers_replace_unless_there_is_an_update_command(stub: Any) -> None:
    old, new = {"create": "a", "triggers": ["1"]}, {"create": "a", "triggers": ["2"]}
    assert list(_diff(stub, old, new).replaces) == ["triggers[0]"]
    with_update = _diff(stub, {**old, "update": "u"}, {**new, "update": "u"})
    assert (list(with_update.replaces), list(with_update.diffs)) == ([], ["triggers"])


def test_unchanged_inputs_do_nothing(stub: Any) -> None:
    answer = _diff(stub, {"create": "a"}, {"create": "a"})
    assert answer.changes == provider_pb2.DiffResponse.DIFF_NONE


def test_bad_inputs_are_refused_together(stub: Any) -> None:
    inputs = {"logging": "loud", "assetPaths": ["*"]}
    answer = stub.Check(provider_pb2.CheckRequest(urn=URN, news=encode(inputs)))
    assert [(failure.property, failure.reason) for failure in answer.failures] == [
        ("assetPaths", "is not served by the sandbox's stand-in plugin"),
        ("logging", "'loud' must be one of stdout, stderr, none, stdoutAndStderr"),
    ]


def test_remote_commands_are_refused_by_name(stub: Any) -> None:
    urn = "urn:pulumi:dev::shop::command:remote:Command::x"
    with pytest.raises(grpc.RpcError, match=r"command:remote:Command is not served by the sandbox's stand-in"):
        stub.Check(provider_pb2.CheckRequest(urn=urn))


def test_a_command_that_takes_too_long_is_ended(stub: Any) -> None:
    with pytest.raises(grpc.RpcError, match=r"longer than 0\.2 s"):
        _create(stub, create="sleep 60", timeout=0.2)


def test_cancelling_ends_what_runs_with_its_children(stub: Any, tmp_path: Path) -> None:
    failures: list[grpc.RpcError] = []

    def create() -> None:
        with pytest.raises(grpc.RpcError) as caught:
            _create(stub, create=f"touch {tmp_path}/started; sleep 60 & wait; touch {tmp_path}/ended")
        failures.append(caught.value)

    thread = threading.Thread(target=create)
    thread.start()
    while not (tmp_path / "started").exists():
        assert thread.is_alive()
        time.sleep(0.01)
    stub.Cancel(Empty())
    thread.join(timeout=10)
    assert [failure.details() for failure in failures] == ["interrupted"]
    assert not (tmp_path / "ended").exists()
