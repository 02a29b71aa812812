"""Where the sandbox keeps things: one cache folder for what is built, one state folder for each running instance."""

import os
from dataclasses import dataclass
from pathlib import Path

REPO = Path(__file__).resolve().parent.parent


def _xdg(variable: str, fallback: str) -> Path:
    return Path(os.environ.get(variable) or Path.home() / fallback) / "canary-sandbox"


def state_root() -> Path:
    """Where running sandboxes keep their state: `$XDG_STATE_HOME/canary-sandbox`, by default in `~/.local/state`."""
    return _xdg("XDG_STATE_HOME", ".local/state")


@dataclass(frozen=True)
class Cache:
    """Everything that is built or fetched. Removing `root` is a cold start, and removes nothing else.

    `artefacts` holds `NAME-HASH` folders, each put in place whole; `bin`, `plugins` and `share` link into the current
    ones.
    """

    root: Path

    @staticmethod
    def default() -> "Cache":
        """The user's cache folder: `$XDG_CACHE_HOME/canary-sandbox`, by default `~/.cache/canary-sandbox`."""
        return Cache(_xdg("XDG_CACHE_HOME", ".cache"))

    @property
    def artefacts(self) -> Path:
        return self.root / "artefacts"

    @property
    def bin(self) -> Path:
        return self.root / "bin"

    @property
    def plugins(self) -> Path:
        """Pulumi's resource plugins: not in `bin`, since the engine would take them from PATH, and warn."""
        return self.root / "plugins"

    @property
    def share(self) -> Path:
        return self.root / "share"

    @property
    def layers(self) -> Path:
        """Layers of the controller's image, which follow the source and not `versions.toml`."""
        return self.root / "layers"

    @property
    def logs(self) -> Path:
        return self.root / "logs"

    @property
    def work(self) -> Path:
        """What only a build in progress needs: Go's caches and half-made artefacts."""
        return self.root / "work"
