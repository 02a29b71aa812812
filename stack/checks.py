"""What is wrong between the sections of a stack, each of which is right by itself."""

from __future__ import annotations

import json
from collections.abc import Iterator

from controller.api import Problem, parse_duration
from stack.config import StackConfig
from stack.names import DEFAULT_TEMPLATES, ISTIO_NAMESPACE


def contradictions(config: StackConfig) -> Iterator[Problem]:
    """Everything that cannot work as configured."""
    yield from _intervals_below_the_floor(config)
    yield from _unknown_templates(config)
    yield from _apps_outside_the_controllers_namespaces(config)


def _intervals_below_the_floor(config: StackConfig) -> Iterator[Problem]:
    floor = config.controller.minimum_interval
    for name, app in config.apps.items():
        if app.analysis.interval_seconds < parse_duration(floor):
            message = f"{app.analysis.interval} must not be below controller.minimumInterval, {floor}"
            yield Problem(f"apps.{name}.analysis.interval", message)


def _unknown_templates(config: StackConfig) -> Iterator[Problem]:
    """A template in another namespace may belong to somebody else; those in istio-system are the stack's own."""
    templates = sorted({*DEFAULT_TEMPLATES, *config.observability.metric_templates})
    known = f"known: {', '.join(templates)}; add others to observability.metricTemplates"
    for name, app in config.apps.items():
        for metric in app.analysis.metrics:
            ref = metric.template_ref
            if ref and ref.namespace == ISTIO_NAMESPACE and ref.name not in templates:
                path = f"apps.{name}.analysis.metrics.{metric.name}.templateRef.name"
                yield Problem(path, f'Not found: "{ref.name}": no such metric template ({known})')


def _apps_outside_the_controllers_namespaces(config: StackConfig) -> Iterator[Problem]:
    namespaces = config.controller.namespaces
    if namespaces and config.apps and config.namespace.name not in namespaces:
        message = f'must include "{config.namespace.name}", the namespace of the apps (namespace.name)'
        yield Problem("controller.namespaces", f"Invalid value: {json.dumps(namespaces)}: {message}")
