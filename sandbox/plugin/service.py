"""The gRPC side of a plugin: Pulumi's ResourceProvider protocol on top of a Plugin."""

import contextlib
import functools
import json
import os
import sys
import threading
import time
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NoReturn, TypeVar

import grpc
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.empty_pb2 import Empty
from google.protobuf.struct_pb2 import Struct
from pulumi.runtime.proto import engine_pb2, engine_pb2_grpc, plugin_pb2, provider_pb2, provider_pb2_grpc, status_pb2

from sandbox.plugin import property_path
from sandbox.plugin.diff import Change, Difference, changes_between
from sandbox.plugin.errors import CheckError, Failure, NotReadyError, PluginError
from sandbox.plugin.metadata import suffix
from sandbox.plugin.resource import Found, Old, Outcome, Plugin, Run, Target
from sandbox.plugin.wire import decode, encode, secret_keys

THREADS = 128  # an operation that waits holds a thread; Pulumi starts as many as `--parallel` says
UNLIMITED = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]

_PROPERTY_DIFF = provider_pb2.PropertyDiff
_CHANGE_KINDS = {
    (Change.ADD, False): _PROPERTY_DIFF.ADD,
    (Change.ADD, True): _PROPERTY_DIFF.ADD_REPLACE,
    (Change.DELETE, False): _PROPERTY_DIFF.DELETE,
    (Change.DELETE, True): _PROPERTY_DIFF.DELETE_REPLACE,
    (Change.UPDATE, False): _PROPERTY_DIFF.UPDATE,
    (Change.UPDATE, True): _PROPERTY_DIFF.UPDATE_REPLACE,
}

Response = TypeVar("Response")


def _answer(method: Callable[..., Response]) -> Callable[..., Response]:
    """Turn exceptions into gRPC errors. A bug's traceback goes to stderr, which Pulumi shows."""

    @functools.wraps(method)
    def call(self: "ResourceProvider", request: Any, context: grpc.ServicerContext) -> Response:
        try:
            return method(self, request)
        except NotReadyError as error:
            _fail_with_state(context, error)
        except PluginError as error:
            context.abort(grpc.StatusCode.UNKNOWN, str(error))
        except Exception as error:  # noqa: BLE001 - the boundary: whatever it is, the engine must be told
            traceback.print_exc()
            context.abort(grpc.StatusCode.INTERNAL, f"a defect in the stand-in plugin: {type(error).__name__}: {error}")
        raise AssertionError("abort raises")

    return call


def _fail_with_state(context: grpc.ServicerContext, error: NotReadyError) -> NoReturn:
    """The error that makes the engine keep the resource, marked as not initialised."""
    detail = provider_pb2.ErrorResourceInitFailed(
        id=error.resource_id, properties=encode(error.outputs), reasons=error.reasons
    )
    packed = AnyMessage()
    packed.Pack(detail)
    code = grpc.StatusCode.UNKNOWN
    status = status_pb2.Status(code=code.value[0], message=str(error), details=[packed])
    context.set_trailing_metadata((("grpc-status-details-bin", status.SerializeToString()),))
    context.abort(code, str(error))
    raise AssertionError("abort raises")


