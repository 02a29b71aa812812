"""All stacks that are refused, with the lines of the error, and those that are right only as a whole."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tests.unit.stack.bad_mesh import MESH
from tests.unit.stack.bad_platform import PLATFORM
from tests.unit.stack.bad_workloads import WORKLOADS
from tests.unit.stack.stack_parts import IMAGE, NEW_APP, TARGET

REFUSED: Mapping[str, tuple[dict[str, Any], list[str]]] = {**WORKLOADS, **MESH, **PLATFORM}

HOOKED_BY_NAMESPACE: dict[str, Any] = {
    "controller": {**IMAGE, "trust": {"addresses": ["*.{namespace}"]}},
    "alerts": {"team": {"provider": {"type": "webhook", "address": "http://hook.prod"}}},
    "namespace": {"create": False},
    "namespaces": {"shop": {}},
}
ALONE: Mapping[str, dict[str, Any]] = {
    "apps": {"apps": {"frontend": None, "backend": None, "cart": NEW_APP}},
    "targets": {"apps": {"frontend": None, "backend": None}, "targets": {"ledger": TARGET}},
}
RIGHT_TOGETHER: Mapping[str, dict[str, Any]] = {
    # each would be refused if one of its sections were the default one
    "neither Istio nor a gateway": {"istio": {"enabled": False}, "gateway": {"enabled": False}},
    "a second revision, and who has it": {
        "istio": {"version": "1.30.1", "revisions": {"next": "1.31.1"}},
        "namespace": {"revision": "next"},
    },
    "ports of the gateway's Service": {
        "gateway": {"httpPort": 8080},
        "istio": {"values": {"gateway": {"service": {"ports": [{"name": "http", "port": 8080}]}}}},
    },
    "a gateway on the port of the first": {
        "gateway": {"httpPort": 8080, "hosts": ["shop.example"]},
        "gateways": {"internal": {"httpPort": 8080, "hosts": ["internal.example"]}},
    },
    "a gateway without the first": {
        "gateway": {"enabled": False},
        "gateways": {"public-gateway": {"hosts": ["*"], "selector": {"istio": "mine"}}},
    },
    "a controller of one namespace": {"namespace": {"name": "shop"}, "controller": {**IMAGE, "namespaces": ["shop"]}},
    "another namespace that has the usual name": {"namespace": {"name": "shop"}, "namespaces": {"prod": {}}},
    "an alert about one app": {
        "apps": {"cart": NEW_APP},
        "alerts": {"team": {"canaries": ["prod/cart"], "provider": {"type": "webhook", "address": "http://hook"}}},
    },
    "an alert about an app elsewhere": {
        "namespaces": {"shop": {"apps": {"cart": NEW_APP}}},
        "alerts": {"team": {"canaries": ["shop/cart"], "provider": {"type": "webhook", "address": "http://hook"}}},
    },
    "an alert about a target in another namespace than usual": {
        "namespace": {"name": "shop"},
        "targets": {"ledger": TARGET},
        "alerts": {"team": {"canaries": ["shop/ledger"], "provider": {"type": "webhook", "address": "http://hook"}}},
    },
    "addresses by namespace": {
        "namespace": {"name": "shop"},
        "controller": {**IMAGE, "trust": {"addresses": ["*.{namespace}"]}},
        "alerts": {"team": {"provider": {"type": "webhook", "address": "http://hook.shop"}}},
    },
    **{
        f"addresses by a namespace that has {what} and is there already": {**HOOKED_BY_NAMESPACE, **has}
        for what, has in ALONE.items()
    },
    "addresses by another namespace": {
        "controller": {**IMAGE, "trust": {"addresses": ["*.{namespace}"]}},
        "alerts": {"team": {"provider": {"type": "webhook", "address": "http://hook.shop"}}},
        "namespaces": {"shop": {}},
    },
    "a Prometheus elsewhere that a hook leads to as well": {
        "controller": {**IMAGE, "trust": {"addresses": ["*.prod"]}},
        "observability": {"prometheus": {"enabled": False, "url": "http://p.example"}},
        "alerts": {"team": {"provider": {"type": "webhook", "address": "http://p.example/hook"}}},
    },
    "Secrets that each are named somewhere": {
        "secrets": {
            name: {"address": "http://hook"}
            for name in ("app", "alert", "elsewhere", "gateway", "internal", "controller", "load-tester", "prometheus")
        },
        "apps": {"cart": {**NEW_APP, "secrets": ["app"]}},
        "alerts": {"team": {"provider": {"type": "webhook", "secretRef": {"name": "alert"}}}},
        "namespaces": {"shop": {"apps": {"cart": {**NEW_APP, "secrets": ["elsewhere"]}}}},
        "gateway": {"credentialName": "gateway", "hosts": ["shop.example"]},
        "gateways": {
            "internal": {"credentialName": "internal", "hosts": ["in.example"], "selector": {"istio": "internal"}}
        },
        "controller": {**IMAGE, "pullSecrets": ["controller"]},
        "loadTester": {"pullSecrets": ["load-tester"]},
        "observability": {"prometheus": {"pullSecrets": ["prometheus"]}},
    },
    "a faster analysis than usual": {
        "controller": {**IMAGE, "minimumInterval": "1s"},
        "apps": {"backend": {"analysis": {"interval": "2s"}}},
    },
    "a template of the stack": {
        "observability": {"metricTemplates": {"own": {"query": "1"}}},
        "apps": {
            "cart": {
                **NEW_APP,
                "analysis": {"metrics": [{"name": "own", "templateRef": {"name": "own", "namespace": "istio-system"}}]},
            }
        },
    },
    "a template of the app's own namespace": {
        "namespace": {"name": "shop"},
        "controller": {**IMAGE, "trust": {"crossNamespaceReferences": False}},
        "apps": {
            "cart": {
                **NEW_APP,
                "analysis": {"metrics": [{"name": "own", "templateRef": {"name": "own", "namespace": "shop"}}]},
            }
        },
    },
    "an app with the load tester's name": {
        "loadTester": {"enabled": False},
        "apps": {"flagger-loadtester": NEW_APP, "frontend": None, "backend": None},
    },
    "an app on a gateway of its own": {
        "gateway": {"name": "front", "hosts": ["shop.example"]},
        "apps": {
            "cart": {**NEW_APP, "service": {"port": 80, "gateways": ["public-gateway"], "hosts": ["cart.example"]}}
        },
    },
    "a version without proof": {
        "apps": {"cart": NEW_APP},
        "promotion": {"override": {"cart": {"version": "1", "by": "me", "why": "urgent"}}},
    },
}
