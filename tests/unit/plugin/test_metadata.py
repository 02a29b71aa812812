"""Names, kinds and annotations of objects, and what is refused before the API server is asked."""

import re
from typing import Any

import pytest

from sandbox.plugin.errors import ApiError, CheckError, PluginError
from sandbox.plugin.metadata import (
    AUTONAMED,
    Kind,
    autoname,
    id_of,
    is_set,
    kind_of_token,
    name_of,
    new_field_manager,
    suffix,
    to_manifest,
    without_nulls,
)
from sandbox.plugin.object_checks import check_annotations, check_served
from sandbox.plugin.refusals import explain_refusal, is_about_preview_only
from sandbox.plugin.resource import Target
from sandbox.plugin.wire import UNKNOWN


@pytest.mark.parametrize(
    ("token", "kind"),
    [
        ("kubernetes:core/v1:ConfigMap", Kind("", "v1", "ConfigMap")),
        ("kubernetes:apps/v1:Deployment", Kind("apps", "v1", "Deployment")),
        ("kubernetes:rbac.authorization.k8s.io/v1:Role", Kind("rbac.authorization.k8s.io", "v1", "Role")),
        ("kubernetes:flagger.app/v1beta1:Canary", Kind("flagger.app", "v1beta1", "Canary")),
    ],
)
def test_a_type_token_names_a_kind(token: str, kind: Kind) -> None:
    assert kind_of_token(token) == kind


def test_an_object_without_a_name_gets_the_proposed_one_and_is_marked() -> None:
    named = autoname({"metadata": {"labels": {"a": "b"}}}, {}, "web-1a2b3c4d")
    assert named == {
        "metadata": {"labels": {"a": "b"}, "name": "web-1a2b3c4d", "annotations": {AUTONAMED: "true"}},
    }


def test_it_keeps_the_name_that_it_was_given_before() -> None:
    old = autoname({}, {}, "web-11111111")
    assert name_of(autoname({}, old, "web-22222222")) == "web-11111111"


def test_a_name_that_was_written_out_is_kept_and_not_adopted_later() -> None:
    written = {"metadata": {"name": "web"}}
    assert autoname(written, {}, "web-1") == written
    assert name_of(autoname({}, written, "web-1")) == "web-1"


def test_wholly_unknown_metadata_is_left_alone() -> None:
    obj: dict[str, Any] = {"metadata": UNKNOWN}
    assert autoname(obj, {}, "web-1") == obj
    assert not is_set(obj, AUTONAMED)


def test_suffixes_and_field_managers_depend_on_their_seed_alone() -> None:
    assert suffix(b"seed") == suffix(b"seed") != suffix(b"other")
    assert re.fullmatch("[a-z0-9]{8}", suffix(b"seed"))
    assert re.fullmatch("pulumi-kubernetes-[0-9a-f]{8}", new_field_manager("urn"))


def test_ids_carry_the_namespace_where_there_is_one() -> None:
    assert id_of({"metadata": {"name": "a", "namespace": "b"}}) == "b/a"
    assert id_of({"metadata": {"name": "a"}}) == "a"


def test_nulls_are_left_out_of_mappings_but_not_of_lists() -> None:
    assert without_nulls({"a": None, "b": [{"c": None}, None]}) == {"b": [{}, None]}


def test_a_crds_schema_extensions_are_spelt_as_kubernetes_does() -> None:
    crd = {"kind": "CustomResourceDefinition", "spec": {"versions": [{"x_kubernetes_validations": [{"rule": "x_y"}]}]}}
    assert to_manifest(crd)["spec"] == {"versions": [{"x-kubernetes-validations": [{"rule": "x_y"}]}]}
    assert to_manifest({"kind": "ConfigMap", "data": {"x_kubernetes_a": "1"}})["data"] == {"x_kubernetes_a": "1"}


def _target(token: str, *, autonaming_disabled: bool = False) -> Target:
    return Target("urn", token, "web", "web-1", autonaming_disabled)


