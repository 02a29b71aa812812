"""Resource options that every component shares: the parent, and the order made explicit.

Pulumi does not hand a component's ``depends_on`` down to the resources inside it, which would then be deleted out of
order. Every child therefore carries the dependencies of its component itself.
"""

from __future__ import annotations

import pulumi


def child_options(
    component: pulumi.ComponentResource,
    opts: pulumi.ResourceOptions | None,
    *after: pulumi.Resource,
) -> pulumi.ResourceOptions:
    """Options for a resource inside `component`, created after `after` and after all that the component waits for."""
    inherited = pulumi.ResourceOptions(depends_on=opts.depends_on if opts else None)
    return pulumi.ResourceOptions.merge(inherited, pulumi.ResourceOptions(parent=component, depends_on=list(after)))
