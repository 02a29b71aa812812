"""All that a preview of one stack says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from preview.changes import Change
from preview.charts import ChartDiff
from preview.policies import Violation


@dataclass(frozen=True, slots=True)
class StackPreview:
    """The preview of one stack.

    Attributes:
        changes: every resource, those that stay the same too.
        messages: warnings and errors, each once.
        error: why there is no preview; empty when there is one.
        charts: what the Helm releases that change have inside.
        diff: Pulumi's own, as text.
        violations: what is against the policies, the mandatory ones first.
        unreachable: why the cluster could not be asked, so that this is about the last state; empty when it could.
    """

    stack: str
    changes: tuple[Change, ...] = ()
    messages: tuple[str, ...] = ()
    error: str = ""
    charts: tuple[ChartDiff, ...] = ()
    diff: str = ""
    violations: Sequence[Violation] = ()
    unreachable: str = ""

    @property
    def is_refused(self) -> bool:
        """Whether there is nothing to update to: no preview, or a violation that `up` does not let pass."""
        return bool(self.error) or any(each.is_mandatory for each in self.violations)
