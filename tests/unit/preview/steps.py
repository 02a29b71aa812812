"""Steps as ``pulumi preview --json`` prints them, cut down to what is read."""

from __future__ import annotations

import copy
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.builders import ERROR_RATE, WEIGHTED, canary_manifest, make_config, make_deployment

TYPES = {
    "Canary": "kubernetes:flagger.app/v1beta1:Canary",
    "ConfigMap": "kubernetes:core/v1:ConfigMap",
    "Deployment": "kubernetes:apps/v1:Deployment",
    "Release": "kubernetes:helm.sh/v3:Release",
    "Service": "kubernetes:core/v1:Service",
}


def step(
    op: str,
    kind: str,
    name: str,
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
    *paths: str,
) -> dict[str, Any]:
    """One resource of the program; ``kind`` is a key of `TYPES` or a whole type."""
    token = TYPES.get(kind, kind)
    made: dict[str, Any] = {"op": op, "urn": f"urn:pulumi:prod::canary-on-istio::{token}::{name}"}
    for state, inputs in (("oldState", before), ("newState", after)):
        if inputs is not None:
            made[state] = {"type": token, "custom": token.startswith("kubernetes:"), "inputs": inputs}
    return made | ({"detailedDiff": {path: {"kind": "update"} for path in paths}} if paths else {})


def same(kind: str, name: str, inputs: Mapping[str, Any]) -> dict[str, Any]:
    return step("same", kind, name, inputs, inputs)


def canary(**spec: Any) -> dict[str, Any]:
    """What the provider was given for one, with a note of its own."""
    analysis = {**WEIGHTED, "metrics": [ERROR_RATE], **spec.pop("analysis", {})}
    made = {name: value for name, value in canary_manifest(analysis=analysis, **spec).items() if name != "status"}
    return {**made, "metadata": {"name": "backend", "namespace": "prod"}, "__fieldManager": "pulumi"}


def workload(image: str = "registry.example/podinfo:6.1.0", **pod: Any) -> dict[str, Any]:
    made = copy.deepcopy(make_deployment(image=image))
    made["spec"]["template"]["spec"].update(pod)
    return {name: made[name] for name in ("apiVersion", "kind", "metadata", "spec")}


def settings(**data: str) -> dict[str, Any]:
    return make_config("backend-config", data)


def event(rule: str, message: str, level: str) -> str:
    """A violation as Pulumi logs it: with its colours, and after the description of the rule."""
    text = f"<{{%fg 13%}}>What holds, and why.\n{message}<{{%reset%}}>\n"
    return json.dumps({"policyEvent": {"policyName": rule, "message": text, "enforcementLevel": level}})


def play(monkeypatch: pytest.MonkeyPatch, folder: Path, command: str, script: str) -> None:
    """Put a Python script into ``folder`` and on the path, under the name of a command."""
    played = folder / command
    played.write_text(f"#!{sys.executable}\n{script}")
    played.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=os.pathsep)
