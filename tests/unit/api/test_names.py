import pytest

from controller.api.names import find_selector_label, primary_name


@pytest.mark.parametrize(
    ("labels", "label"),
    [
        ({"app": "a"}, "app"),
        ({"name": "a", "app": "b"}, "app"),
        ({"app.kubernetes.io/name": "a", "name": "b"}, "name"),
        ({"app.kubernetes.io/name": "a", "tier": "web"}, "app.kubernetes.io/name"),
        ({"tier": "web"}, None),
        ({}, None),
    ],
)
def test_the_first_label_of_flaggers_order_distinguishes_primary_and_canary(labels, label):
    assert find_selector_label(labels) == label


def test_other_labels_may_be_asked_for():
    assert find_selector_label({"app": "a", "tier": "web"}, ("tier",)) == "tier"


def test_a_copy_for_the_primary_has_the_name_of_the_original_first():
    assert primary_name("backend-config") == "backend-config-primary"
