"""Where the plugins are put, and that they run from there."""

import importlib.metadata
import subprocess
import sys
from pathlib import Path

import grpc
import pytest
from google.protobuf.empty_pb2 import Empty
from pulumi.runtime.proto import provider_pb2_grpc

from sandbox.plugin.install import PLUGINS, install, is_stand_in


@pytest.mark.parametrize("name", PLUGINS)
def test_an_installed_plugin_starts_from_any_folder_prints_its_port_and_knows_its_version(
    name: str, tmp_path: Path
) -> None:
    executable = install(tmp_path / "home", Path(sys.executable), environment={"PULUMI_HOME": str(tmp_path)})[name]
    version = importlib.metadata.version(f"pulumi-{name}")
    assert executable == tmp_path / f"home/plugins/resource-{name}-v{version}/pulumi-resource-{name}"
    with subprocess.Popen([executable], cwd=tmp_path, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        port = int(process.stdout.readline())
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            info = provider_pb2_grpc.ResourceProviderStub(channel).GetPluginInfo(Empty())
        process.terminate()
    assert info.version == version


def test_the_users_official_plugin_takes_precedence(tmp_path: Path) -> None:
    version = importlib.metadata.version("pulumi-command")
    official = tmp_path / f"own/plugins/resource-command-v{version}/pulumi-resource-command"
    official.parent.mkdir(parents=True)
    official.write_bytes(b"\x7fELF")
    home, python, environment = tmp_path / "home", Path(sys.executable), {"PULUMI_HOME": str(tmp_path / "own")}
    first = install(home, python, environment=environment)
    assert (is_stand_in(first["command"]), is_stand_in(first["kubernetes"])) == (False, True)
    official.unlink()
    again = install(home, python, environment=environment)
    assert is_stand_in(again["command"])


def test_the_users_own_home_is_never_written_to(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="must have one of its own"):
        install(tmp_path, Path(sys.executable), environment={"PULUMI_HOME": str(tmp_path)})
    assert list(tmp_path.iterdir()) == []
