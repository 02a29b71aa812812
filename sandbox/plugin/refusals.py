"""What a refusal of the API server means to the person who reads it; pure."""

import re
from collections.abc import Mapping
from typing import Any

from sandbox.plugin.errors import ApiError, PluginError
from sandbox.plugin.metadata import PATCH_FORCE, describe

_WEBHOOK_DOWN = re.compile(
    r"failed calling webhook .*(no endpoints available|connection refused|context deadline exceeded|i/o timeout"
    r"|no route to host|EOF|not found|x509)",
    re.DOTALL,
)


def is_webhook_not_reached(error: ApiError) -> bool:
    """The webhook's server did not answer, as opposed to answering no."""
    return bool(_WEBHOOK_DOWN.search(error.text))


def is_not_served_yet(error: ApiError) -> bool:
    """The kind is unknown, which for a moment is so even after its CRD is Established."""
    return error.reason == "NoKind" or (error.code == 404 and "could not find the requested resource" in error.text)


def is_about_preview_only(error: ApiError) -> bool:
    """The dry run failed for want of something that the update may bring: a namespace, a webhook's server, its
    support for dry runs.
    """
    missing_namespace = error.code == 404 and re.search(r"namespaces? \"[^\"]*\" not found", error.text) is not None
    return missing_namespace or is_webhook_not_reached(error) or "does not support dry run" in error.text


def explain_refusal(error: ApiError, obj: Mapping[str, Any]) -> PluginError:
    """The error with what to do about it, for the refusals that have a usual remedy."""
    if error.reason == "Conflict" and error.causes:
        owners = "\n".join(f"  {cause.get('field')}: {cause.get('message')}" for cause in error.causes)
        return PluginError(
            f"{describe(obj)}: another field manager owns fields that the program sets:\n{owners}\n"
            "Leave these fields out of the program, or list them in ignore_changes, or take them over with the "
            f'annotation {PATCH_FORCE}: "true".'
        )
    if error.reason == "NoKind":
        return PluginError(
            f"{describe(obj)}: the API server serves no such kind ({obj.get('apiVersion')}). "
            "Check apiVersion and kind; a custom resource must depend (depends_on) on the resource that brings its CRD."
        )
    if error.code == 404 and is_about_preview_only(error):
        return PluginError(f"{error}. The object must depend (depends_on) on the resource that makes its namespace.")
    if error.reason == "Invalid" and "immutable" in error.text:
        return PluginError(f"{error}\nTo replace the object, name the field in the resource option replace_on_changes.")
    return error
