"""AlertProvider: a chat channel that receives notifications."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import Field

from controller.api.base import Model, Url
from controller.api.canary import Resource
from controller.api.names import ALERT_PROVIDER_KIND, API_VERSION
from controller.api.references import SecretRef
from controller.api.rules import Rule, exactly_one


class AlertProviderSpec(Model):
    """The desired state of an AlertProvider."""

    rules: ClassVar[tuple[Rule, ...]] = (exactly_one("address", "secretRef", attributes=("address", "secret_ref")),)

    type: Literal["slack", "msteams", "discord", "rocket", "gchat"] = Field(description="Chat service.")
    channel: str | None = Field(None, description="Channel to post to.")
    username: str | None = Field(None, description="Name to post as.")
    address: Url | None = Field(None, description="URL of the incoming webhook.")
    proxy: str | None = Field(None, description="URL of the HTTP proxy to use.")
    secret_ref: SecretRef | None = Field(None, description="Secret that holds the keys address and token.")


class AlertProvider(Resource):
    """A chat channel that receives notifications about Canaries."""

    api_version: Literal["flagger.app/v1beta1"] = API_VERSION
    kind: Literal["AlertProvider"] = ALERT_PROVIDER_KIND
    spec: AlertProviderSpec

    def to_dict(self) -> dict[str, Any]:
        """The manifest: the fields that were set, without the status."""
        return self.manifest(self.kind, self.spec)
