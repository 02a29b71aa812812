"""Reading `Pulumi.<stack>.yaml` before Pulumi does, with errors that name the line."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml


class StackFileError(Exception):
    """A stack file cannot be read; `str()` is one sentence with the file and the line."""


def read_stack_file(path: Path) -> dict[str, Any]:
    """The content of a stack file; of an empty one, none.

    Raises:
        StackFileError: it is not there, is not YAML, sets a key twice, or is not made of the mappings that Pulumi
            expects.
    """
    try:
        content = yaml.load(path.read_text(), _Loader)  # noqa: S506 -- a SafeLoader
    except OSError as error:
        raise StackFileError(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise StackFileError(f"{path}: is not UTF-8 text") from None
    except yaml.MarkedYAMLError as error:
        raise StackFileError(_sentence(path, error)) from None
    except yaml.YAMLError as error:
        raise StackFileError(f"{path}: is not valid YAML: {error}") from None
    content = {} if content is None else content
    if not isinstance(content, Mapping):
        raise StackFileError(f"{path}: must be a mapping, with the key `config`")
    if not isinstance(content.get("config") or {}, Mapping):
        raise StackFileError(f"{path}: `config` must be a mapping of keys such as canary-on-istio:apps")
    for key in (*content, *(content.get("config") or ())):
        if not isinstance(key, str):
            raise StackFileError(f"{path}: the key `{key}` must be a text such as canary-on-istio:apps")
    return dict(content)


class _Loader(yaml.SafeLoader):
    """As YAML demands, and PyYAML does not: no key twice. To Pulumi a key without a prefix is the project's."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        lines: dict[str, int] = {}
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                line = key.start_mark.line + 1
                name = key.value.removeprefix("canary-on-istio:")
                if name in lines:
                    message = f"`{key.value}` is already set in line {lines[name]}: write both under one key"
                    raise yaml.MarkedYAMLError(problem=message, problem_mark=key.start_mark)
                lines[name] = line
        return super().construct_mapping(node, deep)


def _sentence(path: Path, error: yaml.MarkedYAMLError) -> str:
    mark = error.problem_mark or error.context_mark
    where = f"{path}:{mark.line + 1}" if mark else str(path)
    problem = error.problem or "is not valid YAML"
    return f"{where}: {problem}" if problem.startswith("`") else f"{where}: is not valid YAML: {problem}"
