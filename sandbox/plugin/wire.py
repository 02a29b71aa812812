"""Property bags as they cross gRPC: protobuf Structs with Pulumi's marks for unknown and secret values.

In here a bag is plain JSON-like data; an unknown value is the string UNKNOWN, as on the wire. Which *top-level*
properties hold a secret is kept beside the bag, since both plugins treat a property as secret or not as a whole.
"""

from collections.abc import Collection, Mapping
from typing import Any

from google.protobuf.struct_pb2 import ListValue, Struct, Value
from pulumi.runtime.rpc import UNKNOWN

SIGNATURE = "4dabf18193072939515e22adb298388d"
SECRET = "1b47061264138c4ac30d75fd1eb44270"
OUTPUT = "d0e6a833031e9bbcd3f4e8bde6ca49a4"
ASSET = "c44067f5952c0a294b673a41bacd8c17"

Properties = dict[str, Any]

__all__ = ["ASSET", "SIGNATURE", "UNKNOWN", "Properties", "decode", "encode", "has_unknown", "secret_keys"]


def decode(struct: Struct) -> Properties:
    """Plain data, with secrets and output values unwrapped."""
    return {key: _decode(value) for key, value in struct.fields.items()}


def _decode(value: Value) -> Any:
    match value.WhichOneof("kind"):
        case "struct_value":
            bag = value.struct_value.fields
            if SIGNATURE in bag and bag[SIGNATURE].string_value in {SECRET, OUTPUT}:
                return _decode(bag["value"]) if "value" in bag else UNKNOWN
            return decode(value.struct_value)
        case "list_value":
            return [_decode(item) for item in value.list_value.values]
        case "number_value":
            number = value.number_value
            return int(number) if number.is_integer() else number
        case "string_value" | "bool_value" as kind:
            return getattr(value, kind)
        case _:
            return None


def encode(properties: Mapping[str, Any], secrets: Collection[str] = ()) -> Struct:
    """The Struct for a bag; the properties named in `secrets` are marked secret."""
    fields = {key: _encode(value) for key, value in properties.items()}
    for key in secrets:
        if key in fields:
            mark = Struct(fields={SIGNATURE: Value(string_value=SECRET), "value": fields[key]})
            fields[key] = Value(struct_value=mark)
    return Struct(fields=fields)


def _encode(value: Any) -> Value:
    match value:
        case None:
            return Value(null_value=0)  # type: ignore[arg-type]  # the stub wants the enum's NewType
        case bool():
            return Value(bool_value=value)
        case int() | float():
            return Value(number_value=value)
        case str():
            return Value(string_value=value)
        case Mapping():
            return Value(struct_value=encode(value))
        case list() | tuple():
            return Value(list_value=ListValue(values=[_encode(item) for item in value]))
        case _:
            raise TypeError(f"a {type(value).__name__} cannot be a property value")


def secret_keys(struct: Struct) -> frozenset[str]:
    """The top-level properties that are, or hold, a secret."""
    return frozenset(key for key, value in struct.fields.items() if _holds_secret(value))


def _holds_secret(value: Value) -> bool:
    match value.WhichOneof("kind"):
        case "struct_value":
            bag = value.struct_value.fields
            if SIGNATURE in bag and bag[SIGNATURE].string_value == SECRET:
                return True
            if SIGNATURE in bag and bag[SIGNATURE].string_value == OUTPUT and bag["secret"].bool_value:
                return True
            return any(_holds_secret(item) for item in bag.values())
        case "list_value":
            return any(_holds_secret(item) for item in value.list_value.values)
        case _:
            return False


def has_unknown(value: Any) -> bool:
    """Whether a value that only `up` will know lies anywhere in `value`."""
    match value:
        case dict():
            return any(has_unknown(item) for item in value.values())
        case list():
            return any(has_unknown(item) for item in value)
        case _:
            return bool(value == UNKNOWN)
