"""Flagger's command line: every option is honoured by ``canary run``, reported as without effect, or refused.

Go's syntax: ``-name value`` or ``-name=value``, with one or two dashes; a boolean stands alone or with ``=value``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import typer

BOOLEANS = frozenset(
    {
        "enable-config-tracking",
        "enable-leader-election",
        "leader-election",
        "no-cross-namespace-refs",
        "zap-replace-globals",
    }
)

WITHOUT_EFFECT: Mapping[str, str] = {
    "control-loop-interval": "a Canary is reconciled when it changes, and every analysis.interval",
    "enable-config-tracking": "ConfigMaps and Secrets are always tracked",
    "ingress-annotations-prefix": "Ingresses are not supported",
    "ingress-class": "Ingresses are not supported",
    "kubeconfig-burst": "requests to the Kubernetes API are not throttled by the client",
    "kubeconfig-qps": "requests to the Kubernetes API are not throttled by the client",
    "threadiness": "Canaries are reconciled concurrently",
    "zap-encoding": "logs are JSON",
    "zap-replace-globals": "there is one logger",
}
"""Options that change nothing here, with the reason to log."""

REFUSED: Mapping[str, str] = {
    "kubeconfig-service-mesh": "a service mesh in another cluster is not supported",
    "master": "set the address in the kubeconfig",
}
"""Options that cannot be ignored without a change of behaviour; empty values are allowed."""

_OPTION = re.compile(r"--?([a-z][a-z0-9-]+)(?:=(.*))?", re.DOTALL)
TRUE = frozenset({"1", "t", "T", "true", "True", "TRUE"})
FALSE = frozenset({"0", "f", "F", "false", "False", "FALSE"})


def translate(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """The arguments for ``canary run``, and what to log about those without effect.

    Raises:
        BadParameter: an option is refused.
    """
    kept: list[str] = []
    notes: list[str] = []
    remaining = iter(arguments)
    for argument in remaining:
        option = _OPTION.fullmatch(argument)
        if option is None:
            kept.append(argument)
            continue
        name, value = option.groups()
        if name in BOOLEANS:
            value = _boolean(name, value)
        if name not in WITHOUT_EFFECT and name not in REFUSED:
            kept.append(f"--{name}" if value is None else f"--{name}={value}")
            continue
        if value is None:
            value = next(remaining, "")
        _refuse(name, value)
        if name in WITHOUT_EFFECT and value not in FALSE:
            notes.append(f"--{name}={value} has no effect: {WITHOUT_EFFECT[name]}")
    return kept, notes


def _boolean(name: str, value: str | None) -> str:
    if value is None:
        return "true"
    if value not in TRUE | FALSE:
        raise typer.BadParameter(f"{value!r} is neither true nor false", param_hint=f"--{name}")
    return value


def _refuse(name: str, value: str) -> None:
    where = f"--{name}"
    if name in REFUSED and value:
        raise typer.BadParameter(REFUSED[name], param_hint=where)
    if name == "enable-config-tracking" and value in FALSE:
        raise typer.BadParameter(
            "cannot be disabled for all; annotate a ConfigMap or Secret with flagger.app/config-tracking: disabled",
            param_hint=where,
        )
