"""The CRDs on a real API server: what it accepts, what it refuses, and that it refuses in the models' words."""

from collections.abc import Iterator
from typing import Any

import pytest
from lightkube import ApiError, Client, KubeConfig
from lightkube.generic_resource import create_namespaced_resource
from lightkube.models.meta_v1 import ObjectMeta
from lightkube.resources.apiextensions_v1 import CustomResourceDefinition
from lightkube.resources.core_v1 import Namespace
from lightkube.types import PatchType

from controller.api import CanaryStatus, CheckStatus, InvalidObject, Phase, parse_canary
from controller.api.crd import custom_resource_definitions
from controller.api.names import (
    ALERT_PROVIDER_PLURAL,
    CANARY_PLURAL,
    FIELD_MANAGER,
    GROUP,
    METRIC_TEMPLATE_PLURAL,
    VERSION,
)
from sandbox.node.apiserver import api_server
from tests.unit.api.bad_cases import BAD
from tests.unit.api.cases import ABSENT, GOOD, Bad, changed

Canary = create_namespaced_resource(GROUP, VERSION, "Canary", CANARY_PLURAL)
RESOURCES = {
    "Canary": Canary,
    "MetricTemplate": create_namespaced_resource(GROUP, VERSION, "MetricTemplate", METRIC_TEMPLATE_PLURAL),
    "AlertProvider": create_namespaced_resource(GROUP, VERSION, "AlertProvider", ALERT_PROVIDER_PLURAL),
}


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    """A client of an API server that has the CRDs and the namespaces of the cases."""
    with api_server() as server, Client(KubeConfig.from_file(server.kubeconfig), field_manager="tests") as client:
        for crd in custom_resource_definitions():
            apply_crd(client, crd)
        for crd in custom_resource_definitions():
            client.wait(CustomResourceDefinition, crd["metadata"]["name"], for_conditions=["Established"])
        for namespace in sorted({manifest["metadata"]["namespace"] for manifest in GOOD.values()}):
            client.create(Namespace(metadata=ObjectMeta(name=namespace)))
        yield client


def apply_crd(client: Client, crd: dict[str, Any]) -> CustomResourceDefinition:
    return client.patch(
        CustomResourceDefinition, crd["metadata"]["name"], crd, patch_type=PatchType.APPLY, field_manager="tests"
    )


def create(client: Client, manifest: dict[str, Any], **metadata: str) -> Any:
    resource = RESOURCES[manifest["kind"]]
    return client.create(resource.from_dict({**manifest, "metadata": {**manifest["metadata"], **metadata}}))


def causes(error: ApiError) -> list[tuple[str, str]]:
    details = error.status.details
    return [(cause.field or "", cause.message or "") for cause in (details.causes or [])] if details else []


def refusal(client: Client, manifest: dict[str, Any]) -> list[tuple[str, str]]:
    """Path and words of everything that the API server has against ``manifest``."""
    with pytest.raises(ApiError) as caught:
        create(client, manifest)
    assert caught.value.status.code == 422, caught.value
    return causes(caught.value)


def test_the_crds_are_structural_and_applying_them_again_changes_nothing(client):
    for crd in custom_resource_definitions():
        before = client.get(CustomResourceDefinition, crd["metadata"]["name"])
        conditions = {condition.type: condition.status for condition in before.status.conditions}
        assert conditions == {"NamesAccepted": "True", "Established": "True"}
        assert apply_crd(client, crd).metadata == before.metadata


@pytest.mark.parametrize("manifest", GOOD.values(), ids=GOOD)
def test_a_good_object_is_accepted_and_served_as_it_was_written(client, manifest):
    served = create(client, manifest).to_dict()
    assert served["spec"] == manifest["spec"]


@pytest.mark.parametrize("bad", BAD, ids=lambda bad: bad.name)
def test_a_bad_object_is_refused_with_the_path_and_what_is_allowed(client, bad: Bad):
    said = refusal(client, bad.manifest())
    assert [path for path, words in said if bad.words in words and path.startswith(bad.where)], said


