"""The CustomResourceDefinitions, made from the models: one schema at preview, at admission and in the controller.

``python -m controller.api.crd --write`` puts them into ``crds/``, ``--check`` fails when they are not up to date there.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from pydantic import BaseModel

from controller.api.alert_provider import AlertProvider
from controller.api.canary import Canary
from controller.api.metric_template import MetricTemplate
from controller.api.names import ALERT_PROVIDER_PLURAL, CANARY_PLURAL, GROUP, METRIC_TEMPLATE_PLURAL, VERSION

_HEADER = "# Made by `python -m controller.api.crd --write` from the models in controller/api; not to be edited.\n"

_KEPT = (
    "type",
    "format",
    "enum",
    "required",
    "minLength",
    "maxLength",
    "minItems",
    "maxItems",
    "minProperties",
    "maxProperties",
    "x-kubernetes-int-or-string",
    "x-kubernetes-preserve-unknown-fields",
    "x-kubernetes-validations",
)
"""Keywords that JSON schema and a structural schema share; ``default`` is left out on purpose (see base.py)."""


class Column(NamedTuple):
    """A column of ``kubectl get``; a wide one is shown with ``-o wide`` only."""

    name: str
    type: str
    json_path: str
    wide: bool = False

    def as_manifest(self) -> dict[str, Any]:
        column = {"name": self.name, "type": self.type, "jsonPath": self.json_path}
        return column | ({"priority": 1} if self.wide else {})


# Flagger's columns, in its order; the last wide one is ours.
_CANARY_COLUMNS = (
    Column("Status", "string", ".status.phase"),
    Column("Weight", "string", ".status.canaryWeight"),
    Column("Suspended", "boolean", ".spec.suspend", wide=True),
    Column("FailedChecks", "string", ".status.failedChecks", wide=True),
    Column("Interval", "string", ".spec.analysis.interval", wide=True),
    Column("Mirror", "boolean", ".spec.analysis.mirror", wide=True),
    Column("StepWeight", "string", ".spec.analysis.stepWeight", wide=True),
    Column("StepWeights", "string", ".spec.analysis.stepWeights", wide=True),
    Column("MaxWeight", "string", ".spec.analysis.maxWeight", wide=True),
    Column("LastTransitionTime", "string", ".status.lastTransitionTime"),
    Column("Message", "string", ".status.message", wide=True),
)


def custom_resource_definitions() -> tuple[dict[str, Any], ...]:
    """The manifests of the three CRDs."""
    return (
        _definition(Canary, CANARY_PLURAL, _CANARY_COLUMNS),
        _definition(MetricTemplate, METRIC_TEMPLATE_PLURAL, (Column("Provider", "string", ".spec.provider.type"),)),
        _definition(AlertProvider, ALERT_PROVIDER_PLURAL, (Column("Type", "string", ".spec.type"),)),
    )


def render() -> dict[str, str]:
    """File name to content, of the folder ``crds``."""
    # Through JSON, so that no two manifests share a part and YAML needs no anchors.
    manifests = json.loads(json.dumps(custom_resource_definitions()))
    return {
        f"{manifest['metadata']['name']}.yaml": _HEADER + yaml.safe_dump(manifest, sort_keys=False, width=120)
        for manifest in manifests
    }


def _definition(model: type[BaseModel], plural: str, columns: Sequence[Column]) -> dict[str, Any]:
    kind = model.__name__
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "names": {
                "kind": kind,
                "listKind": f"{kind}List",
                "plural": plural,
                "singular": kind.lower(),
                "categories": ["all"],
            },
            "scope": "Namespaced",
            "versions": [
                {
                    "name": VERSION,
                    "served": True,
                    "storage": True,
                    "subresources": {"status": {}},
                    "additionalPrinterColumns": [column.as_manifest() for column in columns],
                    "schema": {"openAPIV3Schema": object_schema(model)},
                }
            ],
        },
    }


def object_schema(model: type[BaseModel]) -> dict[str, Any]:
    """The structural schema of a whole object of type ``model``."""
    json_schema = model.model_json_schema(by_alias=True)
    schema = _structural(json_schema, json_schema.get("$defs", {}))
    # What every object has is the API server's business; a CRD may not describe it further.
    common = {"apiVersion": {"type": "string"}, "kind": {"type": "string"}, "metadata": {"type": "object"}}
    return {**schema, "properties": {**common, **{k: v for k, v in schema["properties"].items() if k not in common}}}


def _structural(schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> dict[str, Any]:
    """``schema`` as kube-apiserver takes it: no references, no ``null``, nothing that it does not know.

    https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/#specifying-a-structural-schema
    """
    schema = _resolved(schema, definitions)
    description = {"description": _first_paragraph(schema["description"])} if "description" in schema else {}
    structural = description | {key: schema[key] for key in _KEPT if key in schema}
    if "const" in schema:
        structural["enum"] = [schema["const"]]
    if "properties" in schema:
        structural["properties"] = {
            name: _structural(field, definitions) for name, field in schema["properties"].items()
        }
    elif isinstance(values := schema.get("additionalProperties"), Mapping):
        structural["additionalProperties"] = _structural(values, definitions)
    elif values is True:
        structural["x-kubernetes-preserve-unknown-fields"] = True
    if "items" in schema:
        structural["items"] = _structural(schema["items"], definitions)
    return structural


def _resolved(schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> Mapping[str, Any]:
    """``schema`` without ``$ref`` and without the choice of null; its own description goes before the model's."""
    if "$ref" in schema:
        definition = definitions[schema["$ref"].removeprefix("#/$defs/")]
        return _resolved({**definition, **{k: v for k, v in schema.items() if k != "$ref"}}, definitions)
    if "anyOf" in schema:
        (choice,) = (choice for choice in schema["anyOf"] if choice.get("type") != "null")
        return _resolved({**choice, **{k: v for k, v in schema.items() if k != "anyOf"}}, definitions)
    return schema


def _first_paragraph(text: str) -> str:
    return " ".join(text.split("\n\n", 1)[0].split())


def main(arguments: Sequence[str] | None = None) -> int:
    """Write or check the folder; the exit code is 1 when a check finds a difference."""
    parser = argparse.ArgumentParser(prog="python -m controller.api.crd", description=__doc__)
    parser.add_argument("--folder", type=Path, default=Path("crds"), help="where the CRDs are kept (default: crds)")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--write", action="store_true", help="write the files")
    what.add_argument("--check", action="store_true", help="fail when a file is not up to date")
    options = parser.parse_args(arguments)
    files = {options.folder / name: content for name, content in render().items()}
    if options.write:
        options.folder.mkdir(parents=True, exist_ok=True)
        for path, content in files.items():
            path.write_text(content, encoding="utf-8")
        return 0
    stale = [path for path, content in files.items() if not path.exists() or path.read_text("utf-8") != content]
    for path in stale:
        sys.stderr.write(f"{path} is not up to date: run python -m controller.api.crd --write\n")
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
