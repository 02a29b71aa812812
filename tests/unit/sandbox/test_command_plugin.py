"""The stand-in for the command plugin: what the engine asks of it, call by call."""

from unittest.mock import Mock

import pytest
from google.protobuf.json_format import MessageToDict
from google.protobuf.struct_pb2 import Struct
from pulumi.runtime.proto import provider_pb2

from sandbox.deploy.command_plugin import CommandPlugin

URN = "urn:pulumi:dev::shop::command:local:Command::gate"
PLUGIN = CommandPlugin()


class AbortedError(Exception):
    pass


@pytest.fixture
def context():
    def abort(_code, details):
        raise AbortedError(details)

    return Mock(abort=abort)


def struct(**values):
    made = Struct()
    made.update(values)
    return made


def test_create_runs_the_command_with_its_environment_and_returns_its_output(context, tmp_path):
    command = 'echo "$GREETING from $(basename "$PWD")"; cat; echo oops >&2'
    inputs = {"create": command, "environment": {"GREETING": "hello"}, "dir": str(tmp_path), "stdin": "more"}
    created = PLUGIN.Create(provider_pb2.CreateRequest(urn=URN, properties=struct(**inputs)), context)
    outputs = {"stdout": f"hello from {tmp_path.name}\nmore", "stderr": "oops"}
    assert MessageToDict(created.properties) == inputs | outputs


def test_a_command_that_fails_is_an_error_with_its_words(context):
    request = provider_pb2.CreateRequest(urn=URN, properties=struct(create="echo no such gate >&2; exit 3"))
    with pytest.raises(AbortedError, match="exit status 3: no such gate"):
        PLUGIN.Create(request, context)


@pytest.mark.parametrize(
    ("update", "ran"), [({}, "created"), ({"update": "echo updated"}, "updated")], ids=["create", "update"]
)
def test_an_update_runs_its_own_command_or_else_create(update, ran, context):
    news = struct(create="echo created", **update)
    updated = PLUGIN.Update(provider_pb2.UpdateRequest(urn=URN, news=news), context)
    assert MessageToDict(updated.properties)["stdout"] == ran


def test_delete_runs_its_command(context, tmp_path):
    PLUGIN.Delete(provider_pb2.DeleteRequest(urn=URN, properties=struct(delete=f"touch {tmp_path}/deleted")), context)
    assert (tmp_path / "deleted").exists()


def test_a_function_runs_a_command_and_returns_its_output(context):
    inputs = {"command": 'echo "$GREETING"', "environment": {"GREETING": "hello"}}
    asked = provider_pb2.InvokeRequest(tok="command:local:run", args=struct(**inputs))
    answer = MessageToDict(PLUGIN.Invoke(asked, context))
    assert answer["return"] == inputs | {"stdout": "hello", "stderr": ""}


def test_another_function_is_refused_by_name(context):
    with pytest.raises(AbortedError, match="command:remote:copy is not served"):
        PLUGIN.Invoke(provider_pb2.InvokeRequest(tok="command:remote:copy"), context)


@pytest.mark.parametrize(
    ("new", "diffs", "replaces"),
    [
        ({"create": "a", "triggers": [1]}, [], []),
        ({"create": "b", "triggers": [1]}, ["create"], []),
        ({"create": "a", "triggers": [2]}, ["triggers"], ["triggers"]),
        ({"create": "a", "triggers": [2], "update": "c"}, ["triggers", "update"], []),
    ],
)
def test_a_change_updates_and_new_triggers_replace_unless_there_is_an_update(new, diffs, replaces, context):
    old = struct(create="a", triggers=[1])
    answer = PLUGIN.Diff(provider_pb2.DiffRequest(urn=URN, old_inputs=old, news=struct(**new)), context)
    assert (list(answer.diffs), list(answer.replaces)) == (diffs, replaces)


@pytest.mark.parametrize(
    ("urn", "inputs", "refused"),
    [
        (URN, {"create": "true"}, []),
        (URN, {"create": "true", "assetPaths": ["*"]}, ["assetPaths"]),
        (URN.replace("local", "remote"), {"create": "true"}, ["command:remote:Command"]),
    ],
)
def test_what_it_does_not_serve_is_refused_by_name(urn, inputs, refused, context):
    answer = PLUGIN.Check(provider_pb2.CheckRequest(urn=urn, news=struct(**inputs)), context)
    assert [failure.property for failure in answer.failures] == refused
