"""What is in a Secret."""

from __future__ import annotations

import base64
from pathlib import Path

from controller.core.model import Manifest


def decoded(secret: Manifest) -> dict[str, str]:
    """The keys of a Secret as text, without blanks around it.

    Raises:
        ValueError: a key is not text; the message quotes no value.
    """
    return {name: _text(name, value) for name, value in (secret.get("data") or {}).items()}


def mounted(folder: Path) -> Manifest:
    """The Secret that is mounted as ``folder``, a file for each key, as it is now.

    Raises:
        OSError: it cannot be read.
    """
    keys = {file.name: file.read_bytes() for file in sorted(folder.iterdir()) if file.is_file()}
    data = {name: base64.b64encode(value).decode() for name, value in keys.items()}
    return {"metadata": {"name": str(folder)}, "data": data}


def _text(name: str, value: str) -> str:
    try:
        return base64.b64decode(value, validate=True).decode().strip()
    except ValueError:
        raise ValueError(f"key {name!r} of the Secret is not text in base64") from None
