"""The rules. Each is pure: resources in, sentences out that say what is wrong, where, and what to do."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from canary_policy.resources import Resource, entries, fields, texts


@dataclass(frozen=True, slots=True)
class ObjectRule:
    """Holds for each resource by itself. It is checked before the resource is made."""

    name: str
    description: str
    check: Callable[[Resource], Iterator[str]]


@dataclass(frozen=True, slots=True)
class StackRule:
    """Holds for the resources of a stack together. Pulumi checks it at the end of a preview or an update."""

    name: str
    description: str
    check: Callable[[Sequence[Resource]], Iterator[tuple[Resource, str]]]


@dataclass(frozen=True, slots=True)
class ChangeRule:
    """Holds for each resource of a kind beside what it was. Exceptions name what they are for, so it reads them itself.

    It is checked before the resource is changed.
    """

    name: str
    description: str
    kind: str
    check: Callable[[Resource, Resource], Iterator[str]]


Rule = ObjectRule | StackRule | ChangeRule
LOST_ROUTES = "no-lost-routes"

PLATFORM = {"canary:mesh:CanaryController", "canary:mesh:LoadTester", "canary:mesh:Observability"}
"""Components whose Deployments serve no users."""

_PASSWORD = re.compile(
    r"(password|passwd|passphrase|(api|access|private)[_-]?key|(^|[_.-])(secret|token|credentials?))$", re.IGNORECASE
)
"""Ends of names, so that TOKEN_FILE, secretName and existingSecret, which are names of something, are no secrets."""
_REFERENCE = re.compile(r"|/.*|\$[({].*", re.DOTALL)
"""Values that are none: nothing, a path, or the value of a variable."""
_CREDENTIALS = re.compile(r"://[^/\s:@]*:[^/\s@]+@|-----BEGIN [A-Z ]*PRIVATE KEY-----")
"""Credentials that are seen whatever their name: in an address, or a private key."""


def _without_canary(stack: Sequence[Resource]) -> Iterator[tuple[Resource, str]]:
    canaried = {
        (each.namespace, str(fields(each.spec.get("targetRef")).get("name")))
        for each in stack
        if each.kind == "Canary" and fields(each.spec.get("targetRef")).get("kind") == "Deployment"
    }
    served = (each for each in stack if each.kind == "Deployment" and not PLATFORM & {*each.components})
    for each in served:
        if (each.namespace, each.name) not in canaried:
            yield each, f"{each.label} has no Canary: a new version reaches all its users at once. Add one"


def _not_judged(resource: Resource) -> Iterator[str]:
    analysis = fields(resource.spec.get("analysis"))
    if _is_canary(resource) and all(fields(metric).get("dryRun") for metric in entries(analysis.get("metrics"))):
        yield (
            f"{resource.label} has no metric that decides: a version that is worse is promoted. "
            "Add one to analysis.metrics, with a threshold or with compare"
        )


def _no_alerts(resource: Resource) -> Iterator[str]:
    if _is_canary(resource) and not entries(fields(resource.spec.get("analysis")).get("alerts")):
        yield f"{resource.label} tells nobody of a rollback. Add analysis.alerts"


def _skipped_analysis(resource: Resource) -> Iterator[str]:
    if _is_canary(resource) and resource.spec.get("skipAnalysis"):
        yield f"{resource.label} promotes new versions without an analysis. Remove skipAnalysis"


def _image_by_tag(resource: Resource) -> Iterator[str]:
    for container in resource.containers:
        image = str(container.get("image") or "")
        if image and not re.search(r"@sha256:[0-9a-f]{64}$", image):
            yield f"{_container(resource, container)} has the image {image}, which may be moved. Name its digest"


def _memory_without_limit(resource: Resource) -> Iterator[str]:
    for container in resource.containers:
        if not fields(fields(container.get("resources")).get("limits")).get("memory"):
            yield f"{_container(resource, container)} may use all memory of its node. Set resources.limits.memory"


def _plain_secret(resource: Resource) -> Iterator[str]:
    if not resource.kind or resource.kind == "Secret":
        return
    found = [key for key, text in texts(resource.props) if _is_secret(key, text)]
    for key in dict.fromkeys(found):
        yield f"{resource.label} has a secret in plain text, in {key}. Put it into a Secret and refer to that"


def _is_secret(key: str, text: str) -> bool:
    if _CREDENTIALS.search(text):
        return True
    return _PASSWORD.search(key) is not None and not _REFERENCE.fullmatch(text)


def _lost_routes(before: Resource, after: Resource) -> Iterator[str]:
    """Ways on which users came to an app, and will not any more; none where its spec is not known yet."""
    if not before.spec or not after.spec:
        return
    had, has = (fields(each.spec.get("service")) for each in (before, after))
    lost = [each for each in entries(had.get("hosts")) if each not in entries(has.get("hosts"))]
    lost += [each for each in _gateways(had) if each not in _gateways(has)]
    matched = entries(has.get("match"))
    if matched and any(each not in matched for each in entries(had.get("match")) or ({},)):
        lost.append("match")
    explained = after.exception(LOST_ROUTES).splitlines()
    for each in lost:
        if not any(line.startswith(f"{each}: ") for line in explained):
            what = "requests, of which service.match says nothing any more" if each == "match" else each
            yield f"{after.label} loses {what}. Say why in lostRoutes: {{{each}: ...}}"


def _gateways(service: Any) -> Sequence[Any]:
    return entries(service.get("gateways")) or ("mesh",)


def _is_canary(resource: Resource) -> bool:
    return resource.kind == "Canary"


def _container(resource: Resource, container: Any) -> str:
    return f"{resource.label}: container {container.get('name')}"


RULES: Sequence[Rule] = (
    StackRule(
        "every-deployment-has-a-canary", "New versions reach users step by step, not all at once.", _without_canary
    ),
    ObjectRule("every-canary-is-judged", "A canary is measured: by a threshold or beside the primary.", _not_judged),
    ObjectRule("alerts-are-sent", "Somebody is told when a canary is rolled back.", _no_alerts),
    ObjectRule("no-skipped-analysis", "No version is promoted without an analysis.", _skipped_analysis),
    ObjectRule("images-by-digest", "What was tested is what runs: a tag may be moved, a digest not.", _image_by_tag),
    ObjectRule("memory-is-limited", "No container takes the memory of others.", _memory_without_limit),
    ChangeRule(LOST_ROUTES, "Users of an app do not lose their way to it by mistake.", "Canary", _lost_routes),
    ObjectRule("no-plain-secrets", "Secrets are in Secrets, not in what many may read.", _plain_secret),
)
