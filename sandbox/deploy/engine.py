"""The Pulumi engine, run for one sandbox: its own home, plugins and state, and nothing that looks for a network."""

import json
import os
import shlex
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from sandbox.deploy.plugins import install
from sandbox.deploy.project import STACK, project_folder
from sandbox.node.instance import Instance
from sandbox.paths import Cache
from sandbox.running import SandboxError, last_lines, run_logged, run_to_its_end


@dataclass(frozen=True)
class Engine:
    """Pulumi's home, backend and project folder are in the instance's state folder."""

    instance: Instance
    cache: Cache

    def shell_environment(self) -> dict[str, str]:
        """For a person's own shell: `kubectl`, `canary` and `pulumi` work on this sandbox.

        Its `pulumi` is `python -m sandbox pulumi`: so nothing of Pulumi's own settings is there to mislead another.
        """
        wrapper = self.instance.state / "bin" / "pulumi"
        wrapper.parent.mkdir(parents=True, exist_ok=True)
        command = shlex.join([f"CANARY_SANDBOX={self.instance.name}", sys.executable, "-m", "sandbox", "pulumi"])
        wrapper.write_text(f'#!/bin/sh\nexec env {command} "$@"\n')
        wrapper.chmod(0o755)
        search = [
            str(wrapper.parent),
            str(Path(sys.executable).parent),
            str(self.cache.bin),
            os.environ.get("PATH", ""),
        ]
        return {
            "PATH": os.pathsep.join(search),
            "KUBECONFIG": str(self.instance.kubeconfig),
            "CANARY_SANDBOX": self.instance.name,
        }

    def environment(self) -> dict[str, str]:
        """The environment in which `pulumi` works on this sandbox."""
        home = self.instance.state / "pulumi"
        search = [str(Path(sys.executable).parent), str(self.cache.bin), os.environ.get("PATH", "")]
        return {
            "PATH": os.pathsep.join(search),
            "KUBECONFIG": str(self.instance.kubeconfig),
            "PULUMI_HOME": str(home / "home"),
            "PULUMI_BACKEND_URL": f"file://{home / 'backend'}",
            "PULUMI_CONFIG_PASSPHRASE": "",  # the state never leaves this machine, and goes with the sandbox
            "PULUMI_SKIP_UPDATE_CHECK": "true",
            "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
            "NO_PROXY": ",".join(filter(None, ["127.0.0.1", "localhost", os.environ.get("NO_PROXY")])),
        }

    def prepare(self) -> None:
        """Install the plugins and create the stack, where that has not been done. Raises SandboxError."""
        home = self.instance.state / "pulumi"
        install(home / "home", self.cache, Path(sys.executable))
        (home / "backend").mkdir(parents=True, exist_ok=True)
        drop_dead_locks(home / "backend" / ".pulumi" / "locks")
        self.run("stack", "select", "--create", STACK, quiet=True)

    def run(self, *arguments: str, quiet: bool = False) -> None:
        """Run `pulumi` on the project, on this terminal or into `log/pulumi.log`. Raises SandboxError if it fails."""
        command = self.command(*arguments)
        env = os.environ | self.environment()
        if quiet:
            run_logged(command, self.instance.logs / "pulumi.log", env=env, excerpt=diagnostics)
        elif (status := run_to_its_end(command, env)) != 0:
            raise SandboxError(f"pulumi {arguments[0]} ended with status {status}; the cause stands above.")

    def read(self, *arguments: str) -> str:
        """What `pulumi` prints. Raises SandboxError if it fails."""
        result = subprocess.run(
            self.command(*arguments), env=os.environ | self.environment(), capture_output=True, text=True, check=False
        )
        if result.returncode != 0:
            raise SandboxError(f"pulumi {' '.join(arguments)}: {result.stderr.strip()}")
        return result.stdout

    def command(self, *arguments: str) -> list[str]:
        """The command line of `pulumi` on the project."""
        return [str(self.cache.bin / "pulumi"), "--cwd", str(project_folder(self.instance)), *arguments]


def drop_dead_locks(locks: Path) -> None:
    """Remove what updates left that were killed. Pulumi keeps a stack locked until somebody runs `pulumi cancel`."""
    for lock in locks.rglob("*.json"):
        with suppress(OSError, ValueError):
            process = Path("/proc", str(json.loads(lock.read_text())["pid"]), "comm")
            if not process.exists() or process.read_text().strip() != "pulumi":
                lock.unlink()


def diagnostics(log: str) -> str:
    """The errors of the last command in the engine's log: its section of diagnostics without Python's tracebacks.

    The section lists resources in no fixed order, so what follows a traceback is kept.
    """
    _, found, section = log.rpartition("\n$ ")[2].partition("\nDiagnostics:\n")
    if not found:
        return last_lines(log)
    quoted, traceback = [], False
    for line in section.partition("\nOutputs:\n")[0].partition("\nResources:\n")[0].splitlines():
        if line.startswith("    Traceback (most recent call last):"):
            traceback = True
        elif line.startswith("  ") and not line.startswith("   "):  # the name of the next resource
            traceback = False
        if not traceback:
            quoted.append(line)
    return "\n".join(quoted).rstrip()
