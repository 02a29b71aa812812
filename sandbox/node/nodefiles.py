"""The configuration files of the node's programs, rendered into the state folder."""

import json
from pathlib import Path
from typing import Any

from sandbox.node.instance import Instance

NODE_ADDRESS = "172.30.0.1"
NODE_NAME = "canary-sandbox"
POD_RANGE = "10.244.0.0/16"
NODE_PODS = "10.244.0.0/24"
CLUSTER_DNS = "10.96.0.10"
CONTAINERD_SOCKET = "/run/containerd.sock"


def write_node_files(instance: Instance, pause_image: str) -> None:
    """Write every configuration file of the node into `instance.state`."""
    state = instance.state
    for folder in ("cni", "log", "var-log"):
        (state / folder).mkdir(parents=True, exist_ok=True)
    (state / "containerd.toml").write_text(_containerd(state, pause_image))
    _write_json(state / "kubelet.json", _kubelet(instance))
    _write_json(state / "kube-proxy.json", _kube_proxy(instance))
    _write_json(state / "cni" / "10-bridge.conflist", _cni())


def _write_json(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2) + "\n")


def _containerd(state: Path, pause_image: str) -> str:
    """Socket and state lie under /run, which is the node's own.

    `restrict_oom_score_adj`: without CAP_SYS_RESOURCE runc cannot lower a score, and dies trying.
    """
    return f"""version = 3
root = "{state}/containerd"
state = "/run/containerd"
disabled_plugins = ["io.containerd.nri.v1.nri"]
[grpc]
  address = "{CONTAINERD_SOCKET}"
[plugins."io.containerd.internal.v1.opt"]
  path = "{state}/containerd/opt"
[plugins."io.containerd.cri.v1.images"]
  snapshotter = "overlayfs"
  [plugins."io.containerd.cri.v1.images".pinned_images]
    sandbox = "{pause_image}"
[plugins."io.containerd.cri.v1.runtime"]
  enable_unprivileged_ports = true
  restrict_oom_score_adj = true
  [plugins."io.containerd.cri.v1.runtime".cni]
    bin_dirs = ["/usr/lib/cni"]
    conf_dir = "{state}/cni"
  [plugins."io.containerd.cri.v1.runtime".containerd]
    default_runtime_name = "runc"
    [plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc.options]
        SystemdCgroup = false
"""


def _kubelet(instance: Instance) -> dict[str, Any]:
    """A kubelet that keeps to its own cgroup and evicts nothing: the machine's disk is not the sandbox's to guard."""
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": NODE_ADDRESS,
        "authentication": {"anonymous": {"enabled": False}, "x509": {"clientCAFile": str(instance.pki.ca_certificate)}},
        "authorization": {"mode": "AlwaysAllow"},
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{instance.cgroup.name}",
        "cgroupsPerQOS": True,
        "clusterDNS": [CLUSTER_DNS],
        "clusterDomain": "cluster.local",
        "containerRuntimeEndpoint": f"unix://{CONTAINERD_SOCKET}",
        "enforceNodeAllocatable": [],
        "evictionHard": {
            "memory.available": "1Mi",
            "nodefs.available": "0%",
            "nodefs.inodesFree": "0%",
            "imagefs.available": "0%",
        },
        "failCgroupV1": False,
        "failSwapOn": False,
        "imageGCHighThresholdPercent": 100,
        "imageMinimumGCAge": "240h",
        "localStorageCapacityIsolation": False,
        "maxPods": 200,
        "resolvConf": "",
        "rotateCertificates": False,
        "volumePluginDir": str(instance.state / "volume-plugins"),
    }


def _kube_proxy(instance: Instance) -> dict[str, Any]:
    """Services follow their endpoints at once; the kernel's connection table is the whole machine's and left alone."""
    return {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "iptables",
        "bindAddress": NODE_ADDRESS,
        "clientConnection": {"kubeconfig": str(instance.inner_kubeconfig)},
        "clusterCIDR": POD_RANGE,
        "conntrack": {"maxPerCore": 0, "min": 0},
        "iptables": {"minSyncPeriod": "100ms"},
    }


def _cni() -> dict[str, Any]:
    return {
        "cniVersion": "1.0.0",
        "name": "sandbox",
        "plugins": [
            {
                "type": "bridge",
                "bridge": "cni0",
                "isGateway": True,
                "hairpinMode": True,
                "ipam": {
                    "type": "host-local",
                    "dataDir": "/run/cni",
                    "ranges": [[{"subnet": NODE_PODS}]],
                    "routes": [{"dst": "0.0.0.0/0"}],
                },
            },
            {"type": "portmap", "capabilities": {"portMappings": True}},
        ],
    }