def test_the_api_server_and_the_models_say_the_same_of_several_problems_at_once(client):
    manifest = changed(GOOD["Canary weighted"], "spec.service.port", 0)
    manifest = changed(manifest, "spec.analysis.maxWeight", 101)
    manifest = changed(manifest, "spec.analysis.webhooks[1].url", "load-tester")
    with pytest.raises(InvalidObject) as caught:
        parse_canary(manifest)
    assert sorted(refusal(client, manifest)) == sorted((p.path, p.message) for p in caught.value.problems)


def test_a_field_that_nobody_knows_is_not_stored(client):
    manifest = changed(GOOD["Canary weighted"], "spec.analysis.stepWieght", 5)
    assert create(client, manifest, name="misspelt").spec == GOOD["Canary weighted"]["spec"]


def test_what_is_meant_for_istio_is_stored_whatever_it_is(client):
    policy = {"connectionPool": {"http": {"ofTheFuture": [1, {"x": "y"}]}}}
    manifest = changed(GOOD["Canary weighted"], "spec.service.trafficPolicy", policy)
    assert create(client, manifest, name="future").spec["service"]["trafficPolicy"] == policy


def test_a_status_is_written_apart_from_the_spec_and_served_as_it_was_written(client):
    live = create(client, GOOD["Canary weighted"], name="with-status")
    status = CanaryStatus(
        phase=Phase.PROGRESSING,
        canary_weight=10,
        observed_generation=1,
        tracked_configs={"configmap/a": "1"},
        checks=(CheckStatus(name="error-rate", passed=False, value=100.0, detail="error-rate 100.00 > 1"),),
        message="Halt backend.prod advancement error-rate 100.00 > 1",
    ).to_dict()
    written = client.replace(with_status(live, status, spec={}), field_manager=FIELD_MANAGER)
    assert (written.status, written.spec) == (status, GOOD["Canary weighted"]["spec"])
    assert parse_canary(written.to_dict()).status.to_dict() == status


def test_a_status_that_was_written_on_an_old_reading_conflicts_and_changes_nothing(client):
    read = create(client, GOOD["Canary weighted"], name="contended")
    newer = client.replace(with_status(read, CanaryStatus(phase=Phase.PROGRESSING, canary_weight=10).to_dict()))
    with pytest.raises(ApiError) as caught:
        client.replace(with_status(read, CanaryStatus(phase=Phase.FAILED).to_dict()))
    assert (caught.value.status.code, caught.value.status.reason) == (409, "Conflict")
    assert client.get(Canary, "contended", namespace="prod").status == newer.status


def test_a_status_of_an_unknown_phase_is_refused(client):
    live = create(client, GOOD["Canary weighted"], name="exploded")
    with pytest.raises(ApiError) as caught:
        client.replace(with_status(live, {"phase": "Exploded"}))
    (words,) = [words for path, words in causes(caught.value) if path == "status.phase"]
    assert words.startswith('Unsupported value: "Exploded": supported values: "", ')


def test_the_user_may_apply_the_spec_again_after_the_controller_wrote_the_status(client):
    manifest = changed(GOOD["Canary weighted"], "metadata.name", "applied")
    live = apply(client, manifest)
    written = client.replace(with_status(live, CanaryStatus(phase=Phase.PROGRESSING).to_dict()))
    again = apply(client, manifest)
    assert again.metadata.resourceVersion == written.metadata.resourceVersion
    edited = apply(client, changed(manifest, "spec.analysis.maxWeight", ABSENT))
    assert ("maxWeight" in edited.spec["analysis"], edited.status["phase"]) == (False, "Progressing")


def apply(client: Client, manifest: dict[str, Any]) -> Any:
    return client.patch(
        Canary,
        manifest["metadata"]["name"],
        manifest,
        namespace="prod",
        patch_type=PatchType.APPLY,
        field_manager="pulumi",
    )


def with_status(live: Any, status: dict[str, Any], **fields: Any) -> Any:
    """``live`` as one writes it to its status subresource."""
    return Canary.Status.from_dict({**live.to_dict(), **fields, "status": status})
