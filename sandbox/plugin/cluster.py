"""The Kubernetes API over HTTP: discovery, get, list, server-side apply, delete. One client serves all threads."""

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx2
from lightkube.config.client_adapter import Client, ConnectionParams

from sandbox.plugin.errors import ApiError, UnreachableError
from sandbox.plugin.kubeconfig import Connection
from sandbox.plugin.metadata import Kind, describe, kind_of, name_of, namespace_of

REQUEST_SECONDS = 40.0  # longer than the 30 s that an admission webhook may take
CONNECT_SECONDS = 5.0

Object = dict[str, Any]


@dataclass(frozen=True)
class ResourceType:
    plural: str
    namespaced: bool


class Cluster:
    """Raises UnreachableError when there is no answer, ApiError when the answer is a refusal."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        timeout = httpx2.Timeout(REQUEST_SECONDS, connect=CONNECT_SECONDS)
        self._http = Client(connection.config, ConnectionParams(timeout=timeout, trust_env=False))
        self._types: dict[tuple[str, str], dict[str, ResourceType]] = {}
        self._lock = threading.Lock()

    def resource_type(self, kind: Kind) -> ResourceType | None:
        """What the API server calls this kind, or None as long as it does not serve it (a CRD may yet come)."""
        with self._lock:
            known = self._types.get((kind.group, kind.version), {})
        if kind.name in known:
            return known[kind.name]
        prefix = f"/apis/{kind.group}" if kind.group else "/api"
        try:
            answer = self._request("GET", f"{prefix}/{kind.version}", subject=f"discovery of {kind.api_version}")
        except ApiError as error:
            if error.code == httpx2.codes.NOT_FOUND:
                return None
            raise
        types = {
            item["kind"]: ResourceType(item["name"], item["namespaced"])
            for item in answer["resources"]
            if "/" not in item["name"]
        }
        with self._lock:
            self._types[kind.group, kind.version] = types
        return types.get(kind.name)

    def get(self, kind: Kind, namespace: str, name: str) -> Object | None:
        """The live object, or None where it, or its kind, does not exist."""
        path = self._path(kind, namespace, name)
        if path is None:
            return None
        try:
            return self._request("GET", path, subject=f"reading {kind.name} {namespace}/{name}")
        except ApiError as error:
            if error.code == httpx2.codes.NOT_FOUND:
                return None
            raise

    def list(self, kind: Kind, namespace: str, label_selector: str) -> list[Object]:
        path = self._path(kind, namespace, "")
        if path is None:
            return []
        answer = self._request(
            "GET", path, params={"labelSelector": label_selector}, subject=f"listing {kind.name} in {namespace}"
        )
        items: list[Object] = answer["items"]
        return items

    def apply(self, obj: Object, *, manager: str, force: bool, dry_run: bool) -> Object:
        """Server-side apply, with unknown fields refused. Returns the object as the server has (or would have) it."""
        kind = kind_of(obj)
        path = self._path(kind, namespace_of(obj), name_of(obj))
        if path is None:
            raise ApiError(httpx2.codes.NOT_FOUND, {"reason": "NoKind", "message": f"no kind {kind}"}, describe(obj))
        params = {"fieldManager": manager, "force": str(force).lower(), "fieldValidation": "Strict"}
        if dry_run:
            params["dryRun"] = "All"
        headers = {"content-type": "application/apply-patch+yaml"}
        return self._request("PATCH", path, params=params, headers=headers, body=obj, subject=describe(obj))

    def delete(self, kind: Kind, namespace: str, name: str, *, propagation: str) -> None:
        """Ask for deletion; an object that is gone already is no error."""
        path = self._path(kind, namespace, name)
        if path is None:
            return
        body = {"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": propagation}
        headers = {"content-type": "application/json"}
        try:
            self._request(
                "DELETE", path, headers=headers, body=body, subject=f"deleting {kind.name} {namespace}/{name}"
            )
        except ApiError as error:
            if error.code != httpx2.codes.NOT_FOUND:
                raise

    def close(self) -> None:
        self._http.close()

    def _path(self, kind: Kind, namespace: str, name: str) -> str | None:
        resource = self.resource_type(kind)
        if resource is None:
            return None
        prefix = f"/apis/{kind.group}/{kind.version}" if kind.group else f"/api/{kind.version}"
        scope = f"/namespaces/{namespace}" if resource.namespaced else ""
        return f"{prefix}{scope}/{resource.plural}" + (f"/{name}" if name else "")

    def _request(
        self,
        method: str,
        path: str,
        *,
        subject: str,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        body: Object | None = None,
    ) -> Object:
        try:
            response = self._http.request(method, path, params=params, headers=headers, json=body)
        except (httpx2.TransportError, OSError) as error:
            raise UnreachableError(
                f"{subject}: the API server at {self.connection} does not answer: {error}. "
                "Is the cluster running, and is this the right kubeconfig?"
            ) from error
        if response.is_success:
            answer: Object = response.json()
            return answer
        raise ApiError(response.status_code, _status_of(response), subject)


def _status_of(response: httpx2.Response) -> Mapping[str, Any]:
    try:
        status = response.json()
    except ValueError:
        status = {"message": f"HTTP {response.status_code}: {response.text[:500]}"}
    return status if isinstance(status, dict) else {"message": str(status)}
