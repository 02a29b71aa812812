"""The same program on a cluster that the user already has: `make up CLUSTER=current`."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import NamedTemporaryFile

from rich.console import Console
from rich.prompt import Confirm

from sandbox.deploy.project import STACK
from sandbox.node.instance import Instance
from sandbox.paths import REPO, state_root
from sandbox.rollouts import tell_rollouts
from sandbox.running import SandboxError, find_uv

_TOOLS = {
    "pulumi": "the Pulumi CLI, from Pulumi's installation page",
    "kubectl": "kubectl, from Kubernetes' installation page",
}


@dataclass(frozen=True)
class Context:
    """The kube context that would be used, and the server it leads to."""

    name: str
    server: str


def deploy_to_current(console: Console, *, sure: bool, wait: bool = False) -> None:
    """Run `pulumi up` on the user's own backend and the stack's cluster, then tell of the rollouts.

    `sure` asks nothing, and neither does Pulumi; `wait` follows the rollouts to their end. Raises SandboxError.
    """
    _find_tools()
    _pulumi("stack", "select", "--create", STACK)
    _confirm(console, "install Istio, monitoring, a gateway and canaried apps", sure=sure)
    _pulumi("up", "--stack", STACK, *(["--yes"] if sure else []))
    listed = _run("pulumi", "--cwd", str(REPO), "stack", "output", "canaries", "--json", "--stack", STACK)
    if listed.returncode != 0:
        raise SandboxError(f"It is up, and its canaries cannot be read: {listed.stderr.strip()}")
    with _kubeconfig() as env:
        tell_rollouts(console, json.loads(listed.stdout), env, follow=wait)


def show_current(console: Console) -> None:
    """The canaries of the stack's cluster, and how to open what serves them. Raises SandboxError."""
    _find_tools()
    console.print(f"Context {stack_context().name!r}")
    with _kubeconfig() as env:
        shown = subprocess.run([str(Path(sys.executable).with_name("canary")), "get"], env=env, check=False)
    if shown.returncode != 0:
        raise SandboxError("The canaries could not be read; the cause stands above.")
    console.print("Gateway: kubectl -n istio-system port-forward service/istio-gateway 8080:80")
    console.print("Grafana: kubectl -n istio-system port-forward service/grafana 3000:80")


@contextmanager
def _kubeconfig() -> Iterator[Mapping[str, str]]:
    """The environment in which `canary` sees the cluster that Pulumi does."""
    with ExitStack() as files:
        options = _kubectl_options(_stack_settings(), files)
        view = _run("kubectl", *options, "config", "view", "--minify", "--flatten", "-o", "yaml")
        file = files.enter_context(NamedTemporaryFile("w", suffix=".kubeconfig"))
        file.write(view.stdout)
        file.flush()
        yield os.environ | {"KUBECONFIG": file.name}


def remove_from_current(console: Console, *, sure: bool) -> None:
    """Run `pulumi destroy` on the user's own backend and the stack's cluster. Raises SandboxError."""
    _find_tools()
    _confirm(console, "remove everything that this stack has installed", sure=sure)
    _pulumi("destroy", "--stack", STACK, *(["--yes"] if sure else []))


def stack_context() -> Context:
    """The kube context that Pulumi uses: the one of the stack's configuration, else the current one.

    Raises:
        SandboxError: there is none, or its cluster does not answer.
    """
    with ExitStack() as files:
        options = _kubectl_options(_stack_settings(), files)
        view = _run("kubectl", *options, "config", "view", "--minify", "-o", "json")
        config = json.loads(view.stdout) if view.returncode == 0 else {}
        if not config.get("clusters"):
            chosen = " ".join(options)
            raise SandboxError(
                f"There is no kube context ({chosen}, of the stack's configuration)."
                if chosen
                else "There is no current kube context; `kubectl config use-context NAME` sets one."
            )
        context = Context(config["contexts"][0]["name"], config["clusters"][0]["cluster"]["server"])
        answer = _run("kubectl", *options, "version", "--request-timeout=10s")
    if answer.returncode != 0:
        raise SandboxError(f"The cluster of context {context.name!r} does not answer: {answer.stderr.strip()}")
    return context


def _find_tools() -> None:
    for tool, what in _TOOLS.items():
        if not shutil.which(tool):
            raise SandboxError(f"`{tool}` was not found on PATH: CLUSTER=current needs {what}.")


def _stack_settings() -> Mapping[str, str]:
    """`kubernetes:kubeconfig` and `kubernetes:context` of the stack, where they are set."""
    listed = _run("pulumi", "--cwd", str(REPO), "config", "--json", "--show-secrets", "--stack", STACK)
    if listed.returncode != 0:
        raise SandboxError(f"The configuration of stack {STACK!r} cannot be read: {listed.stderr.strip()}")
    settings = json.loads(listed.stdout)
    return {
        name: settings[key]["value"] for name in ("kubeconfig", "context") if (key := f"kubernetes:{name}") in settings
    }


def _kubectl_options(settings: Mapping[str, str], files: ExitStack) -> list[str]:
    """The same choice for kubectl. Pulumi takes the content of a kubeconfig in place of its path; kubectl does not."""
    options = [f"--context={settings['context']}"] if "context" in settings else []
    if kubeconfig := settings.get("kubeconfig"):
        path = REPO / Path(kubeconfig).expanduser()
        if "\n" in kubeconfig or kubeconfig.startswith("{"):
            file = files.enter_context(NamedTemporaryFile("w", suffix=".kubeconfig"))  # noqa: SIM115 -- closed with `files`
            file.write(kubeconfig)
            file.flush()
            path = Path(file.name)
        options.append(f"--kubeconfig={path}")
    return options


def is_ours(context: Context) -> bool:
    """Whether the context leads to a sandbox of this user, which needs no asking."""
    sandboxes = [Instance(ports.parent.name, ports.parent) for ports in state_root().glob("*/ports.json")]
    return context.server in [sandbox.api_url for sandbox in sandboxes]


def _confirm(console: Console, what: str, *, sure: bool) -> None:
    context = stack_context()
    if sure or is_ours(context):
        return
    console.print(f"Context [bold]{context.name}[/], server {context.server}, was not created here.")
    if not console.is_terminal:
        raise SandboxError("Nobody is there to ask: add --yes if this is the cluster you mean.")
    if not Confirm.ask(f"Use it to {what}?", console=console, default=False):
        raise SandboxError("Nothing was done.")


def _run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, check=False)


def _pulumi(*arguments: str) -> None:
    """Its language host looks for uv on the PATH, as `toolchain: uv` in Pulumi.yaml says."""
    env = os.environ | {"PATH": os.pathsep.join([os.environ.get("PATH", ""), str(Path(find_uv()).parent)])}
    status = subprocess.run(["pulumi", "--cwd", str(REPO), *arguments], env=env, check=False).returncode
    if status != 0:
        raise SandboxError(f"pulumi {arguments[0]} ended with status {status}; the cause stands above.")
