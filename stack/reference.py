"""Writes docs/configuration.md from the model, so that the two cannot differ (tests/unit/stack/test_reference.py)."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import annotated_types
import yaml
from pydantic import AfterValidator, AwareDatetime, BaseModel, SecretStr
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from controller.api.rules import Rule
from stack.config import LoadTesterConfig, StackConfig
from stack.gateway import GatewayConfig
from stack.istio import IstioConfig
from stack.names import ISTIO_NAMESPACE
from stack.namespace import NamespaceConfig
from stack.values import Pattern
from stack.workshop import complete, workshop_apps

HEAD = """\
# Configuration of a stack

Every key of the stack's configuration: its type, its default, its meaning. This file is written from the model in
`stack/config.py` by `make generate`; a test fails when it is out of date.

The sections are structured objects under the project's name. Set one value with
`pulumi config set --path canary-on-istio:apps.backend.tag 6.1.1`, or write `Pulumi.<stack>.yaml`:

```yaml
config:
  canary-on-istio:apps:
    backend:
      tag: 6.1.1
      analysis:
        metrics:
          latency: {thresholdRange: {max: 300}}
```

- A key that is not listed here, or a value out of range, fails the preview, with all errors at once.
- What a stack sets in `apps`, in `targets` or in Helm values is merged over the defaults: mappings key by key, anything
  else replaces the default. An app is there if `apps` names it.
- `metrics`, `webhooks` and `alerts` of an app may be mappings by name, as above, or lists as in a Canary; a list
  replaces the defaults.
- An app that sets another strategy (`iterations`, `stepWeight` or `stepWeights`) than its default replaces it.
- A webhook without `url` goes to the load tester of its namespace.
- Pulumi secrets have their place in `secrets`, and no other: what needs one names it (docs/security.md).

The cluster is the current kube context, or what the Kubernetes provider's own keys say: `kubernetes:kubeconfig` (a
path, or the content) and `kubernetes:context`. `kubernetes:enableConfigMapMutable` and `enableSecretMutable` are set in
`Pulumi.yaml` and must stay: otherwise a changed ConfigMap or Secret would be deleted and created again, and missing for
the app's canary in between.
"""

APPS = """
### The default apps

What `apps.frontend` and `apps.backend` are when a stack does not set them. Any other app starts from the `analysis` of
`backend` without its webhooks, and needs `image`, `tag` and `service.port`. So does a target, which needs
`service.port` alone.

"""

_ENTRIES = {"apps": "app", "targets": "target", "namespaces": "namespace"}
"""What a name in a section is that of."""
_WORDS = {
    str: "text",
    int: "whole number",
    float: "number",
    bool: "true or false",
    AwareDatetime: "time",
    SecretStr: "secret",
}


def render() -> str:
    """The whole document."""
    told: dict[Any, str] = {}
    sections = (
        f"\n## `{info.alias}`\n\n| key | type | default | meaning |\n| --- | --- | --- | --- |\n"
        + "".join(f"| {' | '.join(cells)} |\n" for cells in _rows(info, str(info.alias), told))
        for info in StackConfig.model_fields.values()
    )
    namespace = NamespaceConfig().name
    workshop = workshop_apps(namespace, GatewayConfig(), IstioConfig().gateway_service)
    apps = complete(
        {name: {} for name in workshop},
        namespace=namespace,
        load_tester=LoadTesterConfig(),
        templates=ISTIO_NAMESPACE,
        alerts={},
        workshop=workshop,
    )
    example = yaml.safe_dump({"canary-on-istio:apps": apps}, sort_keys=False, width=120)
    return "".join([HEAD, *sections, APPS, f"```yaml\n{example}```\n"])


def _rows(info: FieldInfo, path: str, told: dict[Any, str]) -> Iterator[Sequence[str]]:
    """The rows of a key and of those below it, unless the same keys were `told` before, at another path."""
    below_it = list(_models(info.annotation, path))
    if info.description and len(below_it) == 1 and below_it[0][0] in told:
        yield f"`{path}`", f"as `{told[below_it[0][0]]}`", _default(info), _escape(info.description)
        return
    if info.description or not below_it:
        yield f"`{path}`", _type(info.annotation, info.metadata), _default(info), _escape(info.description or "")
    for model, below in below_it:
        told.setdefault(model, path)
        for name, field in model.model_fields.items():
            yield from _rows(field, f"{below}.{field.alias or name}", told)


def _models(annotation: Any, path: str) -> Iterator[tuple[type[BaseModel], str]]:
    """The models below an annotation, each with the path of its keys."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation, path
        return
    arguments = get_args(annotation)
    if get_origin(annotation) in {dict, Mapping}:
        yield from _models(arguments[1], f"{path}.<{_ENTRIES.get(path, 'name')}>")
    elif get_origin(annotation) in {list, tuple}:
        named = path.rpartition(".")[2] in {"metrics", "webhooks", "alerts"}
        yield from _models(arguments[0], f"{path}.<name>" if named else f"{path}[]")
    else:
        for argument in arguments:
            yield from _models(argument, path)


def _type(annotation: Any, metadata: Sequence[Any] = ()) -> str:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _type(arguments[0], [*arguments[1:], *metadata])
    if origin in {Union, UnionType}:
        return _type(next(member for member in arguments if member is not NoneType), metadata)
    if origin is Literal:
        return ", ".join(f"`{value}`" for value in arguments if value != "")
    limits = [limit for each in metadata if (limit := _limit(each))]
    if limits and annotation is str:
        return _escape("; ".join(limits))
    return _escape(", ".join([_word(annotation), *limits]))


def _word(annotation: Any) -> str:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin in {dict, Mapping}:
        return f"mapping of {_type(arguments[1])}"
    if origin in {list, tuple}:
        return f"list of {_type(arguments[0])}"
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return "section"
    return _WORDS.get(annotation, "path" if getattr(annotation, "__name__", "") == "Path" else "any value")


def _limit(metadata: Any) -> str:
    """What a piece of metadata allows, in words."""
    match metadata:
        case AfterValidator(func=Pattern(allowed=allowed)):
            return str(allowed)
        case Rule(message=message):
            return str(message).removeprefix("must be ")
        case annotated_types.Ge(ge=low):
            return f"{low} or more"
        case annotated_types.Le(le=high):
            return f"{high} or less"
    nested = getattr(metadata, "metadata", ())  # a Field inside Annotated
    return ", ".join(filter(None, map(_limit, nested)))


def _default(info: FieldInfo) -> str:
    if info.is_required():
        return "required"
    default = info.get_default(call_default_factory=True, validated_data={})
    if default is None or default is PydanticUndefined or (not default and default is not False and default != 0):
        return ""
    if isinstance(default, BaseModel):
        default = default.model_dump(by_alias=True, exclude_defaults=True, mode="json")
    return f"`{_escape(json.dumps(default))}`" if default != {} else ""


def _escape(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")
