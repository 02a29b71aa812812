"""`python -m sandbox`: the commands behind `make up`, `make demo` and `make down`."""

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
from sandbox.node.instance import Instance
from sandbox.paths import Cache
from sandbox.preflight import check
from sandbox.running import SandboxError
from sandbox.view import address_table, read_canaries

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
current_app = typer.Typer(no_args_is_help=True, help="The same program on your own cluster.")
app.add_typer(current_app, name="current")
console = Console()

# Everything after the command is the other program's, `--` included.
PASS_ON = {
    "allow_extra_args": True,
    "allow_interspersed_args": False,
    "ignore_unknown_options": True,
    "help_option_names": [],
}
Sure = Annotated[bool, typer.Option("--yes", help="Do not ask.")]


@app.command()
def build() -> None:
    """Build or download everything the sandbox runs."""
    build_all(Cache.default(), console)


@app.command()
def preflight() -> None:
    """Check that this machine can run the sandbox."""
    check(Cache.default())
    console.print("This machine can run the sandbox.")


@app.command()
def up(
    cluster_only: Annotated[bool, typer.Option("--cluster-only", help="Without the Pulumi program.")] = False,
) -> None:
    """Start the cluster, deploy the program and wait until the canaries are initialized."""
    started = time.monotonic()
    if cluster_only:
        lifecycle.start(console=console)
    else:
        lifecycle.up(console=console)
    status()
    console.print(f"Up after {time.monotonic() - started:.0f} s.")


@app.command()
def status() -> None:
    """Show the canaries and the addresses to open."""
    node = lifecycle.attach().node
    canaries = read_canaries(node)
    if canaries:
        console.print(draw_canaries(canaries))
    console.print(address_table(node.instance))
    console.print(f"Memory: {node.instance.cgroup.memory() / (1 << 30):.1f} GiB")


@app.command()
def demo() -> None:
    """Roll out a good and a bad version of the backend and show both live."""
    demonstration.demonstrate(lifecycle.attach(), console)


@app.command()
def down() -> None:
    """End the sandbox and remove everything it left."""
    lifecycle.down()
    console.print(f"The sandbox {Instance.named().name!r} is removed.")


@app.command(context_settings=PASS_ON)
def kubectl(context: typer.Context) -> None:
    """Run kubectl on the sandbox."""
    instance = Instance.named()
    command = [str(Cache.default().bin / "kubectl"), f"--kubeconfig={instance.kubeconfig}", *context.args]
    sys.exit(subprocess.run(command, check=False).returncode)


@app.command(context_settings=PASS_ON)
def pulumi(context: typer.Context) -> None:
    """Run pulumi on the sandbox's stack."""
    engine = lifecycle.attach().engine
    command = engine.command(*context.args)
    sys.exit(subprocess.run(command, env=os.environ | engine.environment(), check=False).returncode)


@app.command()
def env() -> None:
    """Print shell commands that point kubectl and pulumi at the sandbox: `eval "$(python -m sandbox env)"`."""
    engine = lifecycle.attach().engine
    for name, value in engine.environment().items():
        print(f"export {name}={shlex.quote(value)}")


@current_app.command("up")
def current_up(sure: Sure = False) -> None:
    """Deploy to the kube context of the stack, or the current one, with the official Pulumi CLI."""
    current_cluster.deploy_to_current(console, sure=sure)


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
    except KeyboardInterrupt:
        sys.exit("Interrupted; run the same command again to continue.")


if __name__ == "__main__":
    main()
