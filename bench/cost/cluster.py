"""An API server without nodes: who is measured logs in under a name of its own, by which its requests are counted."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from controller.core.model import Manifest
from controller.shell.kubernetes.access import find_access
from controller.shell.kubernetes.client import KubeClient
from controller.shell.kubernetes.errors import Transient
from controller.shell.kubernetes.kinds import Kind
from sandbox.node.apiserver import ApiServer

NAME = "cost-bench"
"""Of the namespace and the flow schema of the service account."""
CONNECTIONS = 30
WATCH_SECONDS = 24 * 3600
LINE_BYTES = 1 << 22


@dataclass(frozen=True)
class Cluster:
    """The API server, as its administrator sees it.

    Attributes:
        session, url: logs in as the administrator, whose requests are not counted.
        kube: the same, for objects.
        kubeconfig: logs in as the service account, whose requests are.
    """

    session: aiohttp.ClientSession
    url: str
    kube: KubeClient
    kubeconfig: Path

    async def post(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Create an object of a kind that the controller does not know."""
        async with self.session.post(self.url + path, json=body) as response:
            answer: dict[str, Any] = await response.json()
            if response.status != 201:
                raise RuntimeError(f"POST {path}: {response.status} {answer.get('message')}")
            return answer

    async def requests(self) -> int:
        """How many requests the service account has sent so far; a watch is one."""
        async with self.session.get(self.url + "/metrics") as response:
            text = await response.text()
        counted = rf'^apiserver_flowcontrol_dispatched_requests_total{{flow_schema="{NAME}",.*}} (\S+)$'
        return int(sum(float(value) for value in re.findall(counted, text, re.MULTILINE)))

    async def watch(self, kind: Kind, namespace: str) -> AsyncIterator[Manifest]:
        """Every object of a kind, as it is now and then whenever it changes, without end."""
        path, timeout = self.url + kind.path(namespace), aiohttp.ClientTimeout(total=None)
        while True:
            listing = await self.kube.list(kind, namespace)
            for item in listing.items:
                yield item
            query = {"watch": "1", "resourceVersion": listing.version, "timeoutSeconds": str(WATCH_SECONDS)}
            async with self.session.get(path, params=query, timeout=timeout, read_bufsize=LINE_BYTES) as response:
                async for line in response.content:
                    event = json.loads(line)
                    if event.get("type", "ERROR") == "ERROR":  # too old, or refused: it has only begun to watch
                        break
                    yield event["object"]


async def patiently(send: Callable[[], Awaitable[object]]) -> None:
    """Send a request until it is answered: an API server that is busy fails no measurement."""
    while True:
        try:
            await send()
        except Transient:
            await asyncio.sleep(1)
        else:
            return


@asynccontextmanager
async def open_cluster(server: ApiServer, folder: Path) -> AsyncIterator[Cluster]:
    """A session as administrator, and in ``folder`` the kubeconfig of a service account that may do everything."""
    access = find_access({"KUBECONFIG": str(server.kubeconfig)})
    async with access.open_session(connections=CONNECTIONS) as session:
        kube = KubeClient(session, access.server, lambda _verb, _kind: None, field_manager=NAME)
        cluster = Cluster(session, access.server, kube, folder / "kubeconfig")
        token = await _create_account(cluster)
        config = json.loads(server.kubeconfig.read_text())
        config["users"][0]["user"] = {"token": token}
        cluster.kubeconfig.write_text(json.dumps(config))
        yield cluster


async def _create_account(cluster: Cluster) -> str:
    """A service account, and its token; its requests have a flow schema of their own, so they are counted apart."""
    metadata = {"name": NAME}
    subject = {"kind": "ServiceAccount", "name": NAME, "namespace": NAME}
    await cluster.post("/api/v1/namespaces", {"metadata": metadata})
    accounts = f"/api/v1/namespaces/{NAME}/serviceaccounts"
    await cluster.post(accounts, {"metadata": metadata})
    rbac = "rbac.authorization.k8s.io"
    role = {"apiGroup": rbac, "kind": "ClusterRole", "name": "cluster-admin"}
    await cluster.post(
        f"/apis/{rbac}/v1/clusterrolebindings", {"metadata": metadata, "roleRef": role, "subjects": [subject]}
    )
    every = {"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"], "clusterScope": True, "namespaces": ["*"]}
    account = {"kind": "ServiceAccount", "serviceAccount": {"name": NAME, "namespace": NAME}}
    rule = {
        "subjects": [account],
        "resourceRules": [every],
        "nonResourceRules": [{"verbs": ["*"], "nonResourceURLs": ["*"]}],
    }
    level = {"name": "workload-low"}  # that of service accounts by default
    spec = {"priorityLevelConfiguration": level, "matchingPrecedence": 500, "rules": [rule]}
    await cluster.post("/apis/flowcontrol.apiserver.k8s.io/v1/flowschemas", {"metadata": metadata, "spec": spec})
    answer = await cluster.post(f"{accounts}/{NAME}/token", {"spec": {"expirationSeconds": WATCH_SECONDS}})
    return str(answer["status"]["token"])
