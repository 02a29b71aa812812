"""Invalid objects and the message for each; the models and a real API server must both give it."""

from typing import Any

from tests.unit.api.cases import ABSENT, Bad


def _canary(name: str, field: str, value: Any, words: str, path: str = "", *, base: str = "weighted") -> Bad:
    return Bad(name, f"Canary {base}", field, value, words, path)


_DURATION = 'must be a duration such as "30s", "1m30s" or "500ms"'
_PERCENT = "must be 0 to 100 (percent)"
_CPU: dict[str, Any] = {"value": {"query": "cpu{{ workload }}", "better": "lower"}}
_RATIOS = "harmfulRatio must be above harmlessRatio (see sensitivity for what is not set)"
_MARGINS = "harmfulMargin must not be below harmlessMargin (see sensitivity for what is not set)"
_COOKIE_NAME = "must have only letters, digits and !#$%&'*+-.^_`|~"
_COOKIE_ATTRIBUTE = "must have only printable ASCII characters, without ;"
_STRATEGY = "exactly one of iterations, stepWeight, stepWeights must be set"
_ANALYSIS = "spec.analysis"
_SOURCE = (
    "one of templateRef, query or compare must be set, unless the name is request-success-rate or request-duration"
)
_LONG_NAME = "service.name, else targetRef.name, must have at most 55 characters: the Service NAME-primary at most 63"

_EVIDENCE_BY_ITERATIONS = {
    "interval": "10s",
    "threshold": 5,
    "iterations": 5,
    "advance": "onEvidence",
    "metrics": [{"name": "errors", "compare": {"errors": {}}}],
}

