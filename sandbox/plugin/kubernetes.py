"""The stand-in for the resource plugin `kubernetes`: its provider configuration, and which handler serves what."""

import importlib.metadata
import json
import os
from collections.abc import Mapping
from typing import Any

import yaml

from sandbox.plugin.cluster import Cluster
from sandbox.plugin.errors import CheckError, Failure, PluginError
from sandbox.plugin.helm import Helm
from sandbox.plugin.kubeconfig import load_connection
from sandbox.plugin.metadata import without_nulls
from sandbox.plugin.objects import ObjectHandler, ObjectSettings
from sandbox.plugin.release import ReleaseHandler, ReleaseSettings
from sandbox.plugin.resource import Handler
from sandbox.plugin.service import serve
from sandbox.plugin.wire import UNKNOWN, Properties

PACKAGE = "pulumi-kubernetes"
RELEASE = "kubernetes:helm.sh/v3:Release"
_UNSERVED_CONFIG = ("alwaysRender", "cluster", "kubeClientSettings", "renderYamlToDirectory")
_UNSERVED_TYPES = ("kubernetes:helm.sh/v4:", "kubernetes:kustomize", "kubernetes:yaml/v2:", "kubernetes:helm.sh/v2:")
_SUFFIXED = "is not served by the sandbox's stand-in plugin; the official plugin is needed"


class KubernetesPlugin:
    """Secrets in inputs come unmarked (the engine marks the same properties of the outputs again); a Secret's data is
    marked here.
    """

    name = "kubernetes"
    accepts_secrets = False

    def __init__(self) -> None:
        self._objects: ObjectHandler | None = None
        self._releases: ReleaseHandler | None = None

    def check_config(self, config: Properties) -> None:
        failures = [Failure(key, _SUFFIXED) for key in _UNSERVED_CONFIG if config.get(key)]
        if config.get("enableServerSideApply", "true") not in {True, "true", UNKNOWN}:
            failures.append(Failure("enableServerSideApply", "the stand-in applies server-side only; leave it true"))
        if failures:
            raise CheckError(*failures)

    def replaces_on(self, old: Properties, new: Properties) -> list[str]:
        return ["clusterIdentifier"] if old.get("clusterIdentifier") != new.get("clusterIdentifier") else []

    def configure(self, config: Properties) -> None:
        connection = load_connection(config.get("kubeconfig", ""), config.get("context", ""), os.environ)
        cluster = Cluster(connection)
        namespace = config.get("namespace") or connection.config.namespace
        self._objects = ObjectHandler(
            cluster,
            ObjectSettings(
                namespace=namespace,
                force=_flag(config, "enablePatchForce", "PULUMI_K8S_ENABLE_PATCH_FORCE"),
                upsert=_flag(config, "upsertExistingObjects", "PULUMI_K8S_UPSERT_EXISTING_OBJECTS"),
                delete_unreachable=_flag(config, "deleteUnreachable", "PULUMI_K8S_DELETE_UNREACHABLE"),
                skip_update_unreachable=_flag(config, "skipUpdateUnreachable", "PULUMI_K8S_SKIP_UPDATE_UNREACHABLE"),
                mutable_config_maps=_flag(config, "enableConfigMapMutable", "PULUMI_K8S_ENABLE_CONFIGMAP_MUTABLE"),
                mutable_secrets=_flag(config, "enableSecretMutable", "PULUMI_K8S_ENABLE_SECRET_MUTABLE"),
            ),
        )
        self._releases = ReleaseHandler(
            cluster,
            Helm(connection, _mapping(config.get("helmReleaseSettings"))),
            ReleaseSettings(namespace, _flag(config, "deleteUnreachable", "PULUMI_K8S_DELETE_UNREACHABLE")),
        )

    def handler(self, token: str) -> Handler:
        if token.startswith(_UNSERVED_TYPES):
            raise PluginError(f"{token} {_SUFFIXED}")
        handler = self._releases if token == RELEASE else self._objects
        if handler is None:
            raise PluginError("the plugin was not configured")
        return handler

    def invoke(self, token: str, arguments: Properties) -> Properties:
        """`yaml:decode`, by which the SDK's yaml.ConfigFile and ConfigGroup read manifests."""
        if token != "kubernetes:yaml:decode":
            raise PluginError(f"the function {token} {_SUFFIXED}")
        try:
            documents = list(yaml.safe_load_all(arguments["text"]))
        except yaml.YAMLError as error:
            raise PluginError(f"the manifest is not valid YAML: {error}") from error
        return {"result": [without_nulls(document) for document in documents if document]}


def _flag(config: Mapping[str, Any], key: str, variable: str) -> bool:
    """A boolean provider input; values come as booleans or as JSON text. The environment variable is what the SDK
    documents.
    """
    value = config.get(key, os.environ.get(variable, "false"))
    return value is True or str(value).lower() in {"true", "1", "t"}


def _mapping(value: Any) -> Mapping[str, Any]:
    decoded = json.loads(value) if isinstance(value, str) and value else value
    return decoded if isinstance(decoded, dict) else {}


def main() -> None:
    serve(KubernetesPlugin(), importlib.metadata.version(PACKAGE))


if __name__ == "__main__":
    main()
