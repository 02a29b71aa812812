"""All that a preview of one stack says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from preview.changes import Change, fields
from preview.charts import ChartDiff
from preview.policies import Violation

_PAGE = "--page-url="
"""The controller's option."""


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
    def page_url(self) -> str:
        """Where people will open the page of its controller, whose argument says so; empty where nowhere."""
        return next(filter(None, map(_page_url, self.changes)), "")

    @property
    def is_refused(self) -> bool:
        """Whether there is nothing to update to: no preview, or a violation that `up` does not let pass."""
        return bool(self.error) or any(each.is_mandatory for each in self.violations)


def _page_url(change: Change) -> str:
    if change.kind != "Deployment":
        return ""
    pod = fields(fields(fields(change.after.get("spec")).get("template")).get("spec"))
    arguments = (str(each) for container in pod.get("containers") or () for each in container.get("args") or ())
    return next((each.removeprefix(_PAGE) for each in arguments if each.startswith(_PAGE)), "")
