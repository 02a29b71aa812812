"""What a person meets who has just started: a shell, an update that was killed, commands that change nothing."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner

from sandbox import commands as command
from sandbox import rollouts
from sandbox.deploy.engine import Engine, drop_dead_locks
from sandbox.node.instance import Instance
from sandbox.paths import Cache
from sandbox.rollouts import tell_rollouts
from sandbox.running import SandboxError


@pytest.fixture(autouse=True)
def nobodys_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


# --- a shell ----------------------------------------------------------------------------------------------------------


def test_the_shell_has_nothing_of_pulumis_own_settings_and_its_pulumi_is_the_sandboxs(tmp_path: Path) -> None:
    engine = Engine(Instance.named("trial"), Cache(tmp_path))
    environment = engine.shell_environment()
    assert environment.keys() == {"PATH", "KUBECONFIG", "CANARY_SANDBOX"}
    found = shutil.which("pulumi", path=environment["PATH"])
    assert found is not None
    command = Path(found).read_text().splitlines()[-1]
    assert command == f'exec env CANARY_SANDBOX=trial {sys.executable} -m sandbox pulumi "$@"'
    assert shutil.which("canary", path=environment["PATH"]) == str(Path(sys.executable).with_name("canary"))


@pytest.mark.parametrize("words", ["set a b", "rm a", "--stack dev set a b", "set --path a.b c", "set-all", "cp"])
def test_configuration_that_the_next_up_would_erase_is_refused(words: str) -> None:
    result = CliRunner().invoke(command.app, ["pulumi", "config", *words.split()])
    assert isinstance(result.exception, SandboxError)
    assert str(result.exception) == (
        "The sandbox's stack is made of Pulumi.dev.yaml at each `make up`: change it there."
    )


# --- an update that was killed ----------------------------------------------------------------------------------------


@pytest.fixture
def pulumi(tmp_path: Path) -> Iterator[int]:
    """The id of a process that is called as Pulumi is."""
    program = tmp_path / "pulumi"
    shutil.copy(shutil.which("sleep") or "", program)
    running = subprocess.Popen([program, "60"])
    yield running.pid
    running.kill()
    running.wait()


def test_the_lock_of_an_update_goes_with_its_process_and_not_before(tmp_path: Path, pulumi: int) -> None:
    ended = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True)
    locks = tmp_path / "locks/organization/canary-on-istio/dev"
    locks.mkdir(parents=True)
    processes = {"live": pulumi, "dead": int(ended.stdout), "another program's by now": 1}
    for name, pid in processes.items():
        (locks / f"{name}.json").write_text(json.dumps({"pid": pid, "username": "root", "hostname": "here"}))
    (locks / "half written.json").write_text('{"pid"')
    drop_dead_locks(tmp_path / "locks")
    assert {each.stem for each in locks.iterdir()} == {"live", "half written"}


# --- what was set going -----------------------------------------------------------------------------------------------


def told(monkeypatch: pytest.MonkeyPatch, outcomes: Sequence[str], *, follow: bool, status: int = 0) -> str:
    """What is said of apps whose rollouts have these outcomes; one that is followed ends with the status."""

    def wait(canary: str) -> list[str]:
        outcome = outcomes[int(canary.rpartition("-")[2])]
        script = (
            f"import sys; print({json.dumps(json.dumps({'outcome': outcome}))}) if sys.argv[1:] else sys.exit({status})"
        )
        return [sys.executable, "-c", script]

    monkeypatch.setattr(rollouts, "_wait", wait)
    out = io.StringIO()
    tell_rollouts(Console(file=out, width=120), [f"prod/app-{n}" for n in range(len(outcomes))], {}, follow=follow)
    return out.getvalue()


def test_an_up_says_what_it_has_started_and_how_to_follow_it(monkeypatch: pytest.MonkeyPatch) -> None:
    said = told(monkeypatch, ["promoted", "timed out", "rolled back", "timed out"], follow=False)
    assert "Under way: the rollout of prod/app-1, prod/app-3." in said
    assert "`make up WAIT=1` follows it to its end" in said


def test_an_up_that_starts_nothing_says_that(monkeypatch: pytest.MonkeyPatch) -> None:
    said = told(monkeypatch, ["promoted", "promoted"], follow=True)
    assert said == "No rollout is under way: each app runs the version that it was given.\n"


def test_an_up_of_a_stack_without_apps_says_that(monkeypatch: pytest.MonkeyPatch) -> None:
    assert told(monkeypatch, [], follow=True) == (
        "The stack has no app yet: docs/your-own-app.md says how to add one.\n"
    )


@pytest.mark.parametrize(
    ("outcomes", "said"),
    [
        (["promoted", "rolled back"], "Rolled back before: prod/app-1; `canary get` says why"),
        (["promoted", ""], "Not known: how prod/app-1 stands"),
    ],
)
def test_what_was_not_promoted_or_is_not_known_is_never_called_well(
    monkeypatch: pytest.MonkeyPatch, outcomes: Sequence[str], said: str
) -> None:
    shown = told(monkeypatch, outcomes, follow=False)
    assert said in shown
    assert "each app runs" not in shown
    with pytest.raises(SandboxError, match="Not promoted: prod/app-1"):
        told(monkeypatch, outcomes, follow=True)


def test_an_up_that_follows_fails_with_the_rollout(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "Under way" in told(monkeypatch, ["timed out", "promoted"], follow=True)
    with pytest.raises(SandboxError, match=r"Not promoted: prod/app-0; the cause stands above"):
        told(monkeypatch, ["timed out", "promoted"], follow=True, status=1)


# --- ends -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "place", "said"),
    [
        (["down"], "sandbox.lifecycle.down", "Nothing runs; the same command goes on where this one stopped."),
        (
            ["current", "status"],
            "sandbox.deploy.current.show_current",
            "What Pulumi has begun on your cluster stays; the same command goes on from there.",
        ),
    ],
)
def test_an_interrupt_says_that_nothing_was_lost(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: list[str], place: str, said: str
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(place, interrupted)
    monkeypatch.setattr(sys, "argv", ["sandbox", *arguments])
    with pytest.raises(SystemExit) as end:
        command.main()
    assert end.value.code == 130
    assert f"Interrupted. {said}" in capsys.readouterr().err


def test_to_remove_a_sandbox_that_never_was_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert CliRunner().invoke(command.app, ["down"], env={"CANARY_SANDBOX": "never"}).output.strip() == (
        "There is no sandbox 'never'."
    )


def test_the_state_of_a_sandbox_that_is_not_there_is_an_error() -> None:
    result = CliRunner().invoke(command.app, ["status"], env={"CANARY_SANDBOX": "never"})
    assert isinstance(result.exception, SandboxError)
    assert str(result.exception) == "The sandbox 'never' is not running; `make up` starts it."
