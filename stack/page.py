"""The page of the rollouts: its configuration, and behind the gateway its route and who may take it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Self

from pydantic import Field, model_validator

from controller.api.base import Boolean, Model
from stack.names import ISTIO_NAMESPACE
from stack.values import NonEmpty, Text, Url, matching

PAGE_PORT = 8081
"""Of the controller's pods and its Service."""

FullHost = Annotated[
    Text,
    matching(
        r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?(\.[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?)+",
        "one host name with its domain, as in rollouts.example.com",
    ),
]
Token = Annotated[Text, matching(r"[-A-Za-z0-9_]+", "a name from A-Z, a-z, 0-9, - and _")]


class JwtConfig(Model):
    issuer: NonEmpty = Field(description="Who signs the tokens: their claim `iss`.")
    audiences: Annotated[list[NonEmpty], Field(min_length=1)] = Field(
        description="For whom they are: one of these is in their claim `aud`. An issuer may sign for anybody."
    )
    jwks_uri: Url | None = Field(None, description="Where istiod reads the keys of the issuer.")
    jwks: Text | None = Field(None, description="The public keys of the issuer themselves, a JSON Web Key Set.")
    header: Token | None = Field(None, description="The header that has the token, `Cf-Access-Jwt-Assertion` for one.")
    cookie: Token | None = Field(None, description="Or the cookie that has it.")

    @model_validator(mode="after")
    def _one_of_each(self) -> Self:
        if (self.jwks_uri is None) == (self.jwks is None):
            raise ValueError("set one of jwksUri and jwks")
        if (self.header is None) == (self.cookie is None):
            raise ValueError("set one of header and cookie")
        if self.header and self.header.lower() == "authorization":
            raise ValueError("header must not be Authorization: actions send a Kubernetes token in it, and apps theirs")
        if self.jwks is not None and not _has_public_keys(self.jwks):
            raise ValueError('jwks must be JSON with public keys, as in {"keys": [{"kty": "RSA", "n": …}]}')
        return self


class AuthConfig(Model):
    provider: NonEmpty | None = Field(
        None,
        description="Name of an external authorizer in `istio.values.istiod.meshConfig.extensionProviders`, an "
        "oauth2-proxy for example.",
    )
    jwt: JwtConfig | None = Field(None, description="A signed token of each request, which somebody in front gives.")

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if (self.provider is None) == (self.jwt is None):
            raise ValueError("set one of provider and jwt")
        return self


class PageGatewayConfig(Model):
    host: FullHost = Field(description="Its host: the Gateways of this stack that serve it lead to the page.")
    auth: AuthConfig = Field(
        description="provider or jwt, which say who may read: the page itself asks nobody, and its host is public."
    )


class PageConfig(Model):
    enabled: Boolean = Field(
        True,
        description="Serve the page on which rollouts are watched and steered, inside the cluster: `canary open` leads "
        "to it (docs/page.md).",
    )
    url: Url | None = Field(
        None,
        description="Where people open it, by a route of your own, or by that of `gateway`, from which it follows: the "
        "page answers under its name too, and alerts, the comment of a pull request and an `up` that fails lead there.",
    )
    gateway: PageGatewayConfig | None = Field(
        None, description="Put the page behind the gateway, for those who are known (docs/page.md)."
    )


def page_route(config: PageGatewayConfig, controller: str, gateways: Sequence[str]) -> Mapping[str, Any]:
    """The spec of the VirtualService that leads from the Gateways to the Service of the controller."""
    service = {"host": f"{controller}.{ISTIO_NAMESPACE}.svc.cluster.local", "port": {"number": PAGE_PORT}}
    return {"hosts": [config.host], "gateways": [*gateways], "http": [{"route": [{"destination": service}]}]}


def page_policies(config: PageGatewayConfig, pods: Mapping[str, str]) -> Mapping[str, Mapping[str, Any]]:
    """The specs of what guards that host on the pods with these labels, by kind; other hosts of theirs stay open.

    That somebody has a token is not enough: pods may know tokens of other issuers, for other hosts.
    """
    selector = {"selector": {"matchLabels": dict(pods)}}
    to_page = {"to": [{"operation": {"hosts": [config.host, f"{config.host}:*"]}}]}
    jwt = config.auth.jwt
    if jwt is None:
        custom = {"action": "CUSTOM", "provider": {"name": config.auth.provider}, "rules": [to_page]}
        return {"AuthorizationPolicy": {**selector, **custom}}
    keys = {"jwksUri": jwt.jwks_uri} if jwt.jwks_uri else {"jwks": jwt.jwks}
    where = {"fromHeaders": [{"name": jwt.header}]} if jwt.header else {"fromCookies": [jwt.cookie]}
    unknown = {"from": [{"source": {"notRequestPrincipals": [f"{jwt.issuer}/*"]}}]}
    for_others = {"when": [{"key": "request.auth.audiences", "notValues": [*jwt.audiences]}]}
    return {
        "RequestAuthentication": {
            **selector,
            "jwtRules": [{"issuer": jwt.issuer, "audiences": [*jwt.audiences], **keys, **where}],
        },
        "AuthorizationPolicy": {
            **selector,
            "action": "DENY",
            "rules": [{**unknown, **to_page}, {**to_page, **for_others}],
        },
    }


def _has_public_keys(text: str) -> bool:
    """Neither a private key nor one that both sides know belongs into a cluster's objects."""
    try:
        keys = json.loads(text)["keys"]
        return bool(keys) and not any({"d", "k"} & {*key} or "kty" not in key for key in keys)
    except (ValueError, KeyError, TypeError, AttributeError):
        return False
