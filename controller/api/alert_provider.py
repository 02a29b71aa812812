"""AlertProvider: a chat room that gets the messages."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import Field

from controller.api.base import Model, Url
from controller.api.canary import Resource
from controller.api.names import ALERT_PROVIDER_KIND, API_VERSION
from controller.api.references import SecretRef
from controller.api.rules import Rule, exactly_one


class AlertProviderSpec(Model):
    """Where alerts go."""

    rules: ClassVar[tuple[Rule, ...]] = (exactly_one("address", "secretRef", attributes=("address", "secret_ref")),)

    type: Literal["slack", "msteams", "discord", "rocket", "gchat"] = Field(description="Kind of the chat service.")
    channel: str | None = Field(None, description="Channel to write to.")
    username: str | None = Field(None, description="Name to write under.")
    address: Url | None = Field(None, description="Address of the incoming webhook.")
    proxy: str | None = Field(None, description="HTTP proxy on the way there.")
    secret_ref: SecretRef | None = Field(None, description="Secret with the keys address and token.")


class AlertProvider(Resource):
    """A chat room that gets the messages about Canaries."""

    api_version: Literal["flagger.app/v1beta1"] = API_VERSION
    kind: Literal["AlertProvider"] = ALERT_PROVIDER_KIND
    spec: AlertProviderSpec

    def to_dict(self) -> dict[str, Any]:
        """The object as one applies it: what was set, without status."""
        return self.manifest(self.kind, self.spec)
