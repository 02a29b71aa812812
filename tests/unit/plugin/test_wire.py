"""Property bags across gRPC."""

from google.protobuf.struct_pb2 import Struct
from hypothesis import given
from hypothesis import strategies as st

from sandbox.plugin.wire import SECRET, SIGNATURE, UNKNOWN, decode, encode, has_unknown, secret_keys

json_values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-(2**53), 2**53), st.floats(allow_nan=False), st.text()),
    lambda children: st.one_of(st.lists(children), st.dictionaries(st.text(), children)),
    max_leaves=20,
)


@given(st.dictionaries(st.text(), json_values))
def test_what_is_encoded_is_decoded_the_same(properties: dict[str, object]) -> None:
    assert decode(encode(properties)) == properties


def test_whole_numbers_stay_integers_since_kubernetes_refuses_ports_like_80_0() -> None:
    port = decode(encode({"port": 80}))["port"]
    assert (port, type(port)) == (80, int)


def _secret(value: object) -> dict[str, object]:
    return {SIGNATURE: SECRET, "value": value}


def test_secrets_are_unwrapped_at_any_depth_and_told_by_property() -> None:
    struct = encode({"open": "a", "closed": _secret("b"), "mixed": {"list": [{"deep": _secret("c")}]}})
    assert decode(struct) == {"open": "a", "closed": "b", "mixed": {"list": [{"deep": "c"}]}}
    assert secret_keys(struct) == {"closed", "mixed"}


def test_properties_named_secret_are_marked_once() -> None:
    struct = encode({"a": "x", "b": "y"}, secrets={"b", "absent"})
    assert secret_keys(struct) == {"b"}
    assert decode(struct) == {"a": "x", "b": "y"}


def test_an_unknown_is_found_at_any_depth() -> None:
    assert has_unknown({"a": [{"b": UNKNOWN}]})
    assert not has_unknown({"a": [{"b": "known"}], "c": None})


def test_a_secret_that_is_not_known_yet_decodes_to_unknown() -> None:
    assert decode(encode({"a": {SIGNATURE: SECRET}})) == {"a": UNKNOWN}


def test_an_empty_bag_is_an_empty_struct() -> None:
    assert encode({}) == Struct()
