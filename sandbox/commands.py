"""The commands of `python -m sandbox`, behind `make up`, `make demo` and `make down`."""

import os
import shlex
import subprocess
import sys
import time
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from controller.cli.table import draw_canaries
from sandbox import demo as demonstration
from sandbox import lifecycle
from sandbox.build.artefacts import build as build_all
from sandbox.deploy import current as current_cluster
from sandbox.deploy.program import prepare
from sandbox.node.instance import Instance
from sandbox.node.node import Node
from sandbox.paths import Cache
from sandbox.preflight import check
from sandbox.rollouts import tell_rollouts
from sandbox.running import SandboxError, user_shell
from sandbox.view import address_table, read_canaries

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
current_app = typer.Typer(no_args_is_help=True, help="The same program on your own cluster.")
app.add_typer(current_app, name="current")
console = Console(soft_wrap=True)

# Everything after the command is the other program's, `--` included.
PASS_ON = {
    "allow_extra_args": True,
    "allow_interspersed_args": False,
    "ignore_unknown_options": True,
    "help_option_names": [],
}
_INTERRUPTED = 130
_READS_CONFIG = ("get",)
_RUNS_PROGRAM = ("up", "preview", "refresh", "destroy")
"""Commands of Pulumi that need the program's configuration as it is now."""
Sure = Annotated[bool, typer.Option("--yes", help="Do not ask.")]
Wait = Annotated[bool, typer.Option("--wait", help="Follow each rollout to its end, and fail with it.")]


@app.command()
def build(
    also: Annotated[
        list[str] | None, typer.Argument(metavar="[RECIPE]...", help="Optional recipes of versions.toml.")
    ] = None,
) -> None:
    """Build or download everything the sandbox runs."""
    build_all(Cache.default(), console, *(also or ()))


@app.command()
def preflight() -> None:
    """Check that this machine can run the sandbox."""
    check(Cache.default())
    console.print("This machine can run the sandbox.")


@app.command()
def up(
    cluster_only: Annotated[bool, typer.Option("--cluster-only", help="Without the Pulumi program.")] = False,
    wait: Wait = False,
) -> None:
    """Start the cluster, deploy the program and wait until the canaries are initialized."""
    started = time.monotonic()
    sandbox = lifecycle.start(console=console) if cluster_only else lifecycle.up(console=console)
    status()
    console.print(f"Up after {time.monotonic() - started:.0f} s.")
    if not cluster_only:
        env = os.environ | sandbox.engine.shell_environment()
        tell_rollouts(console, lifecycle.our_canaries(sandbox), env, follow=wait)


@app.command()
def status() -> None:
    """Show the canaries and the addresses to open."""
    node = lifecycle.attach().node
    canaries = read_canaries(node.kubectl)
    if canaries:
        console.print(draw_canaries(canaries))
    has_frontend = any(each.label == lifecycle.FRONTEND for each in canaries)
    console.print(address_table(node.instance, has_frontend=has_frontend))
    console.print(f"Memory: {node.instance.cgroup.memory() / (1 << 30):.1f} GiB")


@app.command()
def demo() -> None:
    """Roll out a good and a bad version of the backend and show both live."""
    demonstration.demonstrate(lifecycle.demo_ground(lifecycle.attach()), console)


@app.command()
def down() -> None:
    """End the sandbox and remove everything it left."""
    name = Instance.named().name
    console.print(f"The sandbox {name!r} is removed." if lifecycle.down() else f"There is no sandbox {name!r}.")


@app.command(context_settings=PASS_ON)
def kubectl(context: typer.Context) -> None:
    """Run kubectl on the sandbox."""
    instance = Instance.named()
    command = [str(Cache.default().bin / "kubectl"), f"--kubeconfig={instance.kubeconfig}", *context.args]
    sys.exit(subprocess.run(command, check=False).returncode)


@app.command(context_settings=PASS_ON)
def pulumi(context: typer.Context) -> None:
    """Run pulumi on the sandbox's stack."""
    words = [each for each in context.args if not each.startswith("-")]
    if words[:1] == ["config"] and words[1:2] != [] and words[1] not in _READS_CONFIG:
        raise SandboxError("The sandbox's stack is made of Pulumi.dev.yaml at each `make up`: change it there.")
    engine = lifecycle.attach().engine
    if words[:1] and words[0] in _RUNS_PROGRAM:
        prepare(lifecycle.attach().node)
    command = engine.command(*context.args)
    sys.exit(subprocess.run(command, env=os.environ | engine.environment(), check=False).returncode)


@app.command()
def env() -> None:
    """Print the environment of `make shell` as commands of a shell, for scripts."""
    for name, value in lifecycle.attach().engine.shell_environment().items():
        print(f"export {name}={shlex.quote(value)}")


@app.command(context_settings=PASS_ON)
def shell(context: typer.Context) -> None:
    """Open a shell whose kubectl, canary and pulumi work on the sandbox; or run a command there."""
    environment = os.environ | lifecycle.attach().engine.shell_environment()
    if not context.args:
        console.print("kubectl, canary and pulumi work on the sandbox here; `exit` leaves this shell.")
    sys.exit(subprocess.run(context.args or [user_shell()], env=environment, check=False).returncode)


@current_app.command("up")
def current_up(sure: Sure = False, wait: Wait = False) -> None:
    """Deploy to the kube context of the stack, or the current one, with the official Pulumi CLI."""
    current_cluster.deploy_to_current(console, sure=sure, wait=wait)


@current_app.command("status")
def current_status() -> None:
    """Show the canaries of that cluster, and how to open what is there."""
    current_cluster.show_current(console)


@current_app.command("demo")
def current_demo(sure: Sure = False) -> None:
    """Roll out a good and a bad version of an app there, show both live, and put back what was there."""
    current_cluster.demonstrate_on_current(console, sure=sure)


@current_app.command("shell", context_settings=PASS_ON)
def current_shell(context: typer.Context) -> None:
    """Open a shell whose kubectl and canary work on that cluster; or run a command there."""
    sys.exit(current_cluster.run_on_current(console, context.args))


@current_app.command("down")
def current_down(sure: Sure = False) -> None:
    """Remove what this stack has installed."""
    current_cluster.remove_from_current(console, sure=sure)


def main() -> None:
    """Run a command; an error is one message."""
    try:
        app()
    except SandboxError as error:
        Console(stderr=True).print(Text.assemble(("Error: ", "bold red"), str(error)), soft_wrap=True)
        sys.exit(1)
    except SystemExit as end:
        if end.code == _INTERRUPTED:  # typer's own, without a word
            Console(stderr=True).print(f"Interrupted. {_what_runs_on()}", soft_wrap=True)
        raise


def _what_runs_on() -> str:
    if sys.argv[1:2] == ["current"]:
        return "What Pulumi has begun on your cluster stays; the same command goes on from there."
    instance = Instance.named()
    if not Node(instance, Cache.default()).init:
        return "Nothing runs; the same command goes on where this one stopped."
    return (
        f"The sandbox {instance.name!r} runs on, with all that it was told: the same command goes on where this one"
        " stopped, `make status` says what there is, and `make down` removes it."
    )
