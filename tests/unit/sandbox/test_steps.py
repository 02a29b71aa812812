import io
import threading
from functools import partial
from pathlib import Path

import pytest
from rich.console import Console

from sandbox.build.steps import Step, run_steps
from sandbox.running import SandboxError


@pytest.fixture
def console():
    return Console(file=io.StringIO(), width=200)


def step(tmp_path, name, make, **more):
    return Step(name, tmp_path / "artefacts" / name, make, seconds=1, **more)


def write_tool(version, folder):
    (folder / "tool").write_text(version)


def test_an_artefact_is_made_once_and_then_kept(tmp_path, console):
    made: list[Path] = []
    one = step(tmp_path, "one", made.append)
    run_steps([one], tmp_path / "work", console)
    run_steps([one], tmp_path / "work", console)
    assert len(made) == 1
    assert one.done


def test_a_failed_step_leaves_no_artefact_and_is_made_again_from_nothing(tmp_path, console):
    def fail(folder):
        (folder / "half").touch()
        raise SandboxError("no disk")

    with pytest.raises(SandboxError, match="no disk"):
        run_steps([step(tmp_path, "one", fail)], tmp_path / "work", console)
    assert not step(tmp_path, "one", fail).done
    seen = []
    run_steps([step(tmp_path, "one", lambda folder: seen.extend(folder.iterdir()))], tmp_path / "work", console)
    assert seen == []


def test_a_step_waits_for_what_it_needs(tmp_path, console):
    order, go_on = [], threading.Event()

    def slow(_folder):
        go_on.wait(5)
        order.append("first")

    first = step(tmp_path, "first", slow)
    second = step(tmp_path, "second", lambda _folder: order.append("second"), needs=(first,))
    third = step(tmp_path, "third", lambda _folder: go_on.set())
    run_steps([first, third, second], tmp_path / "work", console, workers=3)
    assert order == ["first", "second"]


def test_a_step_whose_need_failed_is_not_made(tmp_path, console):
    made: list[Path] = []

    def fail(_folder):
        raise SandboxError("broken")

    first = step(tmp_path, "first", fail)
    with pytest.raises(SandboxError, match="broken"):
        run_steps([first, step(tmp_path, "second", made.append, needs=(first,))], tmp_path / "work", console)
    assert made == []


def test_links_follow_the_artefact_to_its_new_version(tmp_path, console):
    link = tmp_path / "bin" / "tool"
    for version in ("1", "2"):
        tool = step(tmp_path, f"tool-{version}", partial(write_tool, version), links=((link, "tool"),))
        run_steps([tool], tmp_path / "work", console)
        assert link.read_text() == version


def test_folders_are_published_too(tmp_path, console):
    link = tmp_path / "share" / "charts"
    charts = step(tmp_path, "charts", lambda folder: (folder / "charts").mkdir(), links=((link, "charts"),))
    run_steps([charts], tmp_path / "work", console)
    assert link.is_dir()
    assert link.is_symlink()


def test_without_a_terminal_every_step_is_a_line_that_says_what_is_left(tmp_path, console):
    steps = [step(tmp_path, name, lambda _folder: None) for name in ("one", "two")]
    run_steps(steps, tmp_path / "work", console, workers=1)
    assert console.file.getvalue().splitlines() == [
        "2 to build: one, two",
        "built one in 0 s, 1 left",
        "built two in 0 s, everything is built",
    ]
