"""What a change means for users: which app gets which version, how it reaches them, and how soon a fault is found."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from controller.api import Canary, Strategy
from controller.api.errors import InvalidObject
from controller.api.parse import parse_canary
from controller.core.evidence.question import Verdict
from controller.core.objects.configs import config_refs
from controller.core.simulation.expectations import Traffic
from controller.core.simulation.schedule import Schedule, plan_schedule
from controller.views import words
from preview.changes import Change, Op, fields

SHOWN = 6
"""Weights that are named, at most."""


@dataclass(frozen=True, slots=True)
class Rollout:
    """One app that changes for its users.

    Attributes:
        place: as in ``prod/backend``.
        changes: what is new, a line each.
        plan: how it reaches the users, a line each.
    """

    place: str
    changes: tuple[str, ...]
    plan: tuple[str, ...]


def find_rollouts(changes: Sequence[Change], traffic: Mapping[str, Traffic]) -> Iterator[Rollout]:
    """Every app whose users get something else, by namespace and name.

    Args:
        changes: of a whole stack, with what stays the same.
        traffic: what is known of today's, by place.
    """
    there = {(each.kind, *each.place): each for each in changes}
    canaries = (each for each in changes if each.kind == "Canary")
    for canary in sorted(canaries, key=lambda each: each.place):
        namespace, name = canary.place
        target = _target(canary, there)
        place = f"{namespace}/{name}"
        if target is not None and target.op is Op.DELETE:
            yield Rollout(place, ("it is removed",), ("its users get no answer any more",))
        elif canary.op is Op.DELETE:
            yield Rollout(place, ("its Canary is removed",), ("new versions reach **all users at once**",))
        elif canary.op is Op.CREATE and target is not None and target.op is Op.CREATE:
            created = tuple(f"`{image}`, new" for image in _images(target.after).values())
            yield Rollout(place, created, ("the first version gets all traffic at once",))
        elif canary.op is Op.CREATE:
            yield Rollout(place, ("a Canary, new",), ("the version that it finds keeps all traffic",))
        else:
            lost = tuple(_lost_routes(canary))
            new = tuple(_news(target, there)) if target is not None else ()
            if lost or new:
                plan = tuple(_plan(canary, traffic.get(place))) if new else ()
                yield Rollout(place, (*lost, *new), (*(("the routes go **at once**",) if lost else ()), *plan))


def _target(canary: Change, there: Mapping[tuple[str, str, str], Change]) -> Change | None:
    """The workload of a Canary, if the program makes it; by the Canary's name where its spec is not known yet."""
    namespace, name = canary.place
    specs = (fields(each.get("spec")) for each in (canary.after, canary.before))
    known = (fields(spec.get("targetRef")) for spec in specs)
    reference = next(filter(None, known), {"kind": "Deployment", "name": name})
    return there.get((str(reference.get("kind")), namespace, str(reference.get("name"))))


def _lost_routes(canary: Change) -> Iterator[str]:
    """By which way its users came in, and will not any more."""
    before, after = (fields(fields(each.get("spec")).get("service")) for each in (canary.before, canary.after))
    if not before or not after:
        return
    for what, otherwise in (("host", ()), ("gateway", ("mesh",))):
        kept: Sequence[str] = after.get(f"{what}s") or otherwise
        had: Sequence[str] = before.get(f"{what}s") or otherwise
        yield from (f"**no longer routed:** {what} `{each}`" for each in had if each not in kept)
    matched: Sequence[Any] = after.get("match") or ()
    every_request: Sequence[Any] = ({},)
    if matched and any(each not in matched for each in before.get("match") or every_request):
        yield "**no longer routed:** requests of which `service.match` says nothing any more"


def _news(target: Change, there: Mapping[tuple[str, str, str], Change]) -> Iterator[str]:
    """What makes a new revision: the pod template, and the configs that the pods use."""
    before, after = (fields(fields(each.get("spec")).get("template")) for each in (target.before, target.after))
    if target.op in (Op.UPDATE, Op.REPLACE):
        ran, runs = _images(target.before), _images(target.after)
        yield from (_version(ran.get(name, ""), image) for name, image in runs.items() if image != ran.get(name))
        yield from (f"`{path}`" for path in differing(before, after) if not path.endswith("].image"))
    for reference in config_refs(target.after) if after else ():
        config = there.get((reference.kind, target.place[0], reference.name))
        if config is not None and config.op is not Op.SAME:
            yield f"{reference.kind} `{reference.name}`"


