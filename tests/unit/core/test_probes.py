"""Every webhook and every metric gets an answer of its own, whatever the others are called."""

from controller.api.status import Phase
from controller.core.probes import Refused, Value
from tests.builders import ERROR_RATE, WEIGHTED, canary_manifest, make_deployment
from tests.unit.core.cluster import Cluster, rolled_out


def begun(**analysis):
    """A cluster whose canary has just had its new revision pushed."""
    cluster = Cluster.of(canary_manifest(analysis={**WEIGHTED, **analysis}), make_deployment())
    rolled_out(cluster)
    cluster.set_image("podinfo:2")
    return cluster


def gate(url):
    return {"name": "approval", "type": "confirm-promotion", "url": url}


def test_the_second_of_two_gates_of_one_name_is_asked_and_can_refuse():
    cluster = begun(webhooks=[gate("http://product.test/"), gate("http://security.test/")])
    cluster.answers["webhook/confirm-promotion/approval#2"] = Refused("403 Forbidden")
    rolled_out(cluster, ticks=10)
    assert cluster.state.phase is Phase.WAITING_PROMOTION
    assert cluster.image("backend-primary") == "podinfo:1"


def test_gates_of_one_name_that_all_agree_let_the_rollout_pass():
    cluster = begun(webhooks=[gate("http://product.test/"), gate("http://security.test/")])
    rolled_out(cluster)
    assert cluster.state.phase is Phase.SUCCEEDED
    assert {"webhook/confirm-promotion/approval", "webhook/confirm-promotion/approval#2"} <= set(cluster.asked)


def test_the_second_of_two_metrics_of_one_name_is_measured_and_can_fail():
    cluster = begun(metrics=[ERROR_RATE, {**ERROR_RATE, "thresholdRange": {"max": 5}}])
    cluster.answers["metric/error-rate#2"] = Value(7.0)
    rolled_out(cluster)
    assert cluster.state.phase is Phase.FAILED
    assert cluster.state.checks[1].detail == "error-rate 7.00 > 5"
