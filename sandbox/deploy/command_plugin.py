"""Stand-in for Pulumi's `command` plugin, which no package registry has: `command:local:Command` and `local:run` alone.

Started by the engine as a program of its own. It covers `create`, `update`, `delete`, `command`, `environment`, `dir`,
`stdin`, `interpreter` and `triggers`; output is what the command writes. Whatever else is asked for is refused by name.
"""

import importlib.metadata
import os
import subprocess
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import grpc
from google.protobuf.empty_pb2 import Empty
from google.protobuf.json_format import MessageToDict
from google.protobuf.struct_pb2 import Struct
from pulumi.runtime.proto import plugin_pb2, provider_pb2, provider_pb2_grpc

TOKEN, FUNCTION = "command:local:Command", "command:local:run"
INPUTS = {"create", "update", "delete", "environment", "dir", "stdin", "interpreter", "triggers"}


class CommandPlugin(provider_pb2_grpc.ResourceProviderServicer):
    """The part of Pulumi's provider protocol that a command needs; the engine does without the rest."""

    def GetPluginInfo(self, request: Empty, context: Any) -> plugin_pb2.PluginInfo:
        return plugin_pb2.PluginInfo(version=importlib.metadata.version("pulumi-command"))

    def Configure(self, request: provider_pb2.ConfigureRequest, context: Any) -> provider_pb2.ConfigureResponse:
        return provider_pb2.ConfigureResponse(supportsPreview=False)

    def Check(self, request: provider_pb2.CheckRequest, context: Any) -> provider_pb2.CheckResponse:
        token = request.urn.split("::")[2].rpartition("$")[2]
        unknown = [token] if token != TOKEN else sorted(MessageToDict(request.news).keys() - INPUTS)
        reason = "is not served by the sandbox's stand-in for the command plugin"
        failures = [provider_pb2.CheckFailure(property=name, reason=f"{name} {reason}") for name in unknown]
        return provider_pb2.CheckResponse(inputs=request.news, failures=failures)

    def Diff(self, request: provider_pb2.DiffRequest, context: Any) -> provider_pb2.DiffResponse:
        old, new = MessageToDict(request.old_inputs), MessageToDict(request.news)
        changed = sorted(name for name in INPUTS if old.get(name) != new.get(name))
        answer = provider_pb2.DiffResponse
        return answer(
            changes=answer.DIFF_SOME if changed else answer.DIFF_NONE,
            diffs=changed,
            replaces=["triggers"] if "triggers" in changed and not new.get("update") else [],
        )

    def Invoke(self, request: provider_pb2.InvokeRequest, context: Any) -> provider_pb2.InvokeResponse:
        if request.tok != FUNCTION:
            context.abort(grpc.StatusCode.UNIMPLEMENTED, f"{request.tok} is not served by the sandbox's stand-in")
        answer = provider_pb2.InvokeResponse()
        getattr(answer, "return").CopyFrom(run("command", MessageToDict(request.args), context))
        return answer

    def Create(self, request: provider_pb2.CreateRequest, context: Any) -> provider_pb2.CreateResponse:
        outputs = run("create", MessageToDict(request.properties), context)
        return provider_pb2.CreateResponse(id=uuid4().hex, properties=outputs)

    def Update(self, request: provider_pb2.UpdateRequest, context: Any) -> provider_pb2.UpdateResponse:
        inputs = MessageToDict(request.news)
        return provider_pb2.UpdateResponse(
            properties=run("update" if inputs.get("update") else "create", inputs, context)
        )

    def Read(self, request: provider_pb2.ReadRequest, context: Any) -> provider_pb2.ReadResponse:
        return provider_pb2.ReadResponse(id=request.id, properties=request.properties, inputs=request.inputs)

    def Delete(self, request: provider_pb2.DeleteRequest, context: Any) -> Empty:
        run("delete", MessageToDict(request.properties), context)
        return Empty()


def run(step: str, inputs: Mapping[str, Any], context: Any) -> Struct:
    """Run the command of that step, if any. Returns the inputs with `stdout` and `stderr`; aborts the call on error."""
    stdout = stderr = ""
    if command := inputs.get(step):
        done = subprocess.run(
            [*inputs.get("interpreter", ["/bin/sh", "-c"]), command],
            input=inputs.get("stdin", ""),
            env=os.environ | {name: str(value) for name, value in inputs.get("environment", {}).items()},
            cwd=inputs.get("dir"),
            capture_output=True,
            text=True,
            check=False,
        )
        stdout, stderr = done.stdout.removesuffix("\n"), done.stderr.removesuffix("\n")
        if done.returncode != 0:
            context.abort(grpc.StatusCode.UNKNOWN, f"exit status {done.returncode}: {stderr or stdout}")
    outputs = Struct()
    outputs.update({**inputs, "stdout": stdout, "stderr": stderr})
    return outputs


def main() -> None:
    """Serve until the engine goes away. The engine reads the port from the first line of output."""
    server = grpc.server(ThreadPoolExecutor())
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(CommandPlugin(), server)
    print(server.add_insecure_port("127.0.0.1:0"), flush=True)
    server.start()
    engine = os.getppid()
    while os.getppid() == engine:
        time.sleep(1)


if __name__ == "__main__":
    main()
