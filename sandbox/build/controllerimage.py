"""The controller's own image: Debian with Python, the locked dependencies, and on top a thin layer with its source."""

import hashlib
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from sandbox.build.layers import Entry, Image, Layer, write_layer
from sandbox.build.recipes import FORMAT
from sandbox.paths import REPO, Cache
from sandbox.running import SandboxError, find_uv, run_logged

_LIBRARIES = "opt/canary/lib"
_SOURCE = "opt/canary/src"
_LAUNCHERS = ("usr/local/bin/canary", "opt/canary/flagger")  # Flagger's Helm chart starts ./flagger
_LAUNCHER = "#!/usr/bin/python3\nfrom controller.cli import app\n\napp()\n"
_PYTHON = "3.11"  # Debian bookworm's
_IGNORED = shutil.ignore_patterns("__pycache__", "*.pyc", "Dockerfile", ".*")


def controller_image(cache: Cache, base: Layer, repository: str) -> Image:
    """Assemble the image; its tag is the digest of its content, so that new source means a new pod.

    The layer of dependencies is made once for each lock file, the layer of source at each change: both in seconds.
    """
    dependencies = _dependencies(cache)
    source = _source(cache)
    image = Image(
        repository,
        (base, dependencies, source),
        entrypoint=("canary",),
        command=("run",),
        user="10001",
        workdir="/opt/canary",
        # USER: the image has no account for its user id, and Python asks for its name.
        environment={"PYTHONPATH": f"/{_SOURCE}:/{_LIBRARIES}", "PYTHONUNBUFFERED": "1", "USER": "canary"},
    )
    return replace(image, reference=f"{repository}:dev-{image.digest[:12]}")


def _dependencies(cache: Cache) -> Layer:
    requirements = _locked_requirements()
    digest = hashlib.sha256(f"{FORMAT} {requirements}".encode()).hexdigest()[:12]

    def make(folder: Path) -> None:
        listed = folder / "requirements.txt"
        listed.write_text(requirements)
        libraries = folder / "lib"
        run_logged(
            [
                find_uv(), "pip", "install", "--python", sys.executable, "--python-version", _PYTHON,
                "--only-binary", ":all:", "--require-hashes", "--no-deps", "--target", libraries, "-r", listed,
            ],
            cache.logs / "controller-image.log",
        )  # fmt: skip
        _compile(libraries)
        write_layer(folder, [Entry(_LIBRARIES, source=libraries)])
        shutil.rmtree(libraries)

    return _layer(cache, f"layer-controller-libraries-{digest}", make)


def _source(cache: Cache) -> Layer:
    digest = hashlib.sha256(f"{FORMAT} {_LAUNCHERS} {_LAUNCHER}".encode())
    for file in sorted(each for each in (REPO / "controller").rglob("*") if each.suffix in (".py", ".js")):
        digest.update(str(file.relative_to(REPO)).encode() + b"\0" + file.read_bytes())

    def make(folder: Path) -> None:
        copied = folder / "controller"
        shutil.copytree(REPO / "controller", copied, ignore=_IGNORED)
        _compile(copied)
        launchers = [Entry(path, text=_LAUNCHER, mode=0o755) for path in _LAUNCHERS]
        write_layer(folder, [Entry(f"{_SOURCE}/controller", source=copied), *launchers])
        shutil.rmtree(copied)

    return _layer(cache, f"layer-controller-source-{digest.hexdigest()[:12]}", make)


def _layer(cache: Cache, name: str, make: Callable[[Path], None]) -> Layer:
    """The cached layer of that name, made if it is missing; older ones of its kind go."""
    target = cache.layers / name
    if not target.is_dir():
        half_made = cache.layers / "half-made"
        shutil.rmtree(half_made, ignore_errors=True)
        half_made.mkdir(parents=True)
        make(half_made)
        kind = name.rpartition("-")[0]
        for old in cache.layers.glob(f"{kind}-*"):
            shutil.rmtree(old)
        half_made.rename(target)
    return Layer(target)


def _locked_requirements() -> str:
    command = [
        find_uv(), "export", "--package", "canary-controller", "--no-dev", "--frozen", "--no-emit-workspace",
        "--no-header", "--no-annotate", "--format", "requirements-txt",
    ]  # fmt: skip
    result = subprocess.run(command, cwd=REPO, capture_output=True, text=True, check=False)
    if result.returncode != 0:
        raise SandboxError(f"The controller's locked dependencies could not be read: {result.stderr.strip()}")
    return result.stdout


def _compile(folder: Path) -> None:
    """Compile ahead, by content: the image's file system is read-only and its files have no times."""
    if sys.version_info[:2] != (3, 11):
        return  # another Python's byte code is of no use there
    command = [sys.executable, "-m", "compileall", "-q", "--invalidation-mode", "unchecked-hash", str(folder)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