@pytest.mark.parametrize(
    ("token", "obj", "complaint"),
    [
        ("kubernetes:core/v1:ConfigMapPatch", {"apiVersion": "v1", "kind": "ConfigMap"}, "is not served"),
        ("kubernetes:core/v1:ConfigMapList", {"apiVersion": "v1", "kind": "ConfigMapList"}, "is not served"),
        ("kubernetes:x/v1:Y", {"apiVersion": "x/v1"}, "kind: must be set"),
        ("kubernetes:x/v1:Y", {"apiVersion": UNKNOWN, "kind": "Y"}, "apiVersion: must be set, and known at preview"),
        (
            "kubernetes:core/v1:Pod",
            {"apiVersion": "v1", "kind": "Pod", "metadata": {"generateName": "a"}},
            "generateName",
        ),
    ],
)
def test_what_the_stand_in_cannot_serve_is_refused(token: str, obj: dict[str, Any], complaint: str) -> None:
    with pytest.raises(PluginError, match=complaint):
        check_served(_target(token), obj)


def test_a_custom_kind_may_end_in_patch() -> None:
    check_served(_target("kubernetes:x/v1:JsonPatch"), {"apiVersion": "x/v1", "kind": "JsonPatch"})


def test_names_must_be_written_out_where_the_stack_says_so() -> None:
    with pytest.raises(CheckError, match="disables autonaming"):
        check_served(
            _target("kubernetes:core/v1:Pod", autonaming_disabled=True),
            {"apiVersion": "v1", "kind": "Pod"},
        )


def test_every_bad_annotation_is_reported() -> None:
    annotations = {
        "pulumi.com/waitFor": "soon",
        "pulumi.com/timeoutSeconds": "5m",
        "pulumi.com/deletionPropagationPolicy": "now",
        "pulumi.com/skipAwait": "true",
    }
    with pytest.raises(CheckError) as caught:
        check_annotations({"metadata": {"annotations": annotations}})
    assert [(failure.path, failure.reason) for failure in caught.value.failures] == [
        ('metadata.annotations["pulumi.com/waitFor"]', "'soon' must begin with condition= or jsonpath="),
        ('metadata.annotations["pulumi.com/timeoutSeconds"]', "'5m' is not a whole number of seconds"),
        (
            'metadata.annotations["pulumi.com/deletionPropagationPolicy"]',
            "'now' must be one of foreground, background, orphan",
        ),
    ]


def test_annotations_yet_unknown_are_not_judged() -> None:
    check_annotations({"metadata": {"annotations": {"pulumi.com/waitFor": UNKNOWN}}})


DEPLOYMENT = {"kind": "Deployment", "apiVersion": "apps/v1", "metadata": {"name": "web", "namespace": "prod"}}


def _refused(code: int, reason: str, message: str, *causes: dict[str, str]) -> ApiError:
    return ApiError(
        code, {"reason": reason, "message": message, "details": {"causes": list(causes)}}, "Deployment prod/web"
    )


def test_a_conflict_names_field_owner_and_ways_out() -> None:
    cause = {"field": ".spec.replicas", "message": 'conflict with "kubectl" using apps/v1'}
    assert str(explain_refusal(_refused(409, "Conflict", "Apply failed", cause), DEPLOYMENT)) == (
        "Deployment prod/web: another field manager owns fields that the program sets:\n"
        '  .spec.replicas: conflict with "kubectl" using apps/v1\n'
        "Leave these fields out of the program, or list them in ignore_changes, or take them over with the annotation "
        'pulumi.com/patchForce: "true".'
    )


@pytest.mark.parametrize(
    ("error", "remedy"),
    [
        (_refused(404, "NotFound", 'namespaces "prod" not found'), "depends_on"),
        (_refused(404, "NoKind", "no kind"), "depends_on"),
        (_refused(422, "Invalid", "spec.selector: field is immutable"), "replace_on_changes"),
        (_refused(422, "Invalid", "spec.replicas: must be positive"), "must be positive"),
    ],
)
def test_refusals_come_with_a_remedy(error: ApiError, remedy: str) -> None:
    assert remedy in str(explain_refusal(error, DEPLOYMENT))


@pytest.mark.parametrize(
    ("error", "only_preview"),
    [
        (_refused(404, "NotFound", 'namespaces "prod" not found'), True),
        (_refused(500, "InternalError", 'failed calling webhook "a": Post "https://x": connection refused'), True),
        (_refused(400, "BadRequest", 'admission webhook "a" does not support dry run'), True),
        (_refused(400, "Forbidden", 'admission webhook "a" denied the request: no'), False),
        (_refused(422, "Invalid", "spec.replicas: must be positive"), False),
    ],
)
def test_some_refusals_of_a_dry_run_say_nothing_about_the_update(error: ApiError, only_preview: bool) -> None:
    assert is_about_preview_only(error) is only_preview