def differing(before: Any, after: Any, path: str = "") -> Iterator[str]:
    """Where two templates differ, as in ``spec.containers[backend].env[COLOUR]``: what is new or gone, as a whole."""
    if before == after:
        return
    parts = [_named(each) for each in (before, after)]
    if path and (parts[0] is None or parts[1] is None):
        yield path
        return
    former, latter = (each or {} for each in parts)
    for key in dict.fromkeys((*former, *latter)):
        inside = f"{path}{key}" if key.startswith("[") else f"{path}.{key}".lstrip(".")
        known = key in former and key in latter
        yield from differing(former[key], latter[key], inside) if known else (inside,)


def _named(value: Any) -> Mapping[str, Any] | None:
    """The fields of an object, or the elements of a list by their names; None of anything else."""
    if isinstance(value, Mapping):
        return value
    if isinstance(value, list) and all(isinstance(each, Mapping) and each.get("name") for each in value):
        return {f"[{each['name']}]": each for each in value}
    return None


def _images(workload: Mapping[str, Any]) -> dict[str, str]:
    """The images of the pods by container."""
    pod = fields(fields(fields(workload.get("spec")).get("template")).get("spec"))
    containers = (*(pod.get("initContainers") or ()), *(pod.get("containers") or ()))
    return {str(each.get("name")): str(each.get("image")) for each in containers}


def _version(before: str, after: str) -> str:
    """``backend: 6.1.0 to 6.1.2``; whole references where more than the version changes."""
    (former, former_tag), (repository, tag) = _split(before), _split(after)
    if former == repository and former_tag and tag:
        return f"{repository.rpartition('/')[2]} **{former_tag}** to **{tag}**"
    return f"`{before}` to `{after}`" if before else f"`{after}`, new"


def _split(image: str) -> tuple[str, str]:
    """Repository, and tag or digest."""
    repository, at, digest = image.partition("@")
    if at:
        return repository, digest
    name = image.rpartition("/")[2]
    tag = name.partition(":")[2]
    return image.removesuffix(f":{tag}") if tag else image, tag


def _plan(change: Change, traffic: Traffic | None) -> Iterator[str]:
    if not fields(change.after.get("spec")):
        yield "how is not known before the update"
        return
    try:
        canary = parse_canary(change.object)
    except InvalidObject as error:
        yield str(error)
        return
    if canary.spec.suspend:
        yield "suspended: nothing is rolled out"
    elif canary.spec.skip_analysis:
        yield "promoted at once, **without an analysis** (`skipAnalysis`)"
    else:
        schedule = plan_schedule(canary.spec.analysis, traffic)
        yield from _schedule(canary, schedule)
        yield from _detection(canary, schedule, traffic)


def _schedule(canary: Canary, schedule: Schedule) -> Iterator[str]:
    weights = dict.fromkeys(
        "a copy of the requests" if step.routes.mirrored else f"{step.routes.canary_weight}%" for step in schedule.steps
    )
    share = "of the matched requests" if canary.spec.analysis.strategy is Strategy.AB_TESTING else "of the traffic"
    shown = [*weights] if len(weights) <= SHOWN else [*[*weights][: SHOWN - 2], "…", [*weights][-1]]
    yield f"{len(schedule.steps)} steps of {words.duration(schedule.interval)}: {', '.join(shown)} {share}"
    yield f"promoted after {words.duration(schedule.shortest)} at the earliest"
    if schedule.longest is None:
        yield "a gate holds it until somebody opens it"
    else:
        yield f"promoted or rolled back after {words.duration(schedule.longest)} at the latest"


def _detection(canary: Canary, schedule: Schedule, traffic: Traffic | None) -> Iterator[str]:
    """How soon a canary that is harmful is found, as far as that can be known."""
    analysis = canary.spec.analysis
    if not analysis.metrics:
        yield "**no metric judges it**"
    elif not analysis.compares:
        fails = words.duration(schedule.interval * analysis.failure_threshold)
        yield f"rolled back after {analysis.failure_threshold} failed checks, {fails} at the earliest"
    elif traffic is None:
        yield "how soon more errors are found depends on the traffic, which is not known: `--prometheus`"
    for each in schedule.expectations:
        if each.verdict is not Verdict.FAIL or each.dry_run:
            continue
        harm = f"a canary with `{each.metric}` {words.ratio(each.ratio)} as bad"
        if each.seconds is None:
            yield f"**{harm} would not be found** at today's traffic"
        else:
            yield f"{harm} is found after {words.duration(each.seconds)} at today's traffic"
