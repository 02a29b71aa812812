import json
import os
import socket
import sys
import tomllib

import pytest

from sandbox.node.cgroups import Cgroup
from sandbox.node.controlplane import free_ports, is_free
from sandbox.node.instance import Instance
from sandbox.node.nodefiles import write_node_files
from sandbox.node.processes import Process, save, saved, start_in_background
from sandbox.running import SandboxError, run_logged


@pytest.mark.parametrize("name", ["default", "e2e-1", "0"])
def test_a_sandbox_is_named_like_a_host(name, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert Instance.named(name).state == tmp_path / "canary-sandbox" / name


@pytest.mark.parametrize("name", ["../up", "Upper", "a b", "-x", "x" * 32])
def test_any_other_name_is_refused(name):
    with pytest.raises(SandboxError, match="cannot name a sandbox"):
        Instance.named(name)


def test_the_name_comes_from_the_environment(monkeypatch):
    monkeypatch.setenv("CANARY_SANDBOX", "tests")
    assert Instance.named().name == "tests"


def test_ports_are_chosen_once_and_kept(tmp_path):
    instance = Instance("test", tmp_path)
    ports = instance.ports()
    assert instance.ports() == ports
    assert len({*vars(ports).values()}) == 4


def test_a_port_that_another_program_took_since_is_replaced_and_the_others_stay(tmp_path):
    instance = Instance("test", tmp_path)
    before = instance.ports()
    with socket.create_server(("127.0.0.1", before.gateway)):
        instance.renew_ports()
    after = instance.ports()
    assert after.gateway != before.gateway
    assert vars(after) | {"gateway": before.gateway} == vars(before)


def test_free_ports_are_free_and_differ():
    ports = free_ports(5)
    assert len(set(ports)) == 5
    assert all(is_free(port) for port in ports)


def test_the_nodes_files_parse_and_stay_in_the_state_folder(tmp_path):
    instance = Instance("test", tmp_path)
    write_node_files(instance, "pause:1")
    containerd = tomllib.loads((tmp_path / "containerd.toml").read_text())
    kubelet = json.loads((tmp_path / "kubelet.json").read_text())
    assert containerd["root"] == f"{tmp_path}/containerd"
    assert containerd["plugins"]["io.containerd.cri.v1.images"]["pinned_images"] == {"sandbox": "pause:1"}
    assert kubelet["cgroupRoot"] == "/canary-sandbox-test"
    assert kubelet["volumePluginDir"].startswith(str(tmp_path))


def hierarchies(mount, *names):
    for name in names:
        (mount / name).mkdir(parents=True)
    return mount


def test_with_cgroup_v1_the_group_lies_in_every_hierarchy(tmp_path):
    group = Cgroup("sandbox", hierarchies(tmp_path, "cpu", "memory"))
    group.create()
    assert group.folders() == [tmp_path / "cpu" / "sandbox", tmp_path / "memory" / "sandbox"]
    assert (tmp_path / "memory" / "sandbox" / "node").is_dir()


def test_with_cgroup_v2_the_group_is_one_folder_with_controllers_handed_down(tmp_path):
    (tmp_path / "cgroup.controllers").write_text("cpu io memory pids\n")
    (tmp_path / "sandbox").mkdir()
    (tmp_path / "sandbox" / "cgroup.controllers").write_text("cpu memory\n")
    group = Cgroup("sandbox", tmp_path)
    group.create()
    assert group.folders() == [tmp_path / "sandbox"]
    assert (tmp_path / "cgroup.subtree_control").read_text() == "+cpu +memory +pids"
    assert (tmp_path / "sandbox" / "cgroup.subtree_control").read_text() == "+cpu +memory"


def test_a_group_goes_with_all_below_it(tmp_path):
    group = Cgroup("sandbox", hierarchies(tmp_path, "memory"))
    (tmp_path / "memory" / "sandbox" / "kubepods" / "burstable" / "pod1").mkdir(parents=True)
    assert group.remove() == []
    assert list((tmp_path / "memory").iterdir()) == []


def test_what_cannot_be_removed_is_named(tmp_path):
    group = Cgroup("sandbox", hierarchies(tmp_path, "memory"))
    (tmp_path / "memory" / "sandbox").mkdir()
    (tmp_path / "memory" / "sandbox" / "in-use").touch()
    assert group.remove(patience=0) == [tmp_path / "memory" / "sandbox"]


@pytest.mark.parametrize(
    ("stat", "used"), [("total_inactive_file 40\nrss 10\n", 60), ("rss 10\n", 100)], ids=["less cache", "no cache"]
)
def test_memory_in_use_is_counted_as_the_kubelet_counts_it(stat, used, tmp_path):
    group = Cgroup("sandbox", hierarchies(tmp_path, "memory/sandbox"))
    (tmp_path / "memory" / "sandbox" / "memory.usage_in_bytes").write_text("100\n")
    (tmp_path / "memory" / "sandbox" / "memory.stat").write_text(stat)
    assert group.memory() == used


@pytest.mark.skipif(sys.platform != "linux", reason="processes are found again through /proc")
def test_a_background_process_is_found_again_and_ended(tmp_path):
    process = start_in_background(["sleep", "60"], tmp_path / "log")
    save(tmp_path / "record", {"sleeper": process})
    assert saved(tmp_path / "record") == {"sleeper": process}
    assert process.alive
    assert process.kill()
    assert not process.alive


@pytest.mark.skipif(sys.platform != "linux", reason="processes are found again through /proc")
def test_another_process_with_the_same_id_is_not_taken_for_it():
    ours = Process.of(os.getpid())
    assert ours is not None
    assert not Process(ours.pid, ours.started + 1).alive


def test_a_failed_program_is_reported_with_the_end_of_its_log(tmp_path):
    with pytest.raises(SandboxError, match=r"status 3.*\n.*the reason"):
        run_logged([sys.executable, "-c", "print('the reason'); raise SystemExit(3)"], tmp_path / "log")
