"""``canary open``: the controller's page in a browser, through a forwarded port."""

from __future__ import annotations

import re
import signal
import subprocess
import webbrowser
from collections.abc import Callable, Iterable, Sequence
from typing import Annotated
from urllib.parse import urlencode

import typer

from controller.api.page import path_of
from controller.cli.errors import CommandError, reports_errors
from controller.cli.options import CanaryArgument, ContextOption, NamespaceOption

DEFAULT_CONTROLLER = "istio-system/canary-controller"
PORT_NAME = "page"
_FORWARDING = re.compile(r"Forwarding from (127\.0\.0\.1:\d+)")


@reports_errors
def open(  # noqa: A001, PLR0917 -- the name of the command; typer passes them by name
    name: CanaryArgument = "",
    namespace: NamespaceOption = "",
    controller: Annotated[
        str, typer.Option(metavar="NAMESPACE/NAME", help="Service of the controller.")
    ] = DEFAULT_CONTROLLER,
    port: Annotated[int, typer.Option(metavar="PORT", help="Port on this machine; any that is free by default.")] = 0,
    browser: Annotated[bool, typer.Option(help="Open a browser. The address is printed in any case.")] = True,
    context: ContextOption = "",
) -> None:
    """Open the page of the rollouts in a browser.

    Until interrupted; kubectl has to be on PATH.
    """
    command = forward_command(controller, port, context)
    for each in (signal.SIGTERM, signal.SIGINT):  # kubectl must not go on without this process
        signal.signal(each, signal.default_int_handler)  # a shell's background job has the second one ignored
    try:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    except FileNotFoundError:
        raise CommandError("kubectl is not on PATH; it forwards the port of the page") from None
    with process:
        try:
            show(process.stdout or (), path_to(namespace, name), webbrowser.open if browser else None)
            process.wait()
        except KeyboardInterrupt:
            pass
        finally:
            process.terminate()


def forward_command(controller: str, port: int, context: str) -> Sequence[str]:
    """The kubectl command that forwards the page's port.

    Raises:
        CommandError: ``controller`` is not NAMESPACE/NAME.
    """
    namespace, slash, name = controller.partition("/")
    if not (namespace and slash and name):
        raise CommandError(f"--controller {controller!r} must be NAMESPACE/NAME, as in {DEFAULT_CONTROLLER}")
    chosen = ("--context", context) if context else ()
    forward = ("port-forward", "--namespace", namespace, f"service/{name}", f"{port or ''}:{PORT_NAME}")
    return ("kubectl", *chosen, *forward)


def path_to(namespace: str, name: str) -> str:
    """The page of one Canary; without a namespace, the list of those with such a name."""
    if namespace and name:
        return path_of(namespace, name)
    asked = urlencode({key: value for key, value in (("namespace", namespace), ("name", name)) if value})
    return f"/?{asked}" if asked else "/"


def show(lines: Iterable[str], path: str, open_browser: Callable[[str], object] | None) -> None:
    """Print the address once kubectl says which port it forwards, and open a browser on it.

    Raises:
        CommandError: kubectl ended before; it has said why.
    """
    for line in lines:
        if found := _FORWARDING.search(line):
            address = f"http://{found[1]}{path}"
            print(address, flush=True)
            if open_browser is not None:
                open_browser(address)
            return
    raise CommandError("kubectl could not forward the port; is the page of this controller on (docs/page.md)?")
