"""What can be refused about a Kubernetes object's inputs before the API server is asked; pure."""

from collections.abc import Mapping
from typing import Any

from sandbox.plugin.errors import CheckError, Failure, PluginError
from sandbox.plugin.metadata import DELETION_PROPAGATION, TIMEOUT_SECONDS, WAIT_FOR, annotations_of, name_of
from sandbox.plugin.resource import Target
from sandbox.plugin.wait_for import parse_wait_for
from sandbox.plugin.wire import UNKNOWN

_POLICIES = ("foreground", "background", "orphan")


def check_served(target: Target, obj: Mapping[str, Any]) -> None:
    """Raises PluginError for resource types the stand-in lacks, CheckError for objects without kind or that it cannot
    name.
    """
    kind = target.type.rpartition(":")[2]
    if kind.endswith(("Patch", "List")) and (kind.endswith("List") or obj.get("kind") != kind):
        raise PluginError(
            f"{target.type} is not served by the sandbox's stand-in plugin; the official plugin is needed"
        )
    for key in ("apiVersion", "kind"):
        if not isinstance(obj.get(key), str) or obj[key] == UNKNOWN:
            raise CheckError(Failure(key, "must be set, and known at preview"))
    metadata = obj.get("metadata")
    if isinstance(metadata, dict) and "generateName" in metadata:
        raise CheckError(Failure("metadata.generateName", "is not served by the stand-in; leave the name out instead"))
    if target.autonaming_disabled and not name_of(obj):
        raise CheckError(Failure("metadata.name", "must be set, since the stack's configuration disables autonaming"))


def check_annotations(obj: Mapping[str, Any]) -> None:
    """Raises CheckError with every `pulumi.com/` annotation whose value means nothing."""
    checks = {WAIT_FOR: _wrong_wait_for, TIMEOUT_SECONDS: _wrong_timeout, DELETION_PROPAGATION: _wrong_policy}
    given = {key: value for key, value in annotations_of(obj).items() if key in checks and value != UNKNOWN}
    wrong = {key: reason for key, value in given.items() if (reason := checks[key](value))}
    if wrong:
        raise CheckError(*(Failure(f'metadata.annotations["{key}"]', reason) for key, reason in wrong.items()))


def _wrong_wait_for(value: str) -> str | None:
    try:
        parse_wait_for(value)
    except ValueError as error:
        return str(error)
    return None


def _wrong_timeout(value: str) -> str | None:
    return None if value.isdigit() else f"{value!r} is not a whole number of seconds"


def _wrong_policy(value: str) -> str | None:
    return None if value.lower() in _POLICIES else f"{value!r} must be one of {', '.join(_POLICIES)}"
