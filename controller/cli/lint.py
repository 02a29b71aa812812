"""``canary lint``: what the API server and the controller would reject, without a cluster."""

from __future__ import annotations

import sys
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any

import typer

from controller.api import (
    AlertProvider,
    Canary,
    InvalidObject,
    Metric,
    MetricTemplate,
    parse_alert_provider,
    parse_canary,
    parse_metric_template,
    unsupported_fields,
)
from controller.cli.errors import reports_errors
from controller.cli.manifests import Document, UnreadableFile, read_documents
from controller.core.analysis.comparisons import plan_comparison
from controller.core.analysis.sides import doubts
from controller.core.analysis.thresholds import missing_templates, plan_query
from controller.core.model import Manifest
from controller.core.objects.dependencies import circle_problem, find_circle, needs
from controller.core.objects.ownership import find_rival
from controller.core.probes import QueryFailed

Resource = Canary | MetricTemplate | AlertProvider

PARSERS: Mapping[str, Callable[[Mapping[str, Any]], Resource]] = {
    "Canary": parse_canary,
    "MetricTemplate": parse_metric_template,
    "AlertProvider": parse_alert_provider,
}


class Severity(StrEnum):
    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


@dataclass(frozen=True, slots=True)
class Finding:
    """One problem in a file; ``str()`` is the line to print, in the format of a compiler."""

    file: str
    line: int
    severity: Severity
    message: str

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else self.file
        return f"{place}: {self.severity}: {self.message}"


@reports_errors
def lint(
    files: Annotated[list[str], typer.Argument(metavar="FILE", help="YAML files; - reads standard input.")],
) -> None:
    """Check manifests without a cluster.

    Checks Canaries, MetricTemplates and AlertProviders, and skips all other objects. Exits with status 1 if there is an
    error.
    """
    findings, objects = check_files(files)
    for finding in findings:
        print(finding)
    found = {severity: sum(finding.severity is severity for finding in findings) for severity in Severity}
    summary = ", ".join(_plural(number, severity) for severity, number in found.items() if number)
    print(f"{_plural(objects, 'object')} checked: {summary or 'no problems found'}", file=sys.stderr)
    if found[Severity.ERROR]:
        raise SystemExit(1)


def check_files(files: Sequence[str]) -> tuple[list[Finding], int]:
    """The findings, in the order of the files, and the number of objects checked."""
    documents, findings = list[Document](), list[Finding]()
    for file in files:
        try:
            documents += [document for document in read_documents(file) if document.kind in PARSERS]
        except UnreadableFile as error:
            findings.append(Finding(file, error.line, Severity.ERROR, error.reason))
    parsed: list[tuple[Document, Resource]] = []
    for document in documents:
        try:
            parsed.append((document, PARSERS[document.kind](document.value)))
        except InvalidObject as error:
            findings += [_finding(document, Severity.ERROR, str(problem), problem.path) for problem in error.problems]
    templates = {
        f"{resource.metadata.namespace}/{resource.metadata.name}": resource
        for _, resource in parsed
        if isinstance(resource, MetricTemplate)
    }
    chats = {
        f"{resource.metadata.namespace}/{resource.metadata.name}"
        for _, resource in parsed
        if isinstance(resource, AlertProvider)
    }
    canaries = [(document.value, resource.namespace) for document, resource in parsed if isinstance(resource, Canary)]
    by_name = {
        f"{resource.namespace}/{resource.name}": document.value
        for document, resource in parsed
        if isinstance(resource, Canary)
    }
    for document, resource in parsed:
        findings += _unsupported(document, resource)
        if isinstance(resource, Canary):
            findings += _canary(document, resource, templates)
            findings += _alerts(document, resource, chats)
            findings += _order(document, resource, by_name)
            findings += _rival(document, [value for value, namespace in canaries if namespace == resource.namespace])
    order = {file: position for position, file in enumerate(files)}
    return sorted(findings, key=lambda finding: (order[finding.file], finding.line)), len(documents)


