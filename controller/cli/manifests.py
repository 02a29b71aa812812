"""Objects from YAML files, with their line numbers."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from yaml.constructor import SafeConstructor

from controller.api import Canary, InvalidObject, MetricTemplate, parse_canary, parse_metric_template
from controller.api.names import CANARY_KIND, GROUP, METRIC_TEMPLATE_KIND
from controller.cli.errors import CommandError

STDIN = "-"


class UnreadableFile(CommandError):  # noqa: N818 -- what is wrong is the file, as with InvalidObject
    """A file that does not exist, or is not YAML.

    Attributes:
        file: its name.
        line: of the syntax error, from 1; 0 if not known.
        reason: what is wrong.
    """

    def __init__(self, file: str, line: int, reason: str) -> None:
        self.file, self.line, self.reason = file, line, reason
        super().__init__(f"{file}:{line}: {reason}" if line else f"{file}: {reason}")


@dataclass(frozen=True, slots=True)
class Document:
    """One object of a file.

    Attributes:
        file: the file's name; ``-`` for the standard input.
        number: which document of the file it is in, from 1.
        node: its YAML, with positions.
        value: the object.
    """

    file: str
    number: int
    node: yaml.Node
    value: Any

    @property
    def kind(self) -> str:
        """Its kind if it belongs to our API group, else empty."""
        if not isinstance(self.value, Mapping):
            return ""
        ours = str(self.value.get("apiVersion", "")).partition("/")[0] == GROUP
        return str(self.value.get("kind", "")) if ours else ""

    @property
    def name(self) -> str:
        return self._metadata("name")

    @property
    def label(self) -> str:
        """``Canary prod/backend``."""
        namespace = self._metadata("namespace")
        return f"{self.kind} {namespace + '/' if namespace else ''}{self.name or '(without a name)'}"

    def _metadata(self, key: str) -> str:
        metadata = self.value.get("metadata")
        return str(metadata.get(key) or "") if isinstance(metadata, Mapping) else ""

    def line(self, path: str = "") -> int:
        """The line, from 1, of the field at ``path`` (``spec.metrics[0].name``), or of its nearest parent."""
        node = self.node
        for part in path.replace("[", ".[").split("."):
            inner = _child(node, part)
            if inner is None:
                break
            node = inner
        return int(node.start_mark.line) + 1


def _child(node: yaml.Node, part: str) -> yaml.Node | None:
    """The value at a key, or at ``[index]`` or ``[key]``; None where there is none."""
    name = part.strip("[]")
    if isinstance(node, yaml.MappingNode):
        return next((value for key, value in node.value if key.value == name), None)
    if isinstance(node, yaml.SequenceNode) and name.isdigit() and int(name) < len(node.value):
        item: yaml.Node = node.value[int(name)]
        return item
    return None


def read_documents(file: str) -> Iterator[Document]:
    """Every object of a YAML file of several documents; the items of a ``List`` one by one.

    Raises:
        UnreadableFile: the file does not exist, or is not YAML.
    """
    try:
        text = sys.stdin.read() if file == STDIN else Path(file).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise UnreadableFile(file, 0, str(reason)) from None
    try:
        for number, node in enumerate(yaml.compose_all(text, yaml.SafeLoader), start=1):
            yield from _items(Document(file, number, node, SafeConstructor().construct_document(node)))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise UnreadableFile(file, mark.line + 1 if mark else 0, f"invalid YAML: {error.problem}") from None
    except yaml.YAMLError as error:
        raise UnreadableFile(file, 0, f"invalid YAML: {error}") from None


def _items(document: Document) -> Iterator[Document]:
    value = document.value
    if not (isinstance(value, Mapping) and value.get("kind") == "List" and isinstance(value.get("items"), list)):
        yield document
        return
    nodes = _child(document.node, "items")
    assert isinstance(nodes, yaml.SequenceNode)  # noqa: S101  # it was made into a list
    for node, item in zip(nodes.value, value["items"], strict=True):
        yield Document(document.file, document.number, node, item)


def load_canary(files: Sequence[str], name: str = "") -> tuple[Canary, dict[str, MetricTemplate]]:
    """The one Canary of the files (``name`` selects among several), and their MetricTemplates by ``NAMESPACE/NAME``.

    Raises:
        UnreadableFile: as `read_documents`.
        CommandError: there is no such Canary, there are several, or an object is invalid.
    """
    canaries: dict[str, Canary] = {}
    templates: dict[str, MetricTemplate] = {}
    for document in (document for file in files for document in read_documents(file)):
        if document.kind == METRIC_TEMPLATE_KIND:
            template = _parsed(parse_metric_template, document)
            templates[f"{template.metadata.namespace}/{template.metadata.name}"] = template
        elif document.kind == CANARY_KIND and name in ("", document.name):
            canary = _parsed(parse_canary, document)
            canaries[f"{canary.namespace}/{canary.name}"] = canary
    where = ", ".join(files)
    if not canaries:
        raise CommandError(f"{where}: no Canary {name!r}" if name else f"{where}: no Canary")
    if len(canaries) > 1:
        names = ", ".join(canary.name for canary in canaries.values())
        raise CommandError(f"{where}: several Canaries ({names}); select one with --name")
    return next(iter(canaries.values())), templates


def _parsed(parse: Any, document: Document) -> Any:
    try:
        return parse(document.value)
    except InvalidObject as error:
        raise CommandError(f"{document.file}:{document.line()}: {error}") from None
