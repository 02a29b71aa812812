"""Which cluster the kubernetes stand-in talks to."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from lightkube.config.kubeconfig import KubeConfig, SingleConfig
from lightkube.config.models import User
from lightkube.core.exceptions import ConfigError

from sandbox.plugin.errors import PluginError


@dataclass(frozen=True)
class Connection:
    """One context of one kubeconfig. `source` is a path, or None where the content was given in the provider's
    inputs.
    """

    config: SingleConfig
    source: Path | None
    content: str

    def __str__(self) -> str:
        server, context = self.config.cluster.server, self.config.context_name
        return f"{server} (context {context} of {self.source or 'the given kubeconfig'})"


def load_connection(given: str, context: str, environment: Mapping[str, str]) -> Connection:
    """Resolve as the official plugin does: the provider's `kubeconfig` (content or path), else `$KUBECONFIG`, else
    ~/.kube/config.

    Raises PluginError where no kubeconfig is found, or it cannot be read, or lacks the context.
    """
    source, content = _read(given or environment.get("KUBECONFIG", "") or "~/.kube/config")
    try:
        document: Any = yaml.safe_load(content)
        if not isinstance(document, dict):
            raise PluginError(f"{source or 'the given kubeconfig'} is not a kubeconfig: it must be a YAML mapping")
        config = KubeConfig.from_dict(document, fname=source).get(context or None)
    except (ConfigError, KeyError, TypeError, ValueError, yaml.YAMLError) as error:
        raise PluginError(f"cannot use {source or 'the given kubeconfig'}: {error}") from error
    if config is None:
        raise PluginError(f"{source or 'the given kubeconfig'} has no current context; set kubernetes:context")
    if config.user is None:
        config = config._replace(user=User())
    return Connection(config, source, content)


def _read(given: str) -> tuple[Path | None, str]:
    if "\n" in given or given.lstrip().startswith("{"):
        return None, given
    if os.pathsep in given:
        raise PluginError(
            f"the stand-in takes one kubeconfig file, not several: {given}. Set kubernetes:kubeconfig to one."
        )
    path = Path(given).expanduser()
    try:
        return path, path.read_text()
    except OSError as error:
        raise PluginError(
            f"no kubeconfig: {path}: {error.strerror}. Set kubernetes:kubeconfig or KUBECONFIG to the cluster's file."
        ) from error
