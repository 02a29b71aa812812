"""The same program on a cluster that the user already has: `make up CLUSTER=current`."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

import yaml
from rich.console import Console
from rich.prompt import Confirm

from sandbox.demo import Ground, demonstrate
from sandbox.deploy.project import STACK, read_configured
from sandbox.deploy.reach import kubectl_in, reached, way_to
from sandbox.node.instance import Instance
from sandbox.paths import REPO, state_root
from sandbox.rollouts import tell_rollouts
from sandbox.running import SandboxError, find_uv, run_to_its_end, user_shell
from stack.merge import merge
from stack.names import ISTIO_NAMESPACE

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
    _check_ready()
    _pulumi("stack", "select", "--create", STACK)
    _confirm(console, "install Istio, monitoring, a gateway and canaried apps", sure=sure)
    _pulumi("up", "--stack", STACK, *(["--yes"] if sure else []))
    with _kubeconfig() as env:
        tell_rollouts(console, _outputs()["canaries"], env, follow=wait, goal="CLUSTER=current")


def show_current(console: Console) -> None:
    """The canaries of the stack's cluster, and how to open what serves them. Raises SandboxError."""
    _check_ready()
    console.print(f"Context {stack_context().name!r}")
    with _kubeconfig() as env:
        shown = subprocess.run([str(Path(sys.executable).with_name("canary")), "get"], env=env, check=False)
        if shown.returncode != 0:
            raise SandboxError("The canaries could not be read; the cause stands above.")
        name, _, namespace = str(_outputs().get("gatewayService", "")).partition(".")
        services = {"Gateway": (name, namespace, 8080), "Grafana": ("grafana", ISTIO_NAMESPACE, 3000)}
        for what, (service, at, local) in services.items():
            found = kubectl_in(env)("get", f"--namespace={at}", f"service/{service}", "-o", "json", check=False)
            if found:
                console.print(f"{what}: {way_to(json.loads(found), local)}", soft_wrap=True)
    console.print("Rollouts: `canary open` in `make shell CLUSTER=current`")


def demonstrate_on_current(console: Console, *, sure: bool) -> None:
    """The demonstration with an app of the stack, whose own version it puts back. Raises SandboxError."""
    _check_ready()
    _confirm(console, "roll out two versions of an app of the stack, and then its own again", sure=sure)
    with _kubeconfig() as env:
        outputs = _outputs()
        ground = Ground(
            canaries=outputs["canaries"],
            kubectl=kubectl_in(env),
            deploy=_deploy,
            prometheus=lambda: reached(outputs["prometheusUrl"], env),
            page="`canary open` in `make shell CLUSTER=current`",
            up="make up CLUSTER=current",
        )
        demonstrate(ground, console, puts_back=True)


def run_on_current(console: Console, command: Sequence[str]) -> int:
    """The status of a command, or of a shell, whose kubectl and canary work on the stack's cluster."""
    _check_ready()
    context = stack_context()
    if not command:
        console.print(f"kubectl and canary work on context {context.name!r} here; `exit` leaves this shell.")
    with _kubeconfig() as env:
        path = os.pathsep.join([str(Path(sys.executable).parent), env.get("PATH", "")])
        return run_to_its_end(command or [user_shell()], {**env, "PATH": path})


def _deploy(extra: Mapping[str, Any]) -> None:
    """Run `pulumi up` with `extra` stack configuration, of which nothing stays in the stack's file."""
    with NamedTemporaryFile("w", suffix=".yaml") as file:
        yaml.safe_dump(merge(read_configured(), {"config": extra}), file)
        file.flush()
        _pulumi("up", "--stack", STACK, "--yes", "--skip-preview", "--suppress-outputs", f"--config-file={file.name}")


def _outputs() -> dict[str, Any]:
    listed = _run("pulumi", "--cwd", str(REPO), "stack", "output", "--json", "--stack", STACK)
    if listed.returncode != 0:
        raise SandboxError(f"The outputs of stack {STACK!r} cannot be read: {listed.stderr.strip()}")
    found: dict[str, Any] = json.loads(listed.stdout)
    if "canaries" not in found:
        raise SandboxError(f"Stack {STACK!r} has nothing there; `make up CLUSTER=current` deploys it.")
    return found


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
    _check_ready()
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


def _check_ready() -> None:
    for tool, what in _TOOLS.items():
        if not shutil.which(tool):
            raise SandboxError(f"`{tool}` was not found on PATH: CLUSTER=current needs {what}.")
    read_configured()  # a mistake in the file is said with its line


def _stack_settings() -> Mapping[str, str]:
    """`kubernetes:kubeconfig` and `kubernetes:context` of the stack, where they are set."""
    listed = _run("pulumi", "--cwd", str(REPO), "config", "--json", "--show-secrets", "--stack", STACK)
    if "no stack named" in listed.stderr:
        raise SandboxError(
            f"This Pulumi backend has no stack {STACK!r}: `make up CLUSTER=current` makes it, `pulumi whoami --verbose`"
            " says which backend it is."
        )
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
    if (status := run_to_its_end(["pulumi", "--cwd", str(REPO), *arguments], env)) != 0:
        raise SandboxError(f"pulumi {arguments[0]} ended with status {status}; the cause stands above.")
