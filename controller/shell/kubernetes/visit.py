"""A few questions to a cluster, of a person's command or of the program."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from typing import TypeVar

from controller.shell.kubernetes.access import find_access
from controller.shell.kubernetes.client import KubeClient

T = TypeVar("T")


async def with_cluster(context: str, ask: Callable[[KubeClient], Awaitable[T]], kubeconfig: str = "") -> T:
    """What ``ask`` returns for a cluster.

    Args:
        context: of the kubeconfig; its current one if empty.
        ask: gets a client that works until it returns.
        kubeconfig: path of a file; where the environment says if empty.

    Raises:
        StartError: there is no way into the cluster.
    """
    access = find_access({**os.environ, "KUBECONFIG": kubeconfig} if kubeconfig else None, context)
    async with access.open_session() as session:
        return await ask(KubeClient(session, access.server, lambda _verb, _kind: None, "canary-cli"))
