"""The first hour, as the README tells it: its commands, in a plain shell and a copy of the repository."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
import urllib.request
from collections.abc import Iterator

import pytest
import yaml

from tests.documented import Script, scripts
from tests.e2e.newcomer import Newcomer

ENDLESS = ("canary watch", "canary open")
"""Commands that go on until they are interrupted."""
BEFORE = {
    "canary wait backend -n prod --timeout 30m": "canary resume backend -n prod",
    "canary replay -f stricter.yaml -f templates.yaml --recorded week.json": "cp canary.yaml stricter.yaml",
    "kubectl create token release-manager -n prod": "kubectl create serviceaccount release-manager -n prod",
}
"""What the text beside a command says to do first."""
REFUSED = {
    "canary approve backend -n prod": "refused: no gate without a URL is waited for",
    "canary tune -f canary.yaml -f templates.yaml --recorded week.json": "no setting can be proposed",
}
"""Commands that are refused here, and in which words: the document shows it, or the rollouts have not lasted a week."""
COMPARED = (
    "{tag: 6.1.2, analysis: {interval: 10s, stepWeight: 10, metrics: {errors: {compare: {with: primary, errors: {}}}}}}"
)


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
    for noise in ("Traceback", "KeyboardInterrupt", "Outputs:", "unhandled"):
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
    newcomer.set_backend("{tag: 6.1.1, analysis: {interval: 10s, stepWeight: 25}}")
    said = newcomer.make("up", "WAIT=1")
    assert "Under way: the rollout of prod/backend." in said
    assert "prod/backend: promoted" in said


@pytest.fixture(scope="module")
def under_way(newcomer: Newcomer) -> Newcomer:
    """With a rollout that compares."""
    newcomer.set_backend(COMPARED)
    newcomer.make("up")
    return newcomer


@pytest.mark.parametrize(
    "script", [each for each in scripts() if each.typed], ids=lambda script: f"{script.page}: {script.typed[0]}"
)
def test_the_commands_of_the_documents_work_in_the_shell_that_up_names(under_way: Newcomer, script: Script) -> None:
    under_way.shell("\n".join(each for command in script.typed for each in as_typed(command, under_way)))


def as_typed(command: str, newcomer: Newcomer) -> Iterator[str]:
    if command in BEFORE:
        yield BEFORE[command]
    command = command.replace("CANARY_SANDBOX=e2e", f"CANARY_SANDBOX={newcomer.instance.name}")
    command = command.replace("localhost:9090", f"localhost:{newcomer.instance.ports().prometheus}")
    if command.startswith(ENDLESS):
        yield f"timeout 10 {command} || [ $? = 124 ]"
    else:
        yield f"({command} 2>&1 || true) | grep -F '{REFUSED[command]}'" if command in REFUSED else command


def test_a_version_that_is_blocked_is_refused_with_the_reason(under_way: Newcomer) -> None:
    under_way.shell('canary block backend 6.1.2 --reason "leaks memory"')
    refused = under_way.run("make", "up")
    assert refused.returncode != 0
    assert "blocked.backend: Forbidden: the stack has 6.1.2: leaks memory" in refused.stdout + refused.stderr


def test_configuration_that_the_next_up_would_erase_is_refused(newcomer: Newcomer) -> None:
    refused = newcomer.run("make", "shell", stdin="pulumi config set canary-on-istio:apps x\n")
    assert "change it there" in refused.stdout + refused.stderr
