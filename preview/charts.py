"""What a change of a Helm release changes in the cluster: Pulumi compares a release's values, and shows no object."""

from __future__ import annotations

import difflib
import functools
import os
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import yaml

from controller.api.errors import CanaryError
from preview.changes import HELM_RELEASE, Change, Op

_SECONDS = 120
_REPOSITORY = "stack"
"""Helm's name of one that asks for a login."""

Logins: TypeAlias = Mapping[str, tuple[str, str]]
"""Username and password by the address of a repository: Pulumi's own output hides them."""
Objects: TypeAlias = Mapping[tuple[str, str, str], str]
"""Rendered objects as text, by kind, namespace and name."""


class RenderError(CanaryError):
    """A chart cannot be rendered. The message says what Helm says."""


@dataclass(frozen=True, slots=True)
class ChartDiff:
    """One release.

    Attributes:
        release: its name.
        objects: for each object that changes its name and its diff, definitions of kinds first.
        problem: why there is no diff; empty when there is one.
    """

    release: str
    objects: tuple[tuple[str, str], ...] = ()
    problem: str = ""


def render_charts(changes: tuple[Change, ...], find_logins: Callable[[], Logins]) -> Iterator[ChartDiff]:
    """The diff of every release that changes, rendered by the ``helm`` of this machine."""
    asked = functools.cache(find_logins)
    for change in changes:
        if change.type != HELM_RELEASE or change.op not in (Op.UPDATE, Op.REPLACE):
            continue
        name = str(change.after.get("name") or change.name)
        try:
            rendered = [read_objects(_render(each, asked)) for each in (change.before, change.after)]
        except RenderError as error:
            yield ChartDiff(name, problem=str(error))
        else:
            yield ChartDiff(name, tuple(compare(*rendered)))


def read_objects(text: str) -> Objects:
    """What ``helm template`` prints, by object; of a Secret the names of its keys only."""
    found: dict[tuple[str, str, str], str] = {}
    for document in yaml.safe_load_all(text):
        if not isinstance(document, dict):
            continue
        metadata = document.get("metadata") or {}
        shown = _without_content(document) if document.get("kind") == "Secret" else document
        place = str(document.get("kind")), str(metadata.get("namespace") or ""), str(metadata.get("name"))
        found[place] = yaml.safe_dump(shown, sort_keys=True, width=120)
    return found


def compare(before: Objects, after: Objects) -> Iterator[tuple[str, str]]:
    """Each object that is new, gone or other than before, and how."""
    changed = [place for place in {**before, **after} if before.get(place) != after.get(place)]
    for place in sorted(changed, key=lambda each: (each[0] != "CustomResourceDefinition", each)):
        former, latter = (side.get(place, "").splitlines() for side in (before, after))
        diff = list(difflib.unified_diff(former, latter, lineterm="", n=3))[2:]  # without the names of two files
        yield "/".join(filter(None, place)), "\n".join(line for line in diff if not line.startswith("@@"))


def _without_content(secret: Mapping[str, Any]) -> dict[str, Any]:
    hidden = {part: dict.fromkeys(secret[part], "[secret]") for part in ("data", "stringData") if secret.get(part)}
    return {**secret, **hidden}


def _render(release: Mapping[str, Any], find_logins: Callable[[], Logins]) -> str:
    options = release.get("repositoryOpts") or {}
    repository, chart = str(options.get("repo") or ""), str(release.get("chart"))
    with tempfile.TemporaryDirectory(prefix="canary-preview-") as folder:
        helm = functools.partial(_helm, folder)
        if options.get("password"):
            if repository not in (logins := find_logins()):
                raise RenderError(f"the stack's configuration has no login of {repository} any more")
            username, password = logins[repository]
            # Not as an option of `template`: who else is on this machine sees a command's arguments.
            helm("repo", "add", _REPOSITORY, repository, f"--username={username}", "--password-stdin", stdin=password)
            repository, chart = "", f"{_REPOSITORY}/{chart}"
        values = Path(folder, "values.yaml")
        values.write_text(yaml.safe_dump(release.get("values") or {}))
        words = [str(release.get("name")), chart, f"--values={values}"]
        words += [f"--namespace={release.get('namespace')}"] if release.get("namespace") else []
        words += [f"--version={release.get('version')}"] if release.get("version") else []
        words += [f"--repo={repository}"] if repository else []
        words += [] if release.get("skipCrds") else ["--include-crds"]
        return helm("template", *words)


def _helm(folder: str, *words: str, stdin: str = "") -> str:
    """What it prints; the repositories that it knows are those in `folder`."""
    env = {
        **os.environ,
        "HELM_REPOSITORY_CONFIG": f"{folder}/repositories.yaml",
        "HELM_REPOSITORY_CACHE": f"{folder}/cache",
    }
    try:
        made = subprocess.run(
            ["helm", *words], input=stdin, capture_output=True, text=True, check=True, timeout=_SECONDS, env=env
        )
    except FileNotFoundError:
        raise RenderError("helm is not installed") from None
    except subprocess.CalledProcessError as error:
        raise RenderError(error.stderr.strip() or f"helm ended with status {error.returncode}") from None
    except subprocess.TimeoutExpired:
        raise RenderError(f"helm was not done after {_SECONDS} s") from None
    return made.stdout
