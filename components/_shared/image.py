"""The controller's image where it is built from this checkout."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pulumi
from pulumi_command import local

from stack.controller import BuildConfig

PROJECT_FOLDER = Path(__file__).parents[2]


def build_image(
    name: str, repository: str, config: BuildConfig, opts: pulumi.ResourceOptions
) -> tuple[str, pulumi.Resource]:
    """The reference to run, and the command that builds and publishes it when the sources have changed."""
    digest = source_digest(PROJECT_FOLDER)
    image = f"{repository}:{digest}"
    command = local.Command(
        name,
        create=" && ".join(filter(None, [config.command, config.publish])),
        environment={"IMAGE": image},
        dir=str(PROJECT_FOLDER),
        triggers=[digest],
        opts=opts,
    )
    return image, command


def source_digest(folder: Path) -> str:
    """12 hexadecimal digits that change whenever a source of the image does."""
    sources = [folder / "uv.lock", *sorted((folder / "controller").rglob("*"))]
    digest = hashlib.sha256()
    for file in sources:
        if file.is_file() and "__pycache__" not in file.parts:
            digest.update(f"{file.relative_to(folder)}\0".encode())
            digest.update(file.read_bytes())
    return digest.hexdigest()[:12]
