"""`command.local.Command`: shell commands as a resource."""

from collections.abc import Mapping
from typing import Any

from sandbox.plugin.diff import Difference, find_difference
from sandbox.plugin.errors import CheckError, Failure, PluginError
from sandbox.plugin.processes import LineReader, execute
from sandbox.plugin.resource import Found, Old, Outcome, Run, Target
from sandbox.plugin.wire import UNKNOWN, Properties

_DEFAULT_INTERPRETER = ["/bin/sh", "-c"]
_LOGGED = {"stdout": {"stdout"}, "stderr": {"stderr"}, "none": set[str](), "stdoutAndStderr": {"stdout", "stderr"}}
_CAPTURED = ("stdout", "stderr")


class LocalCommandHandler:
    """Semantics of the official plugin 1.2: `update` falls back to `create`; triggers replace unless there is an
    `update`; the output of the last command is in the environment of the next as PULUMI_COMMAND_STDOUT and
    PULUMI_COMMAND_STDERR.
    """

    def check(self, target: Target, old_inputs: Properties, inputs: Properties) -> Properties:  # noqa: ARG002
        refused = [
            Failure(key, "is not served by the sandbox's stand-in plugin")
            for key in ("assetPaths", "archivePaths")
            if key in inputs
        ]
        if inputs.get("logging", "none") not in {*_LOGGED, UNKNOWN}:
            refused.append(Failure("logging", f"{inputs['logging']!r} must be one of {', '.join(_LOGGED)}"))
        if refused:
            raise CheckError(*refused)
        return inputs

    def diff(self, target: Target, old: Old, inputs: Properties) -> Difference:  # noqa: ARG002
        return find_difference(old.inputs, inputs, immutable=[] if inputs.get("update") else [("triggers",)])

    def create(self, target: Target, inputs: Properties, run: Run) -> Outcome:
        if run.preview:
            return Outcome("", _unknown_outputs(inputs))
        outputs = _run(inputs.get("create"), inputs, {}, run)
        return Outcome(target.proposed_name, {**inputs, **outputs}, _secrets(run))

    def update(self, target: Target, old: Old, inputs: Properties, ignored: list[str], run: Run) -> Outcome:  # noqa: ARG002
        if run.preview:
            return Outcome(old.id, _unknown_outputs(inputs))
        outputs = _run(inputs.get("update") or inputs.get("create"), inputs, old.outputs, run)
        return Outcome(old.id, {**inputs, **outputs}, _secrets(run))

    def read(self, target: Target, old: Old) -> Found | None:  # noqa: ARG002
        if not old.inputs:
            raise PluginError("a command cannot be imported")
        return Found(Outcome(old.id, old.outputs), old.inputs)

    def delete(self, target: Target, old: Old, run: Run) -> None:  # noqa: ARG002
        _run(old.outputs.get("delete"), old.outputs, old.outputs, run)


def _run(command: str | None, inputs: Mapping[str, Any], previous: Mapping[str, Any], run: Run) -> Properties:
    """Run one of the three commands; its output, or the previous output where there is no such command.

    Raises PluginError with what it wrote to stderr (or else stdout) when it fails. The command itself may hold
    secrets and is not repeated.
    """
    if not command:
        return {key: previous.get(key, "") for key in _CAPTURED}
    environment = {key: str(value) for key, value in (inputs.get("environment") or {}).items()}
    if inputs.get("addPreviousOutputInEnv", True):
        environment |= {f"PULUMI_COMMAND_{key.upper()}": previous[key] for key in _CAPTURED if key in previous}
    done = execute(
        [*(inputs.get("interpreter") or _DEFAULT_INTERPRETER), command],
        run,
        stdin=inputs.get("stdin") or "",
        environment=environment,
        folder=inputs.get("dir"),
        on_stdout=_log(inputs, "stdout", run),
        on_stderr=_log(inputs, "stderr", run),
    )
    if done.status != 0:
        told = (done.stderr or done.stdout).rstrip()
        end = f"signal {-done.status}" if done.status < 0 else f"exit status {done.status}"
        raise PluginError(f"the command ended with {end}" + (f":\n{told}" if told else ""))
    return {"stdout": done.stdout.removesuffix("\n"), "stderr": done.stderr.removesuffix("\n")}


def _log(inputs: Mapping[str, Any], stream: str, run: Run) -> LineReader | None:
    """Where to show output. Nothing is shown while an input is secret, since the output may repeat it."""
    wanted = _LOGGED[inputs.get("logging") or "stdoutAndStderr"]
    return run.log if stream in wanted and not run.secret_inputs else None


def _secrets(run: Run) -> frozenset[str]:
    return frozenset(_CAPTURED) if run.secret_inputs else frozenset()


def _unknown_outputs(inputs: Properties) -> Properties:
    return {**inputs, **dict.fromkeys(_CAPTURED, UNKNOWN)}