BAD: tuple[Bad, ...] = (
    _canary("no spec", "spec", ABSENT, "Required value"),
    _canary("no target", "spec.targetRef", ABSENT, "Required value"),
    _canary("target without kind", "spec.targetRef.kind", ABSENT, "Required value"),
    _canary(
        "target of an unknown kind",
        "spec.targetRef.kind",
        "StatefulSet",
        'Unsupported value: "StatefulSet": supported values: "DaemonSet", "Deployment", "Service"',
    ),
    _canary("target without a name", "spec.targetRef.name", "", "should be at least 1 chars long"),
    _canary("name too long for the Services", "spec.targetRef.name", "x" * 56, _LONG_NAME, "spec"),
    _canary("Service name too long", "spec.service.name", "x" * 56, _LONG_NAME, "spec"),
    _canary(
        "unknown provider",
        "spec.provider",
        "consul",
        'Unsupported value: "consul": supported values: "apisix", "appmesh"',
    ),
    _canary(
        "metrics server without a scheme",
        "spec.metricsServer",
        "prometheus:9090",
        "must start with http:// or https://",
    ),
    _canary("deadline of no time", "spec.progressDeadlineSeconds", 0, "must be 1 or more"),
    _canary("deadline with a unit", "spec.progressDeadlineSeconds", "60s", 'must be of type integer: "string"'),
    _canary("suspend in words", "spec.suspend", "yes", 'must be of type boolean: "string"'),
    _canary(
        "autoscaler bounds crossed",
        "spec.autoscalerRef.primaryScalerReplicas",
        {"minReplicas": 3, "maxReplicas": 2},
        "minReplicas must not be above maxReplicas",
    ),
    _canary(
        "no replicas",
        "spec.autoscalerRef.primaryScalerReplicas",
        {"minReplicas": 0},
        "must be 1 or more",
        "spec.autoscalerRef.primaryScalerReplicas.minReplicas",
    ),
    _canary("no service", "spec.service", ABSENT, "Required value"),
    _canary("service without port", "spec.service.port", ABSENT, "Required value"),
    _canary("port 0", "spec.service.port", 0, "must be 1 to 65535"),
    _canary("port by name", "spec.service.port", "http", 'must be of type integer: "string"'),
    _canary(
        "target port above all", "spec.service.targetPort", 65536, "must be 0 to 65535, or the name of a container port"
    ),
    _canary("time-out without a unit", "spec.service.timeout", "15", _DURATION),
    _canary("endless time-out", "spec.service.timeout", "1" * 32 + "s", "Too long: may not be more than 32 bytes"),
    _canary("hosts that are not a list", "spec.service.hosts", "example.com", 'must be of type array: "string"'),
    _canary(
        "delegation with hosts",
        "spec.service.delegation",
        True,
        "hosts and gateways must be empty with delegation",
        "spec.service",
        base="ab-testing",
    ),
    _canary("no analysis", "spec.analysis", ABSENT, "Required value"),
    _canary("no interval", "spec.analysis.interval", ABSENT, "Required value"),
    _canary("no threshold", "spec.analysis.threshold", ABSENT, "Required value"),
    _canary("interval in words", "spec.analysis.interval", "5min", _DURATION),
    _canary("no strategy", "spec.analysis.stepWeight", ABSENT, _STRATEGY, _ANALYSIS),
    _canary("two strategies", "spec.analysis.iterations", 10, _STRATEGY, _ANALYSIS),
    _canary(
        "three strategies",
        "spec.analysis",
        {"interval": "1m", "threshold": 1, "iterations": 1, "stepWeight": 1, "stepWeights": [1]},
        _STRATEGY,
    ),
    _canary("no iterations", "spec.analysis.iterations", 0, "must be 1 or more", base="ab-testing"),
    _canary("step of nothing", "spec.analysis.stepWeight", 0, "must be 1 to 100 (percent)"),
    _canary("step above all", "spec.analysis.stepWeight", 101, "must be 1 to 100 (percent)"),
    _canary("weight above all", "spec.analysis.maxWeight", 101, _PERCENT),
    _canary("weight in halves", "spec.analysis.maxWeight", 50.5, 'must be of type integer: "number"'),
    _canary("mirror above all", "spec.analysis.mirrorWeight", 120, _PERCENT, base="blue-green-mirrored"),
    _canary("promotion step below nothing", "spec.analysis.stepWeightPromotion", -1, _PERCENT),
    _canary("ready threshold above all", "spec.analysis.primaryReadyThreshold", 101, _PERCENT),
    _canary("no steps", "spec.analysis.stepWeights", [], "should have at least 1 items", base="older-forms"),
    _canary(
        "steps above all",
        "spec.analysis.stepWeights",
        [10, 200],
        "each weight must be 1 to 100 (percent)",
        base="older-forms",
    ),
    _canary(
        "a step of nothing",
        "spec.analysis.stepWeights",
        [0, 20],
        "each weight must be 1 to 100 (percent)",
        base="older-forms",
    ),
    _canary("steps down", "spec.analysis.stepWeights", [20, 10], "weights must not decrease", base="older-forms"),
    _canary(
        "header match of two kinds",
        "spec.analysis.match[0].headers.user-agent",
        {"exact": "a", "regex": "b"},
        "exactly one of exact, prefix, suffix, regex must be set",
        "spec.analysis.match[0].headers[user-agent]",
        base="ab-testing",
    ),
    _canary(
        "header match of no kind",
        "spec.analysis.match[0].headers.user-agent",
        {},
        "exactly one of exact, prefix, suffix, regex must be set",
        "spec.analysis.match[0].headers[user-agent]",
        base="ab-testing",
    ),
    _canary(
        "query match of two kinds",
        "spec.analysis.match[2].queryParams.preview",
        {"exact": "a", "regex": "b"},
        "at most one of exact, prefix, regex may be set",
        "spec.analysis.match[2].queryParams[preview]",
        base="ab-testing",
    ),
    _canary("metric without a name", "spec.analysis.metrics[0].name", ABSENT, "Required value"),
    _canary(
        "metric that nothing measures",
        "spec.analysis.metrics[0].templateRef",
        ABSENT,
        _SOURCE,
        "spec.analysis.metrics[0]",
    ),
    _canary(
        "metric measured twice",
        "spec.analysis.metrics[0].query",
        "up",
        "query and templateRef must not both be set",
        "spec.analysis.metrics[0]",
    ),
    _canary(
        "range that holds nothing",
        "spec.analysis.metrics[0].thresholdRange",
        {"min": 2, "max": 1},
        "min must not be above max",
    ),
    _canary("range in words", "spec.analysis.metrics[0].thresholdRange.max", "1%", 'must be of type number: "string"'),
    _canary("metric interval in days", "spec.analysis.metrics[0].interval", "1d", _DURATION),
    _canary("metric over no time", "spec.analysis.metrics[0].interval", "0s", "must be above 0"),
    _canary(
        "webhook that is no gate, without an address",
        "spec.analysis.webhooks[0].url",
        ABSENT,
        "url is required unless the type is confirm-rollout, confirm-traffic-increase or confirm-promotion",
        "spec.analysis.webhooks[0]",
    ),
    _canary(
        "gate with an empty address",
        "spec.analysis.webhooks[0].url",
        "",
        "must start with http:// or https://",
    ),
    _canary(
        "webhook address without a scheme",
        "spec.analysis.webhooks[0].url",
        "flagger-loadtester.prod",
        "must start with http:// or https://",
    ),
    _canary(
        "webhook of an unknown type",
        "spec.analysis.webhooks[0].type",
        "before",
        'Unsupported value: "before": supported',
    ),
    _canary("webhook time-out without a unit", "spec.analysis.webhooks[0].timeout", "15", _DURATION),
    _canary("webhook without time to answer", "spec.analysis.webhooks[0].timeout", "0s", "must be above 0"),
    _canary("webhook timeout of centuries", "spec.analysis.webhooks[0].timeout", "9999999h", _DURATION),
    _canary("webhook retried less than never", "spec.analysis.webhooks[0].retries", -1, "must be 0 to 10"),
    _canary("webhook retried forever", "spec.analysis.webhooks[0].retries", 11, "must be 0 to 10"),
    _canary(
        "webhook metadata that is not text",
        "spec.analysis.webhooks[0].metadata.count",
        3,
        'must be of type string: "integer"',
        "spec.analysis.webhooks[0].metadata",
    ),
    _canary(
        "too many webhooks",
        "spec.analysis.webhooks",
        [{"name": "a", "url": "http://a"}] * 101,
        "must have at most 100 items",
    ),
    _canary(
        "alert without a provider",
        "spec.analysis.alerts",
        [{"name": "a"}],
        "Required value",
        "spec.analysis.alerts[0].providerRef",
    ),
    *(
        _canary(
            f"affinity with {what}",
            "spec.analysis.sessionAffinity",
            {"cookieName": "canary", **given},
            words,
            f"spec.analysis.sessionAffinity{path}",
        )
        for what, given, words, path in (
            ("a name of two words", {"cookieName": "my cookie"}, _COOKIE_NAME, ".cookieName"),
            ("a name that ends early", {"primaryCookieName": "a=b"}, _COOKIE_NAME, ".primaryCookieName"),
            ("a second line", {"domain": "a.test\nx-role: admin"}, _COOKIE_ATTRIBUTE, ".domain"),
            ("a second attribute", {"path": "/; Domain=b.test"}, _COOKIE_ATTRIBUTE, ".path"),
            ("one name for both", {"primaryCookieName": "canary"}, "primaryCookieName must not be cookieName", ""),
        )
    ),
    _canary(
        "affinity without a cookie",
        "spec.analysis.sessionAffinity",
        {},
        "Required value",
        "spec.analysis.sessionAffinity.cookieName",
    ),
    _canary(
        "comparison with another",
        "spec.analysis.metrics[0].compare.with",
        "baseline",
        'Unsupported value: "baseline": supported values: "primary"',
        base="compared",
    ),
    _canary(
        "comparison of nothing",
        "spec.analysis.metrics[0].compare.errors",
        ABSENT,
        "exactly one of errors, latency, counters, value must be set",
        "spec.analysis.metrics[0].compare",
        base="compared",
    ),
    _canary(
        "comparison without edges",
        "spec.analysis.metrics[1].compare.latency",
        {},
        "Required value",
        "spec.analysis.metrics[1].compare.latency.edges",
        base="compared",
    ),
    _canary(
        "comparison at no edge",
        "spec.analysis.metrics[1].compare.latency.edges",
        [],
        "should have at least 1 items",
        base="compared",
    ),
    _canary(
        "edge of an unknown unit",
        "spec.analysis.metrics[1].compare.latency.edges[0]",
        "3 blinks",
        _DURATION,
        base="compared",
    ),
    _canary(
        "edge at nothing",
        "spec.analysis.metrics[1].compare.latency.edges[0]",
        "0.0ms",
        "must be above 0",
        base="compared",
    ),
    _canary(
        "two comparisons in one",
        "spec.analysis.metrics[0].compare.value",
        {"query": "cpu{{ workload }}", "better": "lower"},
        "exactly one of errors, latency, counters, value must be set",
        "spec.analysis.metrics[0].compare",
        base="compared",
    ),
    _canary(
        "counters without a side",
        "spec.analysis.metrics[0].compare",
        {"counters": {"bad": "bad_total", "total": "all_total{{ target }}"}},
        "must contain {{ workload }} or {{ pods }}, or it would be the same for canary and primary",
        "spec.analysis.metrics[0].compare.counters.bad",
        base="compared",
    ),
    _canary(
        "counters as a rate",
        "spec.analysis.metrics[0].compare",
        {"counters": {"bad": "bad_total{{ workload }}", "total": "sum(rate (all_total{{ workload }}[1m]))"}},
        "must be counters as they are, without rate, increase and the like",
        "spec.analysis.metrics[0].compare.counters.total",
        base="compared",
    ),
    _canary(
        "counters of bad events alone",
        "spec.analysis.metrics[0].compare",
        {"counters": {"bad": "bad_total{{ workload }}"}},
        "Required value",
        "spec.analysis.metrics[0].compare.counters.total",
        base="compared",
    ),
    _canary(
        "value without a direction",
        "spec.analysis.metrics[0].compare",
        {"value": {"query": "cpu{{ workload }}"}},
        "Required value",
        "spec.analysis.metrics[0].compare.value.better",
        base="compared",
    ),
    _canary(
        "value of nothing",
        "spec.analysis.metrics[0].compare",
        {"value": {"better": "lower"}},
        "exactly one of query, templateRef must be set",
        "spec.analysis.metrics[0].compare.value",
        base="compared",
    ),
    _canary(
        "value without a side",
        "spec.analysis.metrics[0].compare",
        {"value": {"query": "cpu", "better": "lower"}},
        "must contain {{ workload }} or {{ pods }}, or it would be the same for canary and primary",
        "spec.analysis.metrics[0].compare.value.query",
        base="compared",
    ),
    _canary(
        "requests of a value",
        "spec.analysis.metrics[0].compare",
        {"value": {"query": "cpu{{ workload }}", "better": "lower"}, "minRequests": 5},
        "minRequests is not used with value, which counts no requests",
        "spec.analysis.metrics[0].compare",
        base="compared",
    ),
    _canary("no risk", "spec.analysis.metrics[0].compare.risk", 0, "must be above 0 and at most 0.5", base="compared"),
    _canary(
        "all the risk", "spec.analysis.metrics[0].compare.risk", 0.6, "must be above 0 and at most 0.5", base="compared"
    ),
    _canary(
        "harmful no more than harmless",
        "spec.analysis.metrics[0].compare.harmfulRatio",
        1.2,
        _RATIOS,
        "spec.analysis.metrics[0].compare",
        base="compared",
    ),
    _canary(
        "harm beyond measure",
        "spec.analysis.metrics[0].compare.harmfulRatio",
        1000.5,
        "must be at most 1000",
        base="compared",
    ),
    _canary(
        "harmless above the default of harmful",
        "spec.analysis.metrics[1].compare.harmlessRatio",
        2,
        _RATIOS,
        "spec.analysis.metrics[1].compare",
        base="compared",
    ),
    *(
        _canary(
            f"{what} with sensitivity {sensitivity}",
            "spec.analysis.metrics[0].compare",
            {"sensitivity": sensitivity, **compare},
            message,
            "spec.analysis.metrics[0].compare",
            base="compared",
        )
        for sensitivity, what, compare, message in (
            ("low", "harmless above harmful", {"errors": {}, "harmlessRatio": 3.0}, _RATIOS),
            ("low", "harmful below harmless errors", {"errors": {}, "harmfulRatio": 1.5}, _RATIOS),
            ("low", "harmful below a harmless value", {**_CPU, "harmfulRatio": 1.2}, _RATIOS),
            ("high", "harmless above harmful", {"errors": {}, "harmlessRatio": 1.5}, _RATIOS),
            ("high", "harmful below harmless latency", {"latency": {"edges": ["1s"]}, "harmfulRatio": 1.1}, _RATIOS),
            ("high", "a harmless margin above the harmful one", {"errors": {}, "harmlessMargin": 0.2}, _MARGINS),
        )
    ),
    _canary(
        "harmless ratio of nothing",
        "spec.analysis.metrics[0].compare.harmlessRatio",
        0,
        "must be above 0",
        base="compared",
    ),
    _canary(
        "a harmful margin below the harmless one",
        "spec.analysis.metrics[0].compare.harmfulMargin",
        0.01,
        _MARGINS,
        "spec.analysis.metrics[0].compare",
        base="compared",
    ),
    _canary(
        "a harmless margin above the default of the harmful one",
        "spec.analysis.metrics[1].compare.harmlessMargin",
        0.6,
        _MARGINS,
        "spec.analysis.metrics[1].compare",
        base="compared",
    ),
    *(
        _canary(
            f"a {margin} for a value",
            "spec.analysis.metrics[0].compare",
            {"value": {"query": "cpu{{ workload }}", "better": "lower"}, margin: 0.5},
            "harmlessMargin and harmfulMargin are not used with value, which is no share of anything",
            base="compared",
        )
        for margin in ("harmlessMargin", "harmfulMargin")
    ),
    *(
        _canary(
            f"a {margin} of {value}",
            f"spec.analysis.metrics[0].compare.{margin}",
            value,
            "must be 0 to 50 (percentage points)",
            base="compared",
        )
        for margin in ("harmlessMargin", "harmfulMargin")
        for value in (-0.1, 50.1)
    ),
    _canary(
        "fewer requests than none",
        "spec.analysis.metrics[0].compare.minRequests",
        -1,
        "must be 0 or more",
        base="compared",
    ),
    _canary(
        "comparison under the name of another metric",
        "spec.analysis.metrics[1].name",
        "errors",
        "the name of a metric with compare must be unique",
        _ANALYSIS,
        base="compared",
    ),
    _canary(
        "evidence in an A/B test",
        "spec.analysis",
        _EVIDENCE_BY_ITERATIONS,
        "advance: onEvidence needs stepWeight or stepWeights",
    ),
    _canary(
        "evidence without comparison",
        "spec.analysis.advance",
        "onEvidence",
        "advance: onEvidence needs a metric with compare",
        _ANALYSIS,
    ),
    _canary(
        "largest step without evidence",
        "spec.analysis.advance",
        "threshold",
        "maxStep needs advance: onEvidence",
        _ANALYSIS,
        base="compared",
    ),
    _canary(
        "no verdict without comparison",
        "spec.analysis.onInconclusive",
        "rollback",
        "onInconclusive needs a metric with compare",
        _ANALYSIS,
    ),
    _canary(
        "a gate that nobody can open",
        "spec.analysis.onInconclusive",
        "gate",
        "onInconclusive: gate needs a webhook of type confirm-promotion, through which a person approves",
        _ANALYSIS,
        base="ungated",
    ),
    _canary(
        "unknown way to advance",
        "spec.analysis.advance",
        "always",
        'Unsupported value: "always": supported values: "threshold", "onEvidence"',
    ),
    Bad("template without a query", "MetricTemplate error-rate", "spec.query", ABSENT, "Required value"),
    Bad(
        "template of an unknown type",
        "MetricTemplate error-rate",
        "spec.provider.type",
        "zabbix",
        'Unsupported value: "zabbix": supported values: "prometheus", "influxdb"',
    ),
    Bad(
        "Prometheus without an address",
        "MetricTemplate error-rate",
        "spec.provider.address",
        ABSENT,
        "provider.address must start with http:// or https:// for provider.type prometheus",
        "spec",
    ),
    Bad(
        "Prometheus address without a scheme",
        "MetricTemplate error-rate",
        "spec.provider.address",
        "prometheus:9090",
        "provider.address must start with http:// or https:// for provider.type prometheus",
        "spec",
    ),
    Bad(
        "alerts to nowhere",
        "AlertProvider by-secret",
        "spec.secretRef",
        ABSENT,
        "exactly one of address, secretRef must be set",
        "spec",
    ),
    Bad(
        "alerts to two places",
        "AlertProvider by-address",
        "spec.secretRef",
        {"name": "url"},
        "exactly one of address, secretRef must be set",
        "spec",
    ),
    Bad(
        "alerts by an unknown service",
        "AlertProvider by-secret",
        "spec.type",
        "pigeon",
        'Unsupported value: "pigeon": supported values: "slack", "msteams"',
    ),
    Bad(
        "alert address without a scheme",
        "AlertProvider by-address",
        "spec.address",
        "hooks.example.com",
        "must start with http:// or https://",
    ),
)
