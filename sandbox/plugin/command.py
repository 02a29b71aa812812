"""The stand-in for the resource plugin `command`: `local.Command` only."""

import importlib.metadata

from sandbox.plugin.errors import PluginError
from sandbox.plugin.local_command import LocalCommandHandler
from sandbox.plugin.resource import Handler
from sandbox.plugin.service import serve
from sandbox.plugin.wire import Properties

PACKAGE = "pulumi-command"


class CommandPlugin:
    """Secrets come marked, so that a command's output can be kept secret where one of its inputs is."""

    name = "command"
    accepts_secrets = True

    def check_config(self, config: Properties) -> None:
        """There is nothing to configure."""

    def replaces_on(self, old: Properties, new: Properties) -> list[str]:  # noqa: ARG002 - the Plugin protocol
        return []

    def configure(self, config: Properties) -> None:
        """There is nothing to configure."""

    def handler(self, token: str) -> Handler:
        if token != "command:local:Command":
            raise PluginError(f"{token} is not served by the sandbox's stand-in plugin; the official plugin is needed")
        return LocalCommandHandler()

    def invoke(self, token: str, arguments: Properties) -> Properties:  # noqa: ARG002
        raise PluginError(f"the function {token} is not served by the sandbox's stand-in plugin")


def main() -> None:
    serve(CommandPlugin(), importlib.metadata.version(PACKAGE))


if __name__ == "__main__":
    main()
