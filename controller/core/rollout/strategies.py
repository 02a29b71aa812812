"""How much traffic comes next. Weights are percent, 0 to 100."""

from __future__ import annotations

from controller.api.analysis import Analysis


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

    With ``advance: onEvidence`` a canary that is ``proven`` (every comparison has passed) goes up by ``maxStep`` where
    that is more; without ``maxStep`` to the limit at once.
    """
    step = next((step for step in weight_ladder(analysis) if step > weight), None)
    if step is None or not proven or analysis.advance != "onEvidence":
        return step
    return max(step, min(weight + (analysis.max_step or 100), analysis.weight_limit))


def next_promotion_weight(analysis: Analysis, weight: int) -> int:
    """The canary weight after one promotion step; 0 at once without ``stepWeightPromotion`` (Flagger)."""
    step = analysis.step_weight_promotion
    return max(0, weight - step) if step else 0
