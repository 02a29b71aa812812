"""Resource options that every component shares: the parent, the order made explicit, and the former names.

Pulumi does not hand a component's ``depends_on`` down to the resources inside it, which would then be deleted out of
order. Every child therefore carries the dependencies of its component itself.
"""

from __future__ import annotations

import pulumi

SKIP_AWAIT = {"pulumi.com/skipAwait": "true"}
"""An annotation: Pulumi does not wait for the object. For a Service it waits ten seconds, even after its Deployment."""
_FORMERLY = {"apps", "canary-controller", "canary-crds", "istio", "load-tester", "observability", "public-gateway"}
"""The components whose children had names of their own. Two that claimed one former name would be an error."""


def child_options(
    component: pulumi.ComponentResource,
    opts: pulumi.ResourceOptions | None,
    *after: pulumi.Resource,
    formerly: str | None = None,
) -> pulumi.ResourceOptions:
    """Options for a resource inside `component`, created after `after` and after all that the component waits for.

    The resource is named after the component, so that a program may have two of them. `formerly` is what it was called
    before it was: a stack that knows it by this name keeps it.
    """
    inherited = pulumi.ResourceOptions(depends_on=opts.depends_on if opts else None)
    known = formerly is not None and component.pulumi_resource_name in _FORMERLY
    aliases = [pulumi.Alias(name=formerly)] if known else None
    return pulumi.ResourceOptions.merge(
        inherited, pulumi.ResourceOptions(parent=component, depends_on=list(after), aliases=aliases)
    )
