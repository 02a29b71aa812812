"""The CRDs match the models, are structural, and have every field of Flagger's."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from controller.api.crd import custom_resource_definitions, main, render
from tests.unit.api.bad_cases import BAD
from tests.unit.api.cases import GOOD

CRDS = Path(__file__).parents[3] / "crds"
SCHEMAS = {
    crd["spec"]["names"]["kind"]: crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    for crd in custom_resource_definitions()
}


def walk(schema: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every schema in ``schema`` with its path; ``[]`` is an item of a list, ``{}`` a value of a mapping."""
    yield path, schema
    for name, field in schema.get("properties", {}).items():
        yield from walk(field, f"{path}.{name}" if path else name)
    if "items" in schema:
        yield from walk(schema["items"], f"{path}[]")
    if "additionalProperties" in schema:
        yield from walk(schema["additionalProperties"], f"{path}{{}}")


def paths_of(value: Any, path: str, schemas: dict[str, dict[str, Any]]) -> Iterator[str]:
    yield path
    schema = schemas.get(path, {})
    if isinstance(value, dict) and "properties" in schema:
        for name, item in value.items():
            yield from paths_of(item, f"{path}.{name}", schemas)
    elif isinstance(value, dict) and "additionalProperties" in schema:
        for item in value.values():
            yield from paths_of(item, f"{path}{{}}", schemas)
    elif isinstance(value, list):
        for item in value:
            yield from paths_of(item, f"{path}[]", schemas)


def test_the_files_in_crds_are_up_to_date(capsys):
    assert main(["--check", "--folder", str(CRDS)]) == 0, capsys.readouterr().err
    assert {path.name for path in CRDS.iterdir()} == set(render())


def test_check_reports_a_stale_file_and_write_fixes_it(tmp_path, capsys):
    assert main(["--check", "--folder", str(tmp_path / "crds")]) == 1
    assert "canaries.flagger.app.yaml is out of date: run `make generate`" in capsys.readouterr().err
    assert main(["--write", "--folder", str(tmp_path / "crds")]) == 0
    assert main(["--check", "--folder", str(tmp_path / "crds")]) == 0
    assert (
        yaml.safe_load((tmp_path / "crds" / "canaries.flagger.app.yaml").read_text())["kind"]
        == "CustomResourceDefinition"
    )


@pytest.mark.parametrize("kind", SCHEMAS)
def test_every_part_of_a_schema_is_structural_and_described(kind):
    types = {"object", "array", "string", "integer", "number", "boolean"}
    for path, schema in walk(SCHEMAS[kind]):
        assert schema.get("type") in types or schema.get("x-kubernetes-int-or-string") is True, path
        assert not {"$ref", "anyOf", "allOf", "oneOf", "default", "title", "const", "nullable"} & schema.keys(), path
        assert not ("properties" in schema and "additionalProperties" in schema), path
        if path.split(".")[-1] not in ("apiVersion", "kind", "metadata") and not path.endswith(("[]", "{}")):
            assert schema.get("description"), path


@pytest.mark.parametrize("kind", SCHEMAS)
def test_every_rule_of_a_crd_is_broken_by_one_of_the_bad_objects(kind):
    words = [bad.words for bad in BAD if bad.base.split()[0] == kind]
    for path, schema in walk(SCHEMAS[kind]):
        for rule in schema.get("x-kubernetes-validations", ()):
            assert rule["message"] in words, path


def test_the_good_canaries_have_every_field_of_the_schema():
    schemas = dict(walk(SCHEMAS["Canary"]))
    # One canary has one strategy, and no hosts with delegation: what "everything" may not have, the others show.
    written = {
        path
        for name in ("everything", "older-forms", "ab-testing")
        for path in paths_of(GOOD[f"Canary {name}"]["spec"], "spec", schemas)
    }
    assert {path for path in schemas if path.startswith("spec")} <= written


FLAGGERS_FIELDS = """
spec: provider metricsServer progressDeadlineSeconds targetRef autoscalerRef ingressRef routeRef upstreamRef service
  skipAnalysis revertOnDeletion suspend analysis
spec.targetRef: apiVersion kind name
spec.autoscalerRef: apiVersion kind name primaryScalerQueries primaryScalerReplicas
spec.autoscalerRef.primaryScalerReplicas: minReplicas maxReplicas
spec.ingressRef: apiVersion kind name
spec.routeRef: apiVersion kind name
spec.upstreamRef: apiVersion kind name namespace
spec.service: name port portName appProtocol trafficDistribution targetPort portDiscovery headless timeout
  backendTimeout meshName backends hosts delegation match retries rewrite mirror headers gateways gatewayRefs corsPolicy
  trafficPolicy apex primary canary unmanagedMetadata
spec.service.rewrite: uri authority type
spec.service.apex: labels annotations
spec.service.primary: labels annotations
spec.service.canary: labels annotations
spec.service.unmanagedMetadata: labels annotations
spec.analysis: interval iterations threshold maxWeight stepWeight stepWeights stepWeightPromotion mirror mirrorWeight
  primaryReadyThreshold canaryReadyThreshold match metrics alerts webhooks sessionAffinity
spec.analysis.match[]: headers queryParams sourceLabels
spec.analysis.match[].headers{}: exact prefix suffix regex
spec.analysis.match[].queryParams{}: exact prefix regex
spec.analysis.metrics[]: name interval threshold thresholdRange query templateRef templateVariables
spec.analysis.metrics[].thresholdRange: min max
spec.analysis.metrics[].templateRef: name namespace
spec.analysis.alerts[]: name severity providerRef
spec.analysis.alerts[].providerRef: name namespace
spec.analysis.webhooks[]: name type muteAlert url timeout retries disableTLS metadata
spec.analysis.sessionAffinity: cookieName primaryCookieName domain httpOnly maxAge partitioned path sameSite secure
status: phase failedChecks canaryWeight iterations trackedConfigs lastAppliedSpec lastPromotedSpec lastTrackedRevision
  lastTransitionTime sessionAffinityCookie primarySessionAffinityCookie previousSessionAffinityCookie conditions
status.conditions[]: lastTransitionTime lastUpdateTime message reason status type
"""


def test_every_field_of_flaggers_canary_is_there():
    schemas = dict(walk(SCHEMAS["Canary"]))
    for line in FLAGGERS_FIELDS.replace("\n  ", " ").strip().splitlines():
        path, _, fields = line.partition(": ")
        assert set(fields.split()) - schemas[path]["properties"].keys() == set(), path


def test_kubectl_shows_flaggers_columns_and_one_more_when_wide():
    (version,) = custom_resource_definitions()[0]["spec"]["versions"]
    columns = [(column["name"], column.get("priority", 0)) for column in version["additionalPrinterColumns"]]
    assert [name for name, priority in columns if priority == 0] == ["Status", "Weight", "LastTransitionTime"]
    assert [name for name, priority in columns if priority == 1] == [
        "Suspended",
        "FailedChecks",
        "Interval",
        "Mirror",
        "StepWeight",
        "StepWeights",
        "MaxWeight",
        "Message",
    ]
    assert version["subresources"] == {"status": {}}
