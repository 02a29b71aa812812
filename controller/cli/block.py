"""``canary block``: a version that no stack of a Pulumi project may have."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Annotated, Any

import typer
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap
from ruamel.yaml.error import YAMLError
from ruamel.yaml.scalarstring import DoubleQuotedScalarString

from controller.cli.errors import CommandError, reports_errors


@reports_errors
def block(
    app: Annotated[str, typer.Argument(metavar="APP", help="App, as in backend or team-1/backend.")],
    version: Annotated[str, typer.Argument(metavar="VERSION", help="Its tag or digest.")],
    reason: Annotated[str, typer.Option(metavar="TEXT", help="Why; who is refused reads it.")],
    file: Annotated[Path, typer.Option("--file", "-f", metavar="FILE", help="Project file.")] = Path("Pulumi.yaml"),
) -> None:
    """Refuse a version in every stack of a Pulumi project."""
    if not reason.strip():
        raise CommandError("--reason: must not be empty")
    try:
        text = file.read_text()
    except OSError as error:
        raise CommandError(f"{file}: {error.strerror}; run it in the folder of the project, or give --file") from None
    file.write_text(add_block(text, str(file), app, version, reason))
    print(f"{file}: {app} {version} is blocked. Commit it: the next preview or `up` of each stack refuses the version.")
    print(f"A rollout that is under way goes on: `canary abort {app.rpartition('/')[2]}` ends it.")


def add_block(text: str, path: str, app: str, version: str, reason: str) -> str:
    """The project file with one more version in ``blocked``; comments and order stay.

    Raises:
        CommandError: it is no project file, or the version is blocked already.
    """
    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = 4096  # no line of the user's is broken
    try:
        project = yaml.load(text)
    except YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{path}:{mark.line + 1}" if mark else path
        raise CommandError(f"{where}: is not valid YAML: {getattr(error, 'problem', error)}") from None
    if not isinstance(project, CommentedMap) or not isinstance(name := project.get("name"), str):
        raise CommandError(f"{path}: must be the file of a Pulumi project, with its `name`")
    apps = _inside(_inside(_inside(project, "config", path), f"{name}:blocked", path), "value", path)
    versions = _inside(apps, app, path)
    if known := versions.get(version):
        raise CommandError(f"{path}: {app} {version} is blocked already: {known}")
    # In quotes: `6.10` is a number, and `yes` is true for who reads YAML 1.1.
    versions[DoubleQuotedScalarString(version)] = DoubleQuotedScalarString(reason)
    written = io.StringIO()
    yaml.dump(project, written)
    return written.getvalue()


def _inside(parent: CommentedMap, key: str, path: str) -> Any:
    """The mapping at a key, made if there is none. Raises CommandError if something else is there."""
    if parent.get(key) is None:
        parent[key] = CommentedMap()
    if not isinstance(parent[key], CommentedMap):
        raise CommandError(f"{path}: `{key}` must be a mapping")
    return parent[key]
