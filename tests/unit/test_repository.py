"""What the repository says about itself is true."""

import json
import re
import tomllib
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

import pytest

from controller.api.status import Phase
from controller.core.rollout.phases import HOLDS, MOVES
from stack.istio import DEFAULT_ISTIO_VERSION

ROOT = Path(__file__).parents[2]
ROOMS = ("bench", "components", "controller", "crds", "docs", "package", "policy", "sandbox", "stack", "tests")
NAMES = [path.relative_to(ROOT).as_posix() for room in ROOMS for path in (ROOT / room).rglob("*")]
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md")),
    *sorted((ROOT / "docs").glob("*.md")),
]

PATH = re.compile(rf"(?<![\w./:-])(?:(?:{'|'.join(ROOMS)})/[\w./*-]*|[\w./*-]+\.(?:py|toml|md))(?![\w-])")
LINK = re.compile(r"\]\(([^)#\s]+)")


def exists(path: str, page: Path) -> bool:
    """Whether ``path`` leads somewhere from the root or from the page, or is the end of a path in the repository."""
    found = (ROOT / path).exists() or (page.parent / path).exists()
    return found or any(fnmatch(f"/{name}", f"*/{path}") for name in NAMES)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_path_in_the_documentation_exists(page):
    text = re.sub(r"https?://[^\s)]+", "", page.read_text())
    named = {path.rstrip("./") for path in (*PATH.findall(text), *LINK.findall(text))}
    assert [path for path in sorted(named) if not exists(path, page)] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_no_page_waits_to_be_filled_in(page):
    assert re.findall(r"@@|TODO|TBD|FIXME|XXX", page.read_text()) == []


def found_versions(file: str, text: str) -> Iterator[tuple[str, str]]:
    """What Renovate's custom managers find in a file of this name and text: names with versions."""
    for manager in json.loads((ROOT / "renovate.json").read_text())["customManagers"]:
        if not any(re.search(pattern.strip("/"), file) for pattern in manager["managerFilePatterns"]):
            continue
        patterns = [re.sub(r"\(\?<(?=\w)", "(?P<", pattern) for pattern in manager["matchStrings"]]
        texts = [text]
        if manager.get("matchStringsStrategy") == "recursive":  # each pattern looks into what the one before has found
            *outer, last = patterns
            for pattern in outer:
                texts = [match[0] for each in texts for match in re.finditer(pattern, each)]
            patterns = [last]
        for match in (match for each in texts for pattern in patterns for match in re.finditer(pattern, each)):
            named = match.groupdict()
            yield named.get("depName") or manager["depNameTemplate"], named["currentValue"]


def managed_versions(file: str) -> dict[str, str]:
    return dict(found_versions(file, (ROOT / file).read_text()))


def test_renovate_finds_the_istio_of_a_stack():
    stack = """config:
  canary-on-istio:observability:
    grafana: {version: 12.7.2}
  canary-on-istio:istio:
    version: 1.30.4
    # Beside it.
    revisions:
      next: '1.31.1'
    values: {istiod: {global: {tag: 1.31.1-custom}}}
  canary-on-istio:apps:
    shop: {version: 3.2.1}
"""
    assert [*found_versions("Pulumi.prod.yaml", stack)] == [("istiod", "1.30.4"), ("istiod", "1.31.1")]


def test_renovate_finds_every_version_of_the_sandbox():
    (file,) = (name for name in NAMES if name.endswith("/versions.toml"))
    tables = tomllib.loads((ROOT / file).read_text())
    entries = [tables["toolchain"], *tables["wheel"].values(), *tables["go"].values()]
    versions = {each.get("module") or each["package"]: each["version"] for each in entries if "version" in each}
    assert managed_versions(file) == versions


def test_renovate_finds_the_versions_that_a_stack_installs():
    assert managed_versions("stack/istio.py") == {"istiod": DEFAULT_ISTIO_VERSION}
    found = managed_versions("stack/config.py") | managed_versions("stack/observability.py")
    assert found.keys() == {"grafana", "prom/prometheus", "ghcr.io/fluxcd/flagger-loadtester"}


@pytest.mark.parametrize(("file", "name"), [("Makefile", "uv"), ("bench/cost/flagger.py", "github.com/fluxcd/flagger")])
def test_renovate_finds_a_single_version(file, name):
    assert managed_versions(file).keys() == {name}


def test_every_reason_to_wait_or_to_fail_is_explained():
    reasons = {
        *HOLDS,
        *(reason for moves in MOVES.values() for reason, phase in moves.items() if phase is Phase.FAILED),
    }
    explained = set(re.findall(r"`(\w+)`", (ROOT / "docs" / "troubleshooting.md").read_text()))
    assert {str(reason) for reason in reasons} - explained == {"BackToFailed"}
