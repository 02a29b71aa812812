from __future__ import annotations

import pytest

from tests.components.recording import Recording, run_program


@pytest.fixture(scope="session")
def program() -> Recording:
    """The program of a stack that sets nothing but the controller's image."""
    return run_program()
