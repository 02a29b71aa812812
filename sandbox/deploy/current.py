"""The same program on a cluster that the user already has: `make up CLUSTER=current`."""

import json
import shutil
import subprocess
from dataclasses import dataclass

from rich.console import Console
from rich.prompt import Confirm

from sandbox.deploy.project import STACK
from sandbox.node.instance import Instance
from sandbox.paths import REPO, state_root
from sandbox.running import SandboxError

_TOOLS = {
    "pulumi": "the Pulumi CLI, from Pulumi's installation page",
    "kubectl": "kubectl, from Kubernetes' installation page",
}


@dataclass(frozen=True)
class Context:
    """The kube context that would be used, and the server it leads to."""

    name: str
    server: str


def deploy_to_current(console: Console, *, sure: bool) -> None:
    """Run `pulumi up` on the user's own backend and kube context, with their official CLI. Raises SandboxError."""
    _confirm(console, "install Istio, monitoring, a gateway and canaried apps", sure=sure)
    _pulumi("stack", "select", "--create", STACK)
    _pulumi("up", "--stack", STACK)


def remove_from_current(console: Console, *, sure: bool) -> None:
    """Run `pulumi destroy` on the user's own backend and kube context. Raises SandboxError."""
    _confirm(console, "remove everything that this stack has installed", sure=sure)
    _pulumi("destroy", "--stack", STACK)


def current_context() -> Context:
    """The current kube context. Raises SandboxError if a tool, the context or the cluster's answer is missing."""
    for tool, what in _TOOLS.items():
        if not shutil.which(tool):
            raise SandboxError(f"`{tool}` was not found on PATH: CLUSTER=current needs {what}.")
    view = _kubectl("config", "view", "--minify", "-o", "json")
    config = json.loads(view.stdout) if view.returncode == 0 else {}
    if not config.get("clusters"):
        raise SandboxError("There is no current kube context; `kubectl config use-context NAME` sets one.")
    context = Context(config["current-context"], config["clusters"][0]["cluster"]["server"])
    answer = _kubectl("version", "--request-timeout=10s")
    if answer.returncode != 0:
        raise SandboxError(f"The cluster of context {context.name!r} does not answer: {answer.stderr.strip()}")
    return context


def is_ours(context: Context) -> bool:
    """Whether the context leads to a sandbox of this user, which needs no asking."""
    sandboxes = [Instance(ports.parent.name, ports.parent) for ports in state_root().glob("*/ports.json")]
    return context.server in [sandbox.api_url for sandbox in sandboxes]


def _confirm(console: Console, what: str, *, sure: bool) -> None:
    context = current_context()
    if sure or is_ours(context):
        return
    console.print(f"Context [bold]{context.name}[/], server {context.server}, was not created here.")
    if not console.is_terminal:
        raise SandboxError("Nobody is there to ask: add --yes if this is the cluster you mean.")
    if not Confirm.ask(f"Use it to {what}?", console=console, default=False):
        raise SandboxError("Nothing was done.")


def _kubectl(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["kubectl", *arguments], capture_output=True, text=True, check=False)


def _pulumi(*arguments: str) -> None:
    status = subprocess.run(["pulumi", "--cwd", str(REPO), *arguments], check=False).returncode
    if status != 0:
        raise SandboxError(f"pulumi {arguments[0]} ended with status {status}; the cause stands above.")
