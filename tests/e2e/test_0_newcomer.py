"""The first hour, as the README tells it: its commands, in a plain shell and a copy of the repository."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
import urllib.request

import pytest
import yaml

from sandbox.paths import REPO
from tests.e2e.newcomer import Newcomer

SHOWN = re.compile(r"^\$ ((?:kubectl|canary) .+)$", re.MULTILINE)
READS = (
    "kubectl get",
    "kubectl -n prod get",
    "kubectl -n prod describe",
    "canary get",
    "canary history",
    "canary crds",
)
"""Of the commands in the documents, those that read a cluster as it is after `make up`."""


def shown_commands() -> list[str]:
    pages = [REPO / "README.md", *sorted((REPO / "docs").glob("*.md"))]
    found = dict.fromkeys(command for page in pages for command in SHOWN.findall(page.read_text()))
    return [command for command in found if command.startswith(READS) and "|" not in command]


def test_up_says_what_there_is_and_the_addresses_answer(newcomer: Newcomer) -> None:
    assert "Up after" in newcomer.said
    assert "No rollout is under way" in newcomer.said
    address = re.search(r"Frontend\S* .*?(http://127\.0\.0\.1:\d+/version)", newcomer.said)
    assert address is not None
    with urllib.request.urlopen(address[1], timeout=10) as answer:
        assert yaml.safe_load(answer.read())["version"] == "6.1.0"
    said = newcomer.make("status")
    assert address[1] in said
    assert "prod/backend" in said


@pytest.mark.parametrize("command", shown_commands())
def test_a_command_of_the_documents_works_in_the_shell_that_up_names(newcomer: Newcomer, command: str) -> None:
    newcomer.shell(command)


def test_up_works_in_that_shell_too_and_again(newcomer: Newcomer) -> None:
    assert "No rollout is under way" in newcomer.shell("make up")


def test_every_mistake_in_the_stack_file_is_said_at_once_and_nothing_else(newcomer: Newcomer) -> None:
    stack = newcomer.folder / "Pulumi.dev.yaml"
    right = stack.read_text()
    wrong = right.replace("backend: {tag: 6.1.0}", "bakend: {tag: 6.1.1}").replace("rollouts:", "rolouts:")
    stack.write_text(wrong + "  canary-on-istio-dev:alerts: {}\n")
    refused = newcomer.run("make", "up")
    stack.write_text(right)
    said = refused.stdout + refused.stderr
    assert refused.returncode != 0
    for part in ("did you mean apps.backend", 'did you mean "rollouts"?', "did you mean canary-on-istio:alerts?"):
        assert part in said, said
    for noise in ("Traceback", "KeyboardInterrupt", "Outputs:"):
        assert noise not in said, said


def test_an_up_that_was_killed_leaves_nothing_in_the_way(newcomer: Newcomer) -> None:
    locks = newcomer.state / "pulumi/backend/.pulumi/locks"
    killed = subprocess.Popen(
        ["make", "up"], cwd=newcomer.folder, env=newcomer.environment, start_new_session=True, stdout=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 120
    while not [*locks.rglob("*.json")] and time.monotonic() < deadline:
        time.sleep(0.05)
    os.killpg(killed.pid, signal.SIGKILL)
    killed.wait()
    assert [*locks.rglob("*.json")], "it was killed while it held the stack"
    assert "Up after" in newcomer.make("up")


def test_the_demo_shows_a_good_and_a_bad_version_and_what_users_saw_and_can_be_repeated(newcomer: Newcomer) -> None:
    said = newcomer.make("demo")
    assert re.search(r"Promoted\. Meanwhile users sent [\d,]+ requests, and 0 \(0\.0%\) ended in an error", said), said
    bad = re.search(r"Rolled back\. Meanwhile users sent ([\d,]+) requests, and ([\d,]+) \(", said)
    assert bad is not None, said
    requests, failed = (int(number.replace(",", "")) for number in bad.groups())
    assert 0 < failed < requests / 20


def test_the_next_step_of_the_readme_is_followed_to_its_end(newcomer: Newcomer) -> None:
    stack = newcomer.folder / "Pulumi.dev.yaml"
    quick = "{tag: 6.1.1, analysis: {interval: 10s, stepWeight: 25}}"
    stack.write_text(stack.read_text().replace("backend: {tag: 6.1.0}", f"backend: {quick}"))
    said = newcomer.make("up", "WAIT=1")
    assert "Under way: the rollout of prod/backend." in said
    assert "prod/backend: promoted" in said


def test_configuration_that_the_next_up_would_erase_is_refused(newcomer: Newcomer) -> None:
    refused = newcomer.run("make", "shell", stdin="pulumi config set canary-on-istio:apps x\n")
    assert "change it there" in refused.stdout + refused.stderr