class ResourceProvider(provider_pb2_grpc.ResourceProviderServicer):
    def __init__(self, plugin: Plugin, version: str, engine_address: str | None) -> None:
        self._plugin = plugin
        self._version = version
        self._cancelled = threading.Event()
        self._engine = None
        if engine_address:
            self._engine = engine_pb2_grpc.EngineStub(grpc.insecure_channel(engine_address))

    @_answer
    def Handshake(self, request: Any) -> provider_pb2.ProviderHandshakeResponse:  # noqa: N802, ARG002 - gRPC's names
        return provider_pb2.ProviderHandshakeResponse(
            accept_secrets=self._plugin.accepts_secrets, supports_autonaming_configuration=True
        )

    @_answer
    def GetPluginInfo(self, request: Empty) -> plugin_pb2.PluginInfo:  # noqa: N802, ARG002
        return plugin_pb2.PluginInfo(version=self._version)

    @_answer
    def GetSchema(self, request: provider_pb2.GetSchemaRequest) -> provider_pb2.GetSchemaResponse:  # noqa: N802, ARG002
        return provider_pb2.GetSchemaResponse(
            schema=json.dumps({"name": self._plugin.name, "version": self._version, "resources": {}})
        )

    @_answer
    def CheckConfig(self, request: provider_pb2.CheckRequest) -> provider_pb2.CheckResponse:  # noqa: N802
        try:
            self._plugin.check_config(decode(request.news))
        except CheckError as error:
            return _refusal(error)
        return provider_pb2.CheckResponse(inputs=request.news)

    @_answer
    def DiffConfig(self, request: provider_pb2.DiffRequest) -> provider_pb2.DiffResponse:  # noqa: N802
        old, new = decode(request.old_inputs), decode(request.news)
        replacing = self._plugin.replaces_on(old, new)
        return _diff_response(
            Difference(changes_between(old, new), frozenset((key,) for key in replacing), delete_before_replace=False)
        )

    @_answer
    def Configure(self, request: provider_pb2.ConfigureRequest) -> provider_pb2.ConfigureResponse:  # noqa: N802
        self._plugin.configure(decode(request.args))
        return provider_pb2.ConfigureResponse(
            acceptSecrets=self._plugin.accepts_secrets,
            supportsPreview=True,
            supports_autonaming_configuration=True,
        )

    @_answer
    def Check(self, request: provider_pb2.CheckRequest) -> provider_pb2.CheckResponse:  # noqa: N802
        target = target_of(request)
        try:
            inputs = self._plugin.handler(target.type).check(target, decode(request.olds), decode(request.news))
        except CheckError as error:
            return _refusal(error)
        return provider_pb2.CheckResponse(inputs=encode(inputs, secret_keys(request.news)))

    @_answer
    def Diff(self, request: provider_pb2.DiffRequest) -> provider_pb2.DiffResponse:  # noqa: N802
        target = target_of(request)
        old = Old(request.id, decode(request.old_inputs), decode(request.olds))
        return _diff_response(self._plugin.handler(target.type).diff(target, old, decode(request.news)))

    @_answer
    def Create(self, request: provider_pb2.CreateRequest) -> provider_pb2.CreateResponse:  # noqa: N802
        target = target_of(request)
        run = self._run(target, request, request.properties)
        outcome = self._plugin.handler(target.type).create(target, decode(request.properties), run)
        return provider_pb2.CreateResponse(id=outcome.id, properties=_outputs(outcome, request.properties))

    @_answer
    def Read(self, request: provider_pb2.ReadRequest) -> provider_pb2.ReadResponse:  # noqa: N802
        target = target_of(request)
        old = Old(request.id, decode(request.inputs), decode(request.properties))
        found: Found | None = self._plugin.handler(target.type).read(target, old)
        if found is None:
            return provider_pb2.ReadResponse()
        return provider_pb2.ReadResponse(
            id=found.outcome.id,
            properties=_outputs(found.outcome, request.properties),
            inputs=encode(found.inputs, secret_keys(request.inputs)),
        )

    @_answer
    def Update(self, request: provider_pb2.UpdateRequest) -> provider_pb2.UpdateResponse:  # noqa: N802
        target = target_of(request)
        old = Old(request.id, decode(request.old_inputs), decode(request.olds))
        outcome = self._plugin.handler(target.type).update(
            target, old, decode(request.news), list(request.ignoreChanges), self._run(target, request, request.news)
        )
        return provider_pb2.UpdateResponse(properties=_outputs(outcome, request.news))

    @_answer
    def Delete(self, request: provider_pb2.DeleteRequest) -> Empty:  # noqa: N802
        target = target_of(request)
        old = Old(request.id, decode(request.old_inputs), decode(request.properties))
        self._plugin.handler(target.type).delete(target, old, self._run(target, request, request.properties))
        return Empty()

    @_answer
    def Invoke(self, request: provider_pb2.InvokeRequest) -> provider_pb2.InvokeResponse:  # noqa: N802
        response = provider_pb2.InvokeResponse()
        getattr(response, "return").CopyFrom(encode(self._plugin.invoke(request.tok, decode(request.args))))
        return response

    @_answer
    def Construct(self, request: provider_pb2.ConstructRequest) -> provider_pb2.ConstructResponse:  # noqa: N802
        raise PluginError(
            f"{request.type} is not served by the sandbox's stand-in plugin; the official plugin is needed"
        )

    @_answer
    def Cancel(self, request: Empty) -> Empty:  # noqa: N802, ARG002
        self._cancelled.set()
        return Empty()

    def _run(self, target: Target, request: Any, inputs: Struct) -> Run:
        def tell(severity: Any, *, ephemeral: bool) -> Callable[[str], None]:
            return lambda message: self._tell(target.urn, severity, message, ephemeral=ephemeral)

        return Run(
            preview=getattr(request, "preview", False),
            timeout=request.timeout,
            cancelled=self._cancelled,
            status=tell(engine_pb2.INFO, ephemeral=True),
            log=tell(engine_pb2.INFO, ephemeral=False),
            warn=tell(engine_pb2.WARNING, ephemeral=False),
            secret_inputs=secret_keys(inputs),
        )

    def _tell(self, urn: str, severity: Any, message: str, *, ephemeral: bool) -> None:
        if self._engine is None:
            return
        request = engine_pb2.LogRequest(severity=severity, message=message, urn=urn, ephemeral=ephemeral)
        with contextlib.suppress(grpc.RpcError):  # an engine that is going away listens no more; the work goes on
            self._engine.Log(request)


