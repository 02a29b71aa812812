"""The package as Pulumi runs it: a provider whose schema is read from the components."""

from __future__ import annotations

import json
import re
import sys

import pulumi
from pulumi.errors import InputPropertiesError, InputPropertyErrorDetails
from pulumi.provider import ConstructResult, main
from pulumi.provider.experimental.component import ComponentProvider
from pulumi.provider.server import ComponentInitError

from controller import __version__
from controller.api import Problem
from package.arguments import descriptions
from package.components import COMPONENTS, NAME
from stack.errors import ConfigError


class _Provider(ComponentProvider):
    def construct(
        self, name: str, resource_type: str, inputs: pulumi.Inputs, options: pulumi.ResourceOptions | None = None
    ) -> ConstructResult:
        """One resource. What is wrong with its arguments is said of each, without a trace."""
        try:
            return super().construct(name, resource_type, inputs, options)
        except ComponentInitError as error:
            if not isinstance(error.inner, ConfigError):
                raise
            raise InputPropertiesError("", [_detail(each) for each in error.inner.problems]) from None


def _detail(problem: Problem) -> InputPropertyErrorDetails:
    """An app is the component itself here; in a stack it is in the section of the apps."""
    return {"property_path": re.sub(r"^apps\.[^.]+\.", "", problem.path), "reason": problem.message}


def serve() -> None:
    """Answer Pulumi until it ends this process."""
    main(build_provider(), sys.argv[1:])


def build_provider() -> ComponentProvider:
    """The provider; its schema has the descriptions of the models, which Pulumi does not look for there."""
    provider = _Provider(COMPONENTS, NAME, version=__version__)
    schema = json.loads(provider.schema or "{}")
    for component in COMPONENTS:
        for kind, told in descriptions(component).items():
            inputs = f"{component.__name__}Args"
            properties = (
                schema["resources"][f"{NAME}:index:{component.__name__}"]["inputProperties"]
                if kind == inputs
                else schema["types"][f"{NAME}:index:{kind}"]["properties"]
            )
            for key, text in told.items():
                properties[key]["description"] = text
    # Else Go lacks the types of what is in maps, and does not compile.
    schema["language"]["go"]["generateExtraInputTypes"] = True
    provider.schema = json.dumps(schema)
    return provider
