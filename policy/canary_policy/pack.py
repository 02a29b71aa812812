"""The rules as a policy pack of Pulumi: advisory, unless the configuration of a stack makes them mandatory."""

from __future__ import annotations

from pulumi_policy import (
    EnforcementLevel,
    Policy,
    PolicyPack,
    PolicyResource,
    ReportViolation,
    ResourceValidation,
    ResourceValidationArgs,
    ResourceValidationPolicy,
    StackValidation,
    StackValidationArgs,
    StackValidationPolicy,
)

from canary_policy.resources import Resource
from canary_policy.rules import RULES, ChangeRule, ObjectRule, Rule, StackRule
from canary_policy.state import StateError, read_state

NAME = "canary-on-istio"


def serve() -> None:
    """Answer Pulumi until it ends this process."""
    PolicyPack(NAME, policies=[policy_of(rule) for rule in RULES], enforcement_level=EnforcementLevel.ADVISORY)


def policy_of(rule: Rule) -> Policy:
    """A rule as Pulumi runs it. What is not known before the update is not judged in a preview, and Pulumi says so."""
    if isinstance(rule, ObjectRule):
        return ResourceValidationPolicy(rule.name, rule.description, validate=_object_check(rule))
    if isinstance(rule, ChangeRule):
        return ResourceValidationPolicy(rule.name, rule.description, validate=_change_check(rule))
    return StackValidationPolicy(rule.name, rule.description, validate=_stack_check(rule))


def _object_check(rule: ObjectRule) -> ResourceValidation:
    def validate(args: ResourceValidationArgs, report: ReportViolation) -> None:
        resource = _resource(args)
        if not resource.exception(rule.name):
            for message in rule.check(resource):
                report(message, None)

    return validate


def _change_check(rule: ChangeRule) -> ResourceValidation:
    def validate(args: ResourceValidationArgs, report: ReportViolation) -> None:
        resource = _resource(args)
        if resource.kind != rule.kind:
            return
        try:
            before = read_state().get((resource.kind, resource.label))
        except StateError as error:
            report(f"{resource.label}: what it was is not known: {error}", None)
            return
        for message in rule.check(before, resource) if before else ():
            report(message, None)

    return validate


def _stack_check(rule: StackRule) -> StackValidation:
    def validate(args: StackValidationArgs, report: ReportViolation) -> None:
        for resource, message in rule.check([_resource(each) for each in args.resources]):
            if not resource.exception(rule.name):
                report(message, resource.urn)

    return validate


def _resource(found: ResourceValidationArgs | PolicyResource) -> Resource:
    return Resource(found.resource_type, found.urn, found.props)
