"""Where Pulumi starts the package."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # Pulumi starts this folder; the components are beside it

from package.provider import serve

serve()
