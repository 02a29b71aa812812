import pytest

from sandbox.deploy.engine import diagnostics

FAILED = """$ pulumi up
Diagnostics:
  an older one

$ pulumi up
Diagnostics:
  kubernetes:helm.sh/v3:Release (istiod):
    error: not ready

  pulumi:pulumi:Stack (dev):
    Traceback (most recent call last):
    KeyboardInterrupt

Outputs:
    canaries: []
Resources:
    2 errored
"""

PROGRAM_FIRST = """$ pulumi up

$ pulumi up
Diagnostics:
  pulumi:pulumi:Stack (dev):
    Traceback (most recent call last):
    KeyboardInterrupt

  kubernetes:helm.sh/v3:Release (istiod):
    error: not ready

Resources:
    2 errored
"""


@pytest.mark.parametrize(
    ("log", "quoted"),
    [
        (FAILED, "  kubernetes:helm.sh/v3:Release (istiod):\n    error: not ready\n\n  pulumi:pulumi:Stack (dev):"),
        (
            PROGRAM_FIRST,
            "  pulumi:pulumi:Stack (dev):\n  kubernetes:helm.sh/v3:Release (istiod):\n    error: not ready",
        ),
        (
            FAILED + "\n$ pulumi stack select\n" + "no\n" * 13 + "such stack",
            "$ pulumi stack select\n" + "no\n" * 13 + "such stack",
        ),
    ],
    ids=["an update", "the program first", "no diagnostics"],
)
def test_an_error_quotes_what_the_engine_reports_about_its_last_command(log, quoted):
    assert diagnostics(log) == quoted
