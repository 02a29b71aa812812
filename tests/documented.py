"""The commands of the documents: what a reader types, in the order in which it stands, and what of it no test types."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from sandbox.paths import REPO

PAGES = ("README.md", "CONTRIBUTING.md", *sorted(f"docs/{page.name}" for page in (REPO / "docs").glob("*.md")))
_BLOCK = re.compile(r"^( *)```(sh|console)\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Script:
    """The commands of one block, without their comments."""

    page: str
    commands: Sequence[str]

    @property
    def typed(self) -> Sequence[str]:
        """Those that the newcomer of tests/e2e/test_0_newcomer.py types."""
        return [command for command in self.commands if not command.startswith(tuple(NOT_RUN))]


def scripts() -> Sequence[Script]:
    """The blocks with commands of all pages."""
    return [*_scripts()]


def _scripts() -> Iterator[Script]:
    for page in PAGES:
        for indent, _, text in _BLOCK.findall((REPO / page).read_text()):
            lines = [line.removeprefix(indent) for line in text.splitlines()]
            prompted = [line.removeprefix("$ ") for line in lines if line.startswith("$ ")]
            commands = [re.sub(r"\s+# .*", "", line) for line in prompted or lines]
            yield Script(page, [*filter(None, commands)])


_TESTS = "it runs the tests themselves, or the checks of a commit"
_OWN_CLUSTER = "it needs kind and a cluster with Docker; tests/unit/sandbox/test_current.py has what it runs"
_OWN_STACK = "the sandbox's stack is made of Pulumi.dev.yaml; tests/apiserver/test_pulumi_refusals.py has another"
_MEASURES = "it measures for up to an hour and a half"
NOT_RUN: Mapping[str, str] = {
    # how commands begin -> why the newcomer does not type them
    "make test": _TESTS,
    "make check": _TESTS,
    "make unit": _TESTS,
    "make up CLUSTER=current": _OWN_CLUSTER,
    "kind create cluster": _OWN_CLUSTER,
    "pulumi login --local && export PULUMI_CONFIG_PASSPHRASE=": _OWN_CLUSTER,
    "make bench": _MEASURES,
    "kubectl apply --server-side -f dist/install.yaml": (
        "its image is not published; tests/apiserver/test_pulumi_packs.py applies such a manifest"
    ),
    "pulumi package add https://github.com/OWNER/canary-on-istio/package@v0.1.0": "it needs GitHub",
    'make preview STACK="staging prod" OPTIONS="--out FILE"': "the sandbox has no such stacks",
    "pulumi config set": _OWN_STACK,
    "CANARY_E2E_KEEP=1 .venv/bin/pytest tests/e2e/test_3_ab.py": _TESTS,
    "CANARY_SANDBOX=e2e .venv/bin/python -m sandbox down": "the tests end with it",
}
