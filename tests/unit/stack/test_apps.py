"""What the keys of an app become, and what of a passed PodSpec is refused, and where."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
import yaml

from sandbox.paths import REPO
from stack.errors import ConfigError
from stack.load import parse
from stack.merge import merge
from stack.workload import build_autoscaler, build_deployment, build_disruption_budget, build_pod

DIGEST = "sha256:" + "0" * 64
CART = {"image": "registry.example/cart", "tag": "1", "service": {"port": 80}}
MEMORY = {"type": "Resource", "resource": {"name": "memory", "target": {"type": "Utilization"}}}
MEMORY["resource"]["target"]["averageUtilization"] = 80  # type: ignore[index]


def stack(app: Mapping[str, Any]) -> dict[str, Any]:
    apps = {"frontend": None, "backend": None, "cart": merge(CART, app)}
    return {"controller": {"image": "registry.example/controller:1"}, "apps": apps}


def cart(app: Mapping[str, Any]) -> Any:
    return parse(stack(app), "p").apps["cart"]


def own(**fields: Any) -> dict[str, Any]:
    return {"podSpec": {"containers": [fields]}}


def container(app: Mapping[str, Any]) -> dict[str, Any]:
    built: dict[str, Any] = build_pod("cart", cart(app))["containers"][0]
    return built


CONTAINERS: Mapping[str, tuple[dict[str, Any], dict[str, Any]]] = {
    # case -> (the app's settings, fields of its container)
    "a tag": ({"tag": "2"}, {"image": "registry.example/cart:2"}),
    "a digest as the tag": ({"tag": DIGEST}, {"image": f"registry.example/cart@{DIGEST}"}),
    "a tag with a digest": ({"tag": f"2@{DIGEST}"}, {"image": f"registry.example/cart:2@{DIGEST}"}),
    "an image with its tag": ({"image": "localhost:5000/cart:3", "tag": None}, {"image": "localhost:5000/cart:3"}),
    "an image by its digest": ({"image": f"a/cart@{DIGEST}", "tag": None}, {"image": f"a/cart@{DIGEST}"}),
    "the image of podSpec": ({"image": None, "tag": None, **own(image="a:1")}, {"image": "a:1"}),
    "the port behind the Service": (
        {"service": {"targetPort": 8080}},
        {"ports": [{"name": "http", "containerPort": 8080}]},
    ),
    "a port of 0, which is none": ({"service": {"targetPort": 0}}, {"ports": [{"name": "http", "containerPort": 80}]}),
    "more ports": (
        own(ports=[{"name": "grpc", "containerPort": 9999}]),
        {"ports": [{"name": "http", "containerPort": 80}, {"name": "grpc", "containerPort": 9999}]},
    ),
    "the Service's port by its own name": (
        {"livenessPath": "/", **own(ports=[{"name": "web", "containerPort": 80}])},
        {
            "ports": [{"name": "web", "containerPort": 80}],
            "livenessProbe": {"httpGet": {"path": "/", "port": "web"}, "timeoutSeconds": 5, "periodSeconds": 5},
        },
    ),
    "a named target port": (
        {
            "service": {"targetPort": "web"},
            "readinessPath": "/",
            **own(ports=[{"name": "web", "containerPort": 8080}]),
        },
        {
            "ports": [{"name": "web", "containerPort": 8080}],
            "readinessProbe": {"httpGet": {"path": "/", "port": "web"}, "timeoutSeconds": 5, "periodSeconds": 5},
        },
    ),
    "http as the name of another port": (
        {"readinessPath": "/", **own(ports=[{"name": "http", "containerPort": 8080}])},
        {
            "ports": [{"containerPort": 80}, {"name": "http", "containerPort": 8080}],
            "readinessProbe": {"httpGet": {"path": "/", "port": 80}, "timeoutSeconds": 5, "periodSeconds": 5},
        },
    ),
    "the same number for TCP and UDP": (
        own(ports=[{"containerPort": 80, "protocol": "UDP"}]),
        {"ports": [{"name": "http", "containerPort": 80}, {"containerPort": 80, "protocol": "UDP"}]},
    ),
    "timings of a probe that a path describes": (
        {"readinessPath": "/ready", **own(readinessProbe={"periodSeconds": 30, "successThreshold": 2})},
        {
            "readinessProbe": {
                "httpGet": {"path": "/ready", "port": "http"},
                "timeoutSeconds": 5,
                "periodSeconds": 30,
                "successThreshold": 2,
            }
        },
    ),
    "a probe of another kind": (
        own(livenessProbe={"tcpSocket": {"port": "http"}, "periodSeconds": 30}),
        {"livenessProbe": {"tcpSocket": {"port": "http"}, "periodSeconds": 30}},
    ),
    "no start probe": ({"livenessPath": "/", **own(startupProbe=None)}, {"startupProbe": None}),
    "variables from both, one of them replaced": (
        {"env": {"A": 1, "B": 2}, **own(env=[{"name": "B", "value": "3"}, {"name": "C", "value": "4"}])},
        {"env": [{"name": "A", "value": "1"}, {"name": "B", "value": "3"}, {"name": "C", "value": "4"}]},
    ),
    "variables of whole configs from both": (
        {"config": {"A": 1}, "secrets": ["db"], **own(envFrom=[{"secretRef": {"name": "more"}}])},
        {
            "envFrom": [
                {"configMapRef": {"name": "cart-config"}},
                {"secretRef": {"name": "db"}},
                {"secretRef": {"name": "more"}},
            ]
        },
    ),
    "files, beside a mount of podSpec": (
        {
            "files": {"/etc/cart/cart.yaml": "a: 1"},
            "podSpec": {
                "containers": [{"volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}]}],
                "volumes": [{"name": "tmp", "emptyDir": {"sizeLimit": 1}}],
            },
        },
        {
            "volumeMounts": [
                {
                    "name": "files",
                    "mountPath": "/etc/cart/cart.yaml",
                    "subPath": "etc_cart_cart.yaml",
                    "readOnly": True,
                },
                {"name": "tmp", "mountPath": "/tmp"},
            ]
        },
    ),
    "quantities that are numbers": (
        own(resources={"requests": {"cpu": 0.5}, "limits": {"cpu": 1}}),
        {"resources": {"requests": {"cpu": "0.5", "memory": "32Mi"}, "limits": {"cpu": "1"}}},
    ),
}


@pytest.mark.parametrize("case", CONTAINERS)
def test_the_container_of_an_app_with(case: str) -> None:
    app, expected = CONTAINERS[case]
    built = container(app)
    assert {field: built.get(field) for field in expected} == expected


def test_other_containers_follow_the_apps_own_and_nothing_else_of_the_pod_is_touched() -> None:
    pod = {
        "initContainers": [{"name": "migrate", "image": "registry.example/migrate:1"}],
        "containers": [{"name": "proxy", "image": "registry.example/proxy:1"}, {"name": "cart", "args": ["serve"]}],
        "serviceAccountName": "cart",
        "terminationGracePeriodSeconds": 90,
        "tolerations": [{"key": "spot", "operator": "Exists"}],
    }
    hpa = {"minReplicas": 2, "maxReplicas": 2}
    built = build_pod("cart", cart({"podSpec": pod, "hpa": hpa}))
    assert [(each["name"], each.get("args")) for each in built["containers"]] == [("cart", ["serve"]), ("proxy", None)]
    ours = {"containers", "initContainers", "securityContext", "automountServiceAccountToken"}
    assert {key: built[key] for key in built if key not in ours} == {key: pod[key] for key in pod if key not in ours}


def test_labels_and_annotations_are_on_the_pods_and_app_selects_them() -> None:
    built = build_deployment("cart", cart({"labels": {"team": "shop"}, "annotations": {"example.com/a": "1"}}))
    assert built["template"]["metadata"] == {
        "labels": {"app": "cart", "team": "shop"},
        "annotations": {"example.com/a": "1"},
    }
    assert built["selector"] == {"matchLabels": {"app": "cart"}}


@pytest.mark.parametrize(
    ("given", "strategy"),
    [
        ({}, {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0}}),
        (
            {"rollingUpdate": {"maxSurge": "50%"}},
            {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": "50%"}},
        ),
        ({"type": "Recreate"}, {"type": "Recreate"}),
    ],
)
def test_a_strategy_lies_over_ours_unless_it_is_of_another_type(given: dict[str, Any], strategy: Any) -> None:
    assert build_deployment("cart", cart({"deploymentSpec": {"strategy": given}}))["strategy"] == strategy


CPU = {"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 99}}}
CPU_AT_50 = {
    "type": "Resource",
    "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 50}},
}


@pytest.mark.parametrize(
    ("app", "expected"),
    [
        ({}, {"minReplicas": 1, "maxReplicas": 4, "metrics": [CPU]}),
        ({"replicas": 3}, {"minReplicas": 3, "maxReplicas": 3, "metrics": [CPU]}),
        ({"hpa": {"metrics": [MEMORY]}}, {"minReplicas": 1, "maxReplicas": 4, "metrics": [MEMORY]}),
        (
            {"hpa": {"metrics": [MEMORY], "cpuUtilization": 50}},
            {"minReplicas": 1, "maxReplicas": 4, "metrics": [MEMORY, CPU_AT_50]},
        ),
        (
            {"hpa": {"behavior": {"scaleDown": {"selectPolicy": "Disabled"}}}},
            {
                "minReplicas": 1,
                "maxReplicas": 4,
                "metrics": [CPU],
                "behavior": {"scaleDown": {"selectPolicy": "Disabled"}},
            },
        ),
    ],
)
def test_the_autoscaler(app: dict[str, Any], expected: dict[str, Any]) -> None:
    assert build_autoscaler(cart(app).autoscaler) == expected


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (None, {"maxUnavailable": 1}),
        ({"minAvailable": "50%"}, {"minAvailable": "50%"}),
        ({}, None),
    ],
)
def test_the_disruption_budget_is_for_the_primary(given: Any, expected: Any) -> None:
    built = build_disruption_budget("cart", cart({"podDisruptionBudget": given}))
    selector = {"selector": {"matchLabels": {"app": "cart-primary"}}}
    assert built == (None if expected is None else expected | selector)


REFUSED: Mapping[str, tuple[dict[str, Any], list[str]]] = {
    "no image anywhere": (
        {"image": None, "tag": None},
        ["image: Required value: image of the app, with a tag or a digest"],
    ),
    "two tags": (
        {"image": "a/cart:1"},
        [': Invalid value: "object": image a/cart:1 has a tag or a digest: set no tag beside it'],
    ),
    "no tag": (
        {"tag": None},
        [': Invalid value: "object": image registry.example/cart needs a tag or a digest, in tag'],
    ),
    "a tag without an image": (
        {"image": None},
        [
            (
                ': Invalid value: "object": tag needs image beside it; with podSpec, the tag is part of the'
                " container's image"
            )
        ],
    ),
    "fixed replicas without what keeps them": (
        {"replicas": 2, "hpa": {"enabled": False}},
        [
            (
                ': Invalid value: "object": replicas needs the autoscaler, which keeps this number of pods: remove'
                " hpa.enabled"
            )
        ],
    ),
    "fixed replicas and bounds": (
        {"replicas": 2, "hpa": {"maxReplicas": 9}},
        [
            ': Invalid value: "object": replicas is both minReplicas and maxReplicas: set no other bounds in hpa',
        ],
    ),
    "a field that a probe does not have": (
        own(livenessProbe={"httpGet": {"prot": 80}}),
        [
            (
                'podSpec.containers.cart.livenessProbe.httpGet.prot: unknown field; did you mean "port"? (known: host,'
                " httpHeaders, path, port, scheme)"
            )
        ],
    ),
    "a field in another case": (
        {"podSpec": {"tolerations": [{"tolerationseconds": 3}]}},
        [
            (
                'podSpec.tolerations[0].tolerationseconds: unknown field; did you mean "tolerationSeconds"? (known:'
                " effect, key, operator, tolerationSeconds, value)"
            )
        ],
    ),
    "a text in place of a number": (
        {"podSpec": {"terminationGracePeriodSeconds": "30s"}},
        ['podSpec.terminationGracePeriodSeconds: Invalid value: "30s": must be of type integer: "string"'],
    ),
    "a number in place of a text": (
        own(env=[{"name": "PORT", "value": 80}]),
        ['podSpec.containers.cart.env.PORT.value: Invalid value: 80: must be of type string: "integer"'],
    ),
    "a mapping in place of a list": (
        {"podSpec": {"containers": {"cart": {}}}},
        ['podSpec.containers: Invalid value: "object": must be of type array: "object"'],
    ),
    "a volume without a name": (
        {"podSpec": {"volumes": [{"emptyDir": {}}]}},
        ["podSpec.volumes[0].name: Required value"],
    ),
    "a sidecar without a name's image is the app's own, named twice": (
        {"podSpec": {"containers": [{"args": ["a"]}, {"args": ["b"]}]}},
        ["podSpec.containers.cart: Duplicate value: two containers have this name"],
    ),
    "a port name that no container has": (
        {"service": {"targetPort": "web"}, **own(ports=[{"name": "grpc", "containerPort": 9999}])},
        ['service.targetPort: Not found: "web": no container of podSpec has a port of this name (known: grpc)'],
    ),
    "a port name where there are none": (
        {"service": {"targetPort": "http"}},
        ['service.targetPort: Not found: "http": no container of podSpec has a port of this name (it has none)'],
    ),
    "a utilization of what a sidecar does not request": (
        {"podSpec": {"containers": [{"name": "proxy", "image": "a:1"}]}},
        ["podSpec.containers.proxy.resources.requests.cpu: Required value: hpa.cpuUtilization is a percentage of it"],
    ),
    "a utilization of memory that is not requested": (
        {"resources": {"requests": {"cpu": "10m"}}, "hpa": {"metrics": [MEMORY]}},
        ["resources.requests.memory: Required value: the target in hpa.metrics is a percentage of it"],
    ),
    "a metric of no shape": (
        {"hpa": {"metrics": [{"type": "Pods", "pods": {"metric": {"nme": "queue"}}}]}},
        [
            'hpa.metrics[0].pods.metric.nme: unknown field; did you mean "name"? (known: name, selector)',
            "hpa.metrics[0].pods.metric.name: Required value",
            "hpa.metrics[0].pods.target: Required value",
        ],
    ),
    "a strategy that is misspelt": (
        {"deploymentSpec": {"strategy": {"typ": "Recreate"}}},
        ['deploymentSpec.strategy.typ: unknown field; did you mean "type"? (known: rollingUpdate, type)'],
    ),
    "what other keys say": (
        {
            "deploymentSpec": {"replicas": 2, "template": {}},
            "labels": {"app": "x"},
            "podDisruptionBudget": {"selector": {}},
            "canary": {"targetRef": {}},
        },
        [
            "canary.targetRef: Forbidden: it is the workload of this name",
            "labels.app: Forbidden: it tells the app's pods from those of its primary",
            "deploymentSpec.template: Forbidden: set podSpec, labels and annotations of the app",
            "deploymentSpec.replicas: Forbidden: set replicas of the app",
            "podDisruptionBudget.selector: Forbidden: it selects the pods of the primary",
        ],
    ),
    "a field that no Canary has": (
        {"canary": {"dependOn": []}},
        ['canary.dependOn: unknown field; did you mean "dependsOn"? (known: '],
    ),
    "two files of one key": (
        {"files": {"/etc/a/b": "1", "/etc/a_b": "2"}},
        ["files: Invalid value: two paths that differ only in / and _ need one key; rename a file"],
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refuses(case: str) -> None:
    app, expected = REFUSED[case]
    with pytest.raises(ConfigError) as raised:
        cart(app)
    found = [line.strip().removeprefix("p:apps.cart").removeprefix(".") for line in str(raised.value).splitlines()[1:]]
    assert [
        line if not wanted.endswith(": ") else line[: len(wanted)] for line, wanted in zip(found, expected, strict=True)
    ] == expected


def yaml_of(page: str) -> list[dict[str, Any]]:
    """The YAML blocks of a page; of a stack file, its sections."""
    blocks = [block.removeprefix("yaml\n") for block in (REPO / page).read_text().split("```") if block[:5] == "yaml\n"]
    loaded = [yaml.safe_load(block) for block in blocks]
    return [
        {key.removeprefix("canary-on-istio:"): value for key, value in each.get("config", each).items()}
        for each in loaded
    ]


@pytest.mark.parametrize(("page", "section"), [("docs/alerts.md", "alerts"), ("docs/providers.md", "observability")])
def test_a_stack_of_the_documentation_of_the_controller_is_valid(page, section):
    (stack,) = (each for each in yaml_of(page) if section in each)
    assert parse({"controller": {"image": "c:1"}, **stack}, "p").model_fields_set >= stack.keys()


def test_the_stacks_of_the_documentation_are_valid():
    first, more, *others = yaml_of("docs/your-own-app.md")
    stacks = [*others, *yaml_of("docs/existing-cluster.md")]
    parsed = [parse({"controller": {"image": "c:1"}, **stack}, "p") for stack in stacks]
    assert [each.key for stack in parsed for each in stack.workloads[-1:]] == [
        "targets.search",
        "namespaces.team-2.targets.search",
        "apps.shop",
        "apps.backend",
    ]
    shop = merge(first["apps"]["shop"], more["apps"]["shop"])
    pod = build_pod("shop", cart({**shop, "image": shop["image"], "tag": shop["tag"]}))
    assert [(each["name"], each["image"]) for each in pod["containers"]] == [
        ("shop", "registry.example/shop:1.4.2"),
        ("exporter", "registry.example/exporter:2"),
    ]
    assert pod["containers"][0]["lifecycle"] == {"preStop": {"sleep": {"seconds": 5}}}
    assert pod["serviceAccountName"] == "shop"