def target_of(request: Any) -> Target:
    """The resource of a request, named by its URN: urn:pulumi:STACK::PROJECT::PARENT$TYPE::NAME."""
    parts = request.urn.split("::", 3)
    name = request.name or parts[3]
    proposal, disabled = f"{name}-{suffix(getattr(request, 'randomSeed', b'') or os.urandom(16))}", False
    if isinstance(request, provider_pb2.CheckRequest) and request.HasField("autonaming"):
        options = request.autonaming
        proposal = options.proposed_name or proposal
        disabled = options.mode == provider_pb2.CheckRequest.AutonamingOptions.DISABLE
    return Target(request.urn, request.type or parts[2].rpartition("$")[2], name, proposal, disabled)


def _refusal(error: CheckError) -> provider_pb2.CheckResponse:
    failures = [provider_pb2.CheckFailure(property=failure.path, reason=failure.reason) for failure in error.failures]
    return provider_pb2.CheckResponse(
        failures=failures or [provider_pb2.CheckFailure(reason=str(Failure("", "refused")))]
    )


def _outputs(outcome: Outcome, inputs: Struct) -> Struct:
    return encode(outcome.outputs, outcome.secrets | secret_keys(inputs))


def _diff_response(difference: Difference) -> provider_pb2.DiffResponse:
    detailed = {
        property_path.render(path): provider_pb2.PropertyDiff(
            kind=_CHANGE_KINDS[change, path in difference.replaces], inputDiff=True
        )
        for path, change in difference.changes.items()
    }
    response = provider_pb2.DiffResponse
    return response(
        changes=response.DIFF_SOME if detailed else response.DIFF_NONE,
        diffs=sorted({str(path[0]) for path in difference.changes}),
        replaces=sorted({property_path.render(path) for path in difference.replaces}),
        detailedDiff=detailed,
        hasDetailedDiff=True,
        deleteBeforeReplace=difference.delete_before_replace,
    )


def serve(plugin: Plugin, version: str) -> None:
    """Run as Pulumi starts plugins: print the port that was taken, then serve until the engine goes away."""
    engine_address = sys.argv[1] if len(sys.argv) > 1 else None
    server = grpc.server(ThreadPoolExecutor(max_workers=THREADS), options=UNLIMITED)
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(ResourceProvider(plugin, version, engine_address), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    print(port, flush=True)
    parent = os.getppid()
    while os.getppid() == parent:
        time.sleep(1)
    server.stop(grace=None)