def _finding(document: Document, severity: Severity, message: str, path: str = "") -> Finding:
    position = f"document {document.number}, " if document.number > 1 else ""
    return Finding(document.file, document.line(path), severity, f"{position}{document.label}: {message}")


def _unsupported(document: Document, resource: Resource) -> Iterator[Finding]:
    for sentence in unsupported_fields(resource):
        yield _finding(document, Severity.ERROR, sentence, sentence.partition(":")[0])


def _canary(document: Document, canary: Canary, templates: Mapping[str, MetricTemplate]) -> Iterator[Finding]:
    """What the schema cannot check."""
    for path, message in doubts(canary):
        yield _finding(document, Severity.WARNING, f"{path}: {message}", path)
    missing = missing_templates(canary, templates)
    for number, metric in enumerate(canary.spec.analysis.metrics):
        path = f"spec.analysis.metrics[{number}]"
        references = {f"{path}.{field}": each.key(canary.namespace) for field, each in metric.template_refs.items()}
        unknown = {field: key for field, key in references.items() if key in missing}
        for field, key in unknown.items():
            found = f"{field}: MetricTemplate {key} is not in these files; it must exist in the cluster"
            yield _finding(document, Severity.NOTE, found, field)
        if metric.bounds and not unknown and isinstance(planned := plan_query(canary, metric, templates), QueryFailed):
            yield _finding(document, Severity.ERROR, f"{path}: {planned.reason}", path)
        compared = plan_comparison(canary, metric, templates) if metric.compare and not unknown else None
        if isinstance(compared, QueryFailed):
            yield _finding(document, Severity.ERROR, f"{path}.compare: {compared.reason}", f"{path}.compare")
        for variable in () if unknown else _unused_variables(metric, [templates[key] for key in references.values()]):
            unused = f"{path}.templateVariables: no query uses {{{{ variables.{variable} }}}}"
            yield _finding(document, Severity.WARNING, unused, f"{path}.templateVariables")


def _alerts(document: Document, canary: Canary, known: Container[str]) -> Iterator[Finding]:
    """A receiver that does not exist is found at the first alert otherwise, which may be that of a failure."""
    for number, alert in enumerate(canary.spec.analysis.alerts):
        path, key = f"spec.analysis.alerts[{number}].providerRef", alert.provider_ref.key(canary.namespace)
        if key not in known:
            found = f"{path}: AlertProvider {key} is not in these files; it must exist in the cluster"
            yield _finding(document, Severity.NOTE, found, path)


def _order(document: Document, canary: Canary, known: Mapping[str, Manifest]) -> Iterator[Finding]:
    """Canaries that none of these files has, and those that wait for each other."""
    for number, reference in enumerate(canary.spec.depends_on):
        path, key = f"spec.dependsOn[{number}]", reference.key(canary.namespace)
        if key not in known:
            found = f"{path}: Canary {key} is not in these files; it must exist in the cluster"
            yield _finding(document, Severity.NOTE, found, path)
    circle = find_circle(f"{canary.namespace}/{canary.name}", lambda key: needs(known[key]) if key in known else ())
    if problem := circle_problem(circle):
        yield _finding(document, Severity.ERROR, problem, "spec.dependsOn")


def _unused_variables(metric: Metric, templates: Iterable[MetricTemplate]) -> tuple[str, ...]:
    """The variables of a metric that none of its queries has; Flagger ignores them."""
    queries = " ".join((str(metric.to_dict()), *(template.spec.query for template in templates)))
    return tuple(name for name in metric.template_variables if f"variables.{name}" not in queries)


def _rival(document: Document, canaries: Sequence[Manifest]) -> Iterator[Finding]:
    """Two Canaries of the files, all of one namespace, that use the same object."""
    if rival := find_rival(document.value, canaries):
        message = f"{rival.field}: {rival.kind} {rival.name} is also used by Canary {rival.canary}"
        yield _finding(document, Severity.ERROR, message, rival.field)


def _plural(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
