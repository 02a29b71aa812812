"""``/metrics`` and ``/healthz``."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web
from prometheus_client import generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from controller.shell.kubernetes.errors import StartError
from controller.shell.reconciler.tasks import CanaryTasks
from controller.shell.reporting.metrics import Metrics


@asynccontextmanager
async def serve(metrics: Metrics, tasks: CanaryTasks, port: int) -> AsyncIterator[int]:
    """Serve on all addresses until the block ends; yields the port, which the system chooses for 0.

    Raises:
        StartError: the port is taken.
    """

    async def show_metrics(_: web.Request) -> web.Response:
        metrics.set_totals(tasks.counts())
        return web.Response(body=generate_latest(metrics.registry), headers={"Content-Type": CONTENT_TYPE_LATEST})

    async def healthz(_: web.Request) -> web.Response:
        problem = health_problem(tasks)
        return web.Response(text=(problem or "OK") + "\n", status=500 if problem else 200)

    application = web.Application()
    application.add_routes([web.get("/metrics", show_metrics), web.get("/healthz", healthz)])
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    try:
        listener = listen(port, "/metrics and /healthz")
        await web.SockSite(runner, listener).start()
        yield int(listener.getsockname()[1])
    finally:
        await runner.cleanup()


def listen(port: int, what: str) -> socket.socket:
    """All addresses, of IPv6 too where there is any, on one port.

    Raises:
        StartError: the port is taken; it says for ``what`` it was wanted.
    """
    try:
        if socket.has_dualstack_ipv6():
            return socket.create_server(("", port), family=socket.AF_INET6, dualstack_ipv6=True)
        return socket.create_server(("", port))
    except OSError as error:
        raise StartError(f"Port {port} for {what} cannot be used: {error.strerror}") from error


def health_problem(tasks: CanaryTasks) -> str:
    """Why the process should be restarted; empty if it should not.

    A cluster that does not answer is no reason: a restart would not bring it back.
    """
    overdue = tasks.overdue(asyncio.get_running_loop().time())
    return f"not reconciled for too long: {', '.join(overdue[:10])}" if overdue else ""
