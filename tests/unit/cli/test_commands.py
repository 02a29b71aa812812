"""The commands as a whole: what they take, what they load, and how they end."""

from __future__ import annotations

import subprocess
import sys

import pytest
import yaml
from typer.testing import CliRunner

from controller.api.crd import custom_resource_definitions
from controller.cli import app
from controller.cli.group import COMMANDS


def canary(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, list(arguments))
    return result.exit_code, result.output


def test_the_help_lists_every_command_with_the_first_sentence_of_its_own_help():
    code, shown = canary("--help")
    assert code == 0
    lines = (line.split(maxsplit=1) for line in shown.partition("Commands:")[2].splitlines() if line)
    listed = {name: sentence.strip() for name, sentence in lines}
    assert list(listed) == list(COMMANDS)
    assert listed == {name: canary(name, "--help")[1].splitlines()[2].strip() for name in listed}


@pytest.mark.parametrize(
    "arguments", ["", "lint", "plan", "replay", "get -o yaml", "get -n prod -A", "no-such-command"]
)
def test_wrong_arguments_are_a_usage_error(arguments):
    assert canary(*arguments.split())[0] == 2


@pytest.mark.parametrize(
    ("arguments", "libraries"),
    [(["--help"], ["pydantic", "yaml", "rich", "aiohttp", "kopf"]), (["run", "--help"], ["aiohttp", "kopf"])],
)
def test_help_does_not_import_the_slow_libraries(arguments, libraries):
    code = (
        "import sys; from controller.cli import app\n"
        f"try: app({arguments})\n"
        "except SystemExit: pass\n"
        f"print([name for name in {libraries} if name in sys.modules])"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.splitlines()[-1] == "[]"


def test_a_short_option_is_not_taken_for_one_of_go_s(tmp_path):
    """``-ojson`` is ``-o json``, as everywhere; only ``run`` takes ``-log-level=info``."""
    code, shown = canary("plan", f"-f{tmp_path}/none.yaml", "-ojson")
    assert (code, shown.strip()) == (1, f"canary plan: {tmp_path}/none.yaml: No such file or directory")


def test_the_crds_are_printed_as_the_folder_has_them():
    code, shown = canary("crds")
    assert code == 0
    assert list(yaml.safe_load_all(shown)) == yaml.safe_load(yaml.safe_dump(list(custom_resource_definitions())))
