"""Where the cluster is and how to log in: the pod's service account, or the user's kubeconfig."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import ssl
import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import aiohttp
import yaml

from controller.shell.fence import MayWrite, always, fenced
from controller.shell.kubernetes.errors import StartError

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
TOKEN_SECONDS = 60
"""How long a token that came from a file is used before the file is read again; the kubelet renews it well ahead."""
PLUGIN_SECONDS, PLUGIN_PAUSE_SECONDS = 60, 5
"""How long a credential plugin may run, and how long after a failure it is run again."""

Authorization = Callable[[bool], Awaitable[str]]
"""Gives the ``Authorization`` header, empty where none is needed; True asks for a new one, after a 401."""


@dataclass(frozen=True)
class Access:
    """A way into one cluster.

    Attributes:
        server: the API server's URL.
        tls: certificates; None for plain http.
        authorization: gives the header that each request needs.
        proxy: URL of an HTTP proxy, or None.
    """

    server: str
    tls: ssl.SSLContext | None
    authorization: Authorization
    proxy: str | None = None

    def open_session(
        self, *middlewares: aiohttp.ClientMiddlewareType, connections: int = 0, may_write: MayWrite = always
    ) -> aiohttp.ClientSession:
        """A new HTTP session that logs in by itself and follows the rotation of tokens.

        Credentials that cannot be had fail a request as a broken connection does: trying again later may work.

        Args:
            middlewares: run before the log-in.
            connections: how many are open at once; 0 for no limit.
            may_write: see `fenced`.
        """

        async def log_in(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
            header = await self._header(fresh=False)
            if not header:
                return await handler(request)
            request.headers["Authorization"] = header
            response = await handler(request)
            if response.status == 401:
                response.release()
                request.headers["Authorization"] = await self._header(fresh=True)
                response = await handler(request)
            return response

        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=self.tls or True, limit=connections),
            headers={"User-Agent": "canary-controller"},
            middlewares=(*middlewares, log_in),
            proxy=self.proxy,
            request_class=fenced(may_write),
            response_class=_Response,
        )

    async def _header(self, *, fresh: bool) -> str:
        try:
            return await self.authorization(fresh)
        except Exception as error:
            raise aiohttp.ClientConnectionError(f"logging in failed: {error or type(error).__name__}") from error


class _Response(aiohttp.ClientResponse):
    """An empty list of metadata has ``items: null``; whoever reads it, kopf too, gets an empty list."""

    async def json(self, **options: Any) -> Any:
        body = await super().json(**options)
        return {**body, "items": []} if isinstance(body, dict) and body.get("items", ()) is None else body


def find_access(environment: Mapping[str, str] | None = None, context: str = "") -> Access:
    """The pod's service account where there is one, else the kubeconfig.

    Args:
        environment: where ``KUBERNETES_SERVICE_HOST``, ``KUBECONFIG`` and ``HOME`` are looked up; ``os.environ``.
        context: the kubeconfig's context; its current one if empty.

    Raises:
        StartError: neither is there, or what is there cannot be used.
    """
    environment = os.environ if environment is None else environment
    if not context and "KUBECONFIG" not in environment and (SERVICE_ACCOUNT / "token").exists():
        return _in_cluster(environment)
    return _from_kubeconfig(environment, context)


def _in_cluster(environment: Mapping[str, str]) -> Access:
    host, port = environment.get("KUBERNETES_SERVICE_HOST"), environment.get("KUBERNETES_SERVICE_PORT", "443")
    if not host:
        raise StartError(
            f"{SERVICE_ACCOUNT}/token exists, KUBERNETES_SERVICE_HOST is not set: run inside a pod, or set KUBECONFIG."
        )
    server = f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"
    tls = ssl.create_default_context(cafile=str(SERVICE_ACCOUNT / "ca.crt"))
    return Access(server, tls, _token_file(SERVICE_ACCOUNT / "token"))


def _from_kubeconfig(environment: Mapping[str, str], context: str) -> Access:
    named = environment.get("KUBECONFIG", "")
    paths = [Path(each) for each in named.split(os.pathsep) if each] or [
        Path(environment.get("HOME", "/")) / ".kube" / "config"
    ]
    config = _Kubeconfig(paths)
    name = context or config.current_context
    chosen = config.entry("context", name)
    cluster = config.entry("cluster", str(chosen.get("cluster", "")))
    user = config.entry("user", str(chosen.get("user", "")))
    server = str(cluster.get("server", "")).rstrip("/")
    if not server:
        raise StartError(f"{config.where}: the cluster of context {name!r} names no server.")
    tls = _tls(config, cluster, user) if server.startswith("https") else None
    return Access(server, tls, _authorization(config, user), cluster.get("proxy-url"))


class _Kubeconfig:
    """The merged files; for each name the first file that has it wins, as in kubectl."""

    def __init__(self, paths: list[Path]) -> None:
        self.where = os.pathsep.join(map(str, paths))
        self.current_context = ""
        self._entries: dict[tuple[str, str], Mapping[str, Any]] = {}
        found = [path for path in paths if path.is_file()]
        if not found:
            raise StartError(
                f"No cluster: {self.where} does not exist, and this is not a pod. "
                "Set KUBECONFIG to the path of a kubeconfig."
            )
        for path in found:
            self._merge(path)

    def _merge(self, path: Path) -> None:
        try:
            config = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
        except (OSError, yaml.YAMLError) as error:
            raise StartError(f"{path} cannot be read as a kubeconfig: {error}") from error
        if not isinstance(config, dict):
            raise StartError(f"{path} cannot be read as a kubeconfig: it holds no mapping.")
        self.current_context = self.current_context or str(config.get("current-context") or "")
        for sort in ("context", "cluster", "user"):
            for item in config.get(f"{sort}s") or ():
                body = {**(item.get(sort) or {}), "_folder": path.parent}
                self._entries.setdefault((sort, str(item.get("name"))), body)

    def entry(self, sort: str, name: str) -> Mapping[str, Any]:
        if not name:
            raise StartError(f"{self.where}: no {sort} is chosen. `kubectl config use-context NAME` chooses one.")
        if (sort, name) not in self._entries:
            known = ", ".join(sorted(each for kind, each in self._entries if kind == sort)) or "none"
            raise StartError(f"{self.where}: there is no {sort} {name!r}; there are: {known}.")
        return self._entries[sort, name]

    @staticmethod
    def content(body: Mapping[str, Any], field: str) -> str | None:
        """PEM text of ``field``, given inline (``FIELD-data``, base64) or as a path, relative to its kubeconfig."""
        if body.get(f"{field}-data"):
            return base64.b64decode(str(body[f"{field}-data"])).decode()
        if not body.get(field):
            return None
        path = Path(body["_folder"]) / str(body[field])
        try:
            return path.read_text(encoding="utf-8")
        except OSError as error:
            raise StartError(f"The kubeconfig's {field} cannot be read: {error}") from error


def _tls(config: _Kubeconfig, cluster: Mapping[str, Any], user: Mapping[str, Any]) -> ssl.SSLContext:
    try:
        tls = ssl.create_default_context(cadata=config.content(cluster, "certificate-authority"))
        certificate, key = config.content(user, "client-certificate"), config.content(user, "client-key")
        if certificate and key:
            with tempfile.NamedTemporaryFile("w", suffix=".pem") as both:  # ssl loads from files only
                both.write(certificate + "\n" + key)
                both.flush()
                tls.load_cert_chain(both.name)
    except (ssl.SSLError, ValueError) as error:
        raise StartError(f"{config.where}: a certificate cannot be used: {error}") from error
    if cluster.get("insecure-skip-tls-verify"):
        tls.check_hostname = False
        tls.verify_mode = ssl.CERT_NONE
    return tls


def _authorization(config: _Kubeconfig, user: Mapping[str, Any]) -> Authorization:
    if user.get("exec"):
        return _exec_plugin(user["exec"])
    if user.get("tokenFile"):
        return _token_file(Path(user["_folder"]) / user["tokenFile"])
    if user.get("token"):
        return _constant(f"Bearer {user['token']}")
    if user.get("username"):
        return _constant(aiohttp.encode_basic_auth(str(user["username"]), str(user.get("password", ""))))
    if user.get("auth-provider"):
        raise StartError(f"{config.where}: `auth-provider` was removed from Kubernetes in 1.26; use an `exec` plugin.")
    return _constant("")


def _constant(header: str) -> Authorization:
    async def authorization(_fresh: bool) -> str:
        return header

    return authorization


def _token_file(path: Path) -> Authorization:
    header, read_at = "", float("-inf")

    async def authorization(fresh: bool) -> str:
        nonlocal header, read_at
        if fresh or time.monotonic() - read_at > TOKEN_SECONDS:
            token = await asyncio.to_thread(path.read_text, encoding="utf-8")
            header, read_at = f"Bearer {token.strip()}", time.monotonic()
        return header

    return authorization


def _exec_plugin(plugin: Mapping[str, Any]) -> Authorization:
    """Run a client-go credential plugin, once at a time; its token is kept until it expires or is refused.

    A failure is kept for `PLUGIN_PAUSE_SECONDS`: every request asks.
    """
    header, expires_at, running = "", float("-inf"), asyncio.Lock()
    failure, failed_at = StartError(""), float("-inf")

    async def authorization(fresh: bool) -> str:
        nonlocal header, expires_at, failure, failed_at
        refused = header if fresh else ""
        async with running:
            if header != refused and time.time() <= expires_at - 10:
                return header
            if time.monotonic() < failed_at + PLUGIN_PAUSE_SECONDS:
                raise failure
            try:
                credential = await _run_plugin(plugin)
            except StartError as error:
                failure, failed_at = error, time.monotonic()
                raise
            header = f"Bearer {credential['token']}"
            expiry = credential.get("expirationTimestamp")
            expires_at = datetime.fromisoformat(expiry).timestamp() if expiry else float("inf")
            return header

    return authorization


async def _run_plugin(plugin: Mapping[str, Any]) -> Mapping[str, Any]:
    request = {"apiVersion": plugin.get("apiVersion"), "kind": "ExecCredential", "spec": {"interactive": False}}
    extra = {str(each["name"]): str(each["value"]) for each in plugin.get("env") or ()}
    command = [str(plugin.get("command")), *map(str, plugin.get("args") or ())]
    try:
        process = await asyncio.create_subprocess_exec(
            *command,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={**os.environ, **extra, "KUBERNETES_EXEC_INFO": json.dumps(request)},
        )
    except OSError as error:
        raise StartError(f"The kubeconfig's credential plugin `{command[0]}` cannot be run: {error}") from error
    try:
        async with asyncio.timeout(PLUGIN_SECONDS):
            answer, complaint = await process.communicate()
    except TimeoutError:
        process.kill()
        await process.wait()
        raise StartError(
            f"The kubeconfig's credential plugin `{command[0]}` did not end within {PLUGIN_SECONDS}s"
        ) from None
    if process.returncode:
        problem = complaint.decode(errors="replace").strip()[:300]
        raise StartError(f"The kubeconfig's credential plugin `{command[0]}` failed: {problem}")
    try:
        status: Mapping[str, Any] = json.loads(answer)["status"]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise StartError(f"The kubeconfig's credential plugin `{command[0]}` gave no ExecCredential") from None
    if not isinstance(status, dict) or not status.get("token"):
        raise StartError(
            f"The kubeconfig's credential plugin `{command[0]}` gave no token; client certificates are not supported."
        )
    return status
