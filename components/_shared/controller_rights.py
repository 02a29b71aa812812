"""What the controller may do, and where."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from components._shared.rbac import EVERYWHERE, Rule
from controller.api.names import ALERT_PROVIDER_PLURAL, CANARY_PLURAL, GROUP, LEASE_NAME, METRIC_TEMPLATE_PLURAL
from stack.controller import ControllerConfig
from stack.names import ISTIO_NAMESPACE

_READ = ("get", "list", "watch")
_OWN = (*_READ, "create", "update", "delete")

RULES: Sequence[Rule] = (
    Rule(GROUP, [METRIC_TEMPLATE_PLURAL, ALERT_PROVIDER_PLURAL], _READ),
    Rule(GROUP, [CANARY_PLURAL], [*_READ, "patch"]),  # the finalizer of revertOnDeletion comes and goes by a patch
    Rule(GROUP, [f"{CANARY_PLURAL}/status"], ["update"]),
    # To own an object with blockOwnerDeletion, where the cluster enforces that owners permit it.
    Rule(GROUP, [f"{CANARY_PLURAL}/finalizers"], ["update"]),
    # The primary is created, promoted, and deleted with its Canary's target; the target is only scaled, a patch.
    Rule("apps", ["deployments", "daemonsets"], [*_OWN, "patch"]),
    Rule("", ["services", "configmaps", "secrets"], _OWN),
    Rule("autoscaling", ["horizontalpodautoscalers"], _OWN),
    # The target's is paused by a patch; where KEDA is not installed this grants nothing.
    Rule("keda.sh", ["scaledobjects"], [*_OWN, "patch"]),
    Rule("networking.istio.io", ["virtualservices", "destinationrules"], _OWN),
    Rule("", ["events"], ["create", "patch"]),
    Rule("", ["pods"], ["list"]),  # they say why they are not ready, and are read only then
)
"""What the controller needs wherever there are canaries."""

_ELECTION: Sequence[Rule] = (
    Rule("coordination.k8s.io", ["leases"], ["create"]),  # of no name: the API server does not know it by then
    Rule("coordination.k8s.io", ["leases"], ["get", "update"], names=[LEASE_NAME]),
)
"""What the controller needs in its own namespace, to lead."""

_LOOKED_AT: Sequence[Rule] = (Rule("", ["pods"], ["watch"]),)
"""What the page needs beside that, while somebody looks at the pods of a rollout."""

_PEOPLE: Sequence[Rule] = (
    Rule("authentication.k8s.io", ["tokenreviews"], ["create"]),
    Rule("authorization.k8s.io", ["subjectaccessreviews"], ["create"]),
)
"""To ask who somebody on the page is, and what they may: of the whole cluster, so a Role cannot grant it."""

_READ_ONLY: Sequence[Rule] = tuple(
    Rule(rule.group, rule.resources, _READ) for rule in RULES if {*_READ} <= {*rule.verbs}
)


def build_rights(config: ControllerConfig) -> Mapping[str, Sequence[Rule]]:
    """Everywhere, or in `namespaces` only, with read access to the namespace of the metric templates."""
    rules = [*RULES, *(_LOOKED_AT if config.page.enabled else ())]
    rights: dict[str, Sequence[Rule]] = {EVERYWHERE: [*rules, *(_PEOPLE if config.page.enabled else ())]}
    if config.namespaces:
        rights = dict.fromkeys(read_namespaces(config), _READ_ONLY) | dict.fromkeys(config.namespaces, rules)
    return rights | {ISTIO_NAMESPACE: [*rights.get(ISTIO_NAMESPACE, ()), *_ELECTION]}


def read_namespaces(config: ControllerConfig) -> list[str]:
    """Those that the controller reads; none means all."""
    if not config.namespaces:
        return []
    templates = [ISTIO_NAMESPACE] if config.trust.cross_namespace_references else []
    return list(dict.fromkeys([*templates, *config.namespaces]))
