"""How each strategy shares out the traffic, step by step: used by live progress, `plan` and replay alike.

Pure on the analysis. Weights are percent, 0 to 100. For A/B they are shares of the matched requests.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from controller.api.analysis import Analysis, Strategy
from controller.api.webhook import HookType
from controller.core.model import Routes


@dataclass(frozen=True, slots=True)
class Step:
    """What the canary gets next.

    Attributes:
        routes: its traffic.
        iterations: A/B, blue/green and holdback rounds done once this one is over.
        announcement: Flagger's event, with ``{canary}`` for the Canary's name.
        gate: the webhooks that must agree before; None: none.
    """

    routes: Routes
    iterations: int
    announcement: str
    gate: HookType | None = None


def next_step(analysis: Analysis, routes: Routes, iterations: int, *, proven: bool = False) -> Step | None:
    """The step after ``iterations`` rounds at ``routes``; None: the strategy is done, the promotion is next.

    ``proven`` says that every comparison has passed; with ``advance: onEvidence`` the weight may then rise faster.
    """
    if analysis.strategy is Strategy.WEIGHTED:
        step = _next_weighted(analysis, routes, iterations, proven=proven) if not iterations else None
        return step or _hold_back(analysis, iterations)
    wanted = analysis.iterations or 0
    if analysis.strategy is Strategy.AB_TESTING:
        return None if iterations >= wanted else _round(Routes(100), iterations + 1, wanted)
    if iterations != wanted:
        return None if iterations > wanted else _round(Routes(mirrored=analysis.mirror), iterations + 1, wanted)
    # Flagger: after the rounds one more with all users, behind the gate that also guards the promotion.
    stop = "Stop traffic mirroring and route" if routes.mirrored else "Routing"
    return Step(Routes(100), iterations + 1, f"{stop} all traffic to canary", HookType.CONFIRM_PROMOTION)


def _next_weighted(analysis: Analysis, routes: Routes, iterations: int, *, proven: bool) -> Step | None:
    gate, weight = HookType.CONFIRM_TRAFFIC_INCREASE, next_weight(analysis, routes.canary_weight, proven=proven)
    if weight is None:
        return None
    if analysis.mirror and routes == Routes():
        return Step(Routes(mirrored=True), iterations, "Mirroring traffic to {canary}", gate)
    return Step(Routes(weight), iterations, f"Advance {{canary}} canary weight {weight}", gate)


def _hold_back(analysis: Analysis, iterations: int) -> Step | None:
    """All but a share of the traffic, for so many rounds; who guards the promotion is asked before."""
    if analysis.holdback is None or iterations >= analysis.holdback_rounds:
        return None
    routes = Routes(100 - analysis.holdback.weight)
    step = _round(routes, iterations + 1, analysis.holdback_rounds)
    announcement = f"Advance {{canary}} canary weight {routes.canary_weight}"
    return replace(step, announcement=announcement, gate=HookType.CONFIRM_PROMOTION) if not iterations else step


def _round(routes: Routes, number: int, wanted: int) -> Step:
    return Step(routes, number, f"Advance {{canary}} canary iteration {number}/{wanted}")


def walk_steps(analysis: Analysis, proven: Callable[[int], bool]) -> Iterator[Step]:
    """Every step of a rollout whose checks all pass; ``proven(n)`` says whether the comparisons passed at look n."""
    routes, iterations, looks = Routes(), 0, 0
    while (step := next_step(analysis, routes, iterations, proven=proven(looks))) is not None:
        yield step
        routes, iterations, looks = step.routes, step.iterations, looks + 1


def fits(analysis: Analysis, routes: Routes, iterations: int) -> bool:
    """Whether the analysis can lead to these routes; False after an edit that would not have given so much traffic."""
    match analysis.strategy:
        case Strategy.WEIGHTED:
            held = 100 - analysis.holdback.weight if analysis.holdback and iterations else analysis.weight_limit
            return routes.canary_weight <= held and iterations <= analysis.holdback_rounds
        case Strategy.AB_TESTING:
            return True
        case Strategy.BLUE_GREEN:
            return not routes.canary_weight or iterations == (analysis.iterations or 0) + 1


def weight_ladder(analysis: Analysis) -> tuple[int, ...]:
    """The canary weights of a weighted analysis, rising, each once; none above ``analysis.weight_limit``.

    ``stepWeight`` rises to the limit and its last step is cut to it (Flagger steps over: 25 to 60 ends at 75).
    Empty where the analysis has neither ``stepWeight`` nor ``stepWeights``.
    """
    limit, step = analysis.weight_limit, analysis.step_weight
    if analysis.step_weights:
        return tuple(dict.fromkeys(min(weight, limit) for weight in analysis.step_weights))
    return (*range(step, limit, step), limit) if step else ()


def next_weight(analysis: Analysis, weight: int, *, proven: bool = False) -> int | None:
    """The first step of the ladder above ``weight``; None at its end.

    With ``advance: onEvidence`` a canary that is ``proven`` goes up by ``maxStep`` where that is more; without
    ``maxStep`` to the limit at once.
    """
    step = next((step for step in weight_ladder(analysis) if step > weight), None)
    if step is None or not proven or analysis.advance != "onEvidence":
        return step
    return max(step, min(weight + (analysis.max_step or 100), analysis.weight_limit))


def next_promotion_weight(analysis: Analysis, weight: int) -> int:
    """The canary weight after one promotion step; 0 at once without ``stepWeightPromotion`` (Flagger)."""
    step = analysis.step_weight_promotion
    return max(0, weight - step) if step else 0
