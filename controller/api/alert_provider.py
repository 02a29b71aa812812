"""AlertProvider: a chat channel, or another webhook, that receives alerts."""

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

    type: Literal["slack", "msteams", "discord", "rocket", "gchat", "webhook"] = Field(
        description="Chat service; webhook is any server that takes a POST of JSON, and is not part of Flagger's API."
    )
    channel: str | None = Field(
        None, description="Channel to post to, of slack, discord and rocket. Defaults to general."
    )
    username: str | None = Field(
        None, description="Name to post as, of slack, discord and rocket. Defaults to flagger."
    )
    address: Url | None = Field(None, description="URL of the incoming webhook.")
    proxy: Url | None = Field(None, description="URL of the HTTP proxy to use.")
    secret_ref: SecretRef | None = Field(
        None,
        description="Secret with the key address, the URL of the incoming webhook, and for slack and webhook"
        " optionally the key token, which is sent as a bearer token.",
    )


class AlertProvider(Resource):
    """An AlertProvider names a chat channel, or another webhook, that receives alerts about Canaries."""

    api_version: Literal["flagger.app/v1beta1"] = API_VERSION
    kind: Literal["AlertProvider"] = ALERT_PROVIDER_KIND
    spec: AlertProviderSpec

    def to_dict(self) -> dict[str, Any]:
        """The manifest: the fields that were set, without the status."""
        return self.manifest(self.kind, self.spec)
