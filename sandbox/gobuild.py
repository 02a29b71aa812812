"""Build the commands of one Go module, away from the user's own Go set-up."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

from sandbox.paths import SANDBOX, Cache
from sandbox.recipes import GoBuild
from sandbox.running import SandboxError, run_logged

# No debug information and no profile-guided rebuild of the standard library: a fifth less time, same programs.
BUILD_FLAGS = ("-gcflags=all=-dwarf=false", "-pgo=off")


def go_environment(cache: Cache) -> dict[str, str]:
    """Environment for `go`: the user's proxy settings, our toolchain, and caches below the sandbox's own."""
    kept = {name: value for name, value in os.environ.items() if name not in ("GOROOT", "GOPATH", "GOBIN", "GOENV")}
    return kept | {
        "PATH": f"{cache.root}/go/bin:{kept['PATH']}",
        "GOPATH": str(cache.work / "go"),
        "GOMODCACHE": str(cache.work / "go/mod"),
        "GOCACHE": str(cache.work / "go/build"),
        "GOFLAGS": "-mod=mod -modcacherw -trimpath -buildvcs=false",
        "GOTOOLCHAIN": "local",
        "GOWORK": "off",
        "CGO_ENABLED": "0",
    }


def build_go(recipe: GoBuild, target: Path, cache: Cache, go_version: str, log: Path) -> None:
    """Build `recipe` into `target/bin` and copy what else is kept of its module. Raises SandboxError."""
    env = go_environment(cache)
    wrapper = cache.work / "modules" / recipe.name
    shutil.rmtree(wrapper, ignore_errors=True)
    shutil.copytree(SANDBOX / recipe.source, wrapper) if recipe.source else wrapper.mkdir(parents=True)
    folder = _download(recipe, env, wrapper) if recipe.module else None
    (wrapper / "go.mod").write_text(
        wrapper_module(recipe, go_version, (folder / "go.mod").read_text() if folder else "")
    )
    variables = "".join(f" -X {name}={value}" for name, value in recipe.variables.items())
    flags = [*BUILD_FLAGS, f"-ldflags=-s -w{variables}", f"-tags={','.join(recipe.tags)}"]
    made = target / "bin"
    made.mkdir(parents=True)
    run_logged(["go", "build", *flags, "-o", f"{made}/", *recipe.commands.values()], log, cwd=wrapper, env=env)
    for name, package in recipe.commands.items():
        (made / executable_name(package, recipe)).rename(made / name)
    for kept, path in recipe.copy.items():
        _copy(Path(folder or wrapper) / path, target / kept)


def wrapper_module(recipe: GoBuild, go_version: str, module_file: str) -> str:
    """The go.mod that requires the recipe's module.

    Replacements in a required module's own go.mod do not count, so Kubernetes' staging modules (required there as
    `v0.0.0` and replaced by folders) are replaced here by their published versions.
    """
    lines = [f"module sandbox.local/{recipe.name}", f"go {go_version}"]
    if recipe.module:
        lines.append(f"require {recipe.module} {recipe.version}")
    if recipe.staging:
        staged = sorted(set(re.findall(r"^\s*(?:require )?(k8s\.io/\S+) v0\.0\.0$", module_file, re.MULTILINE)))
        lines += [f"replace {name} => {name} {recipe.staging}" for name in staged]
    return "\n".join(lines) + "\n"


def executable_name(package: str, recipe: GoBuild) -> str:
    """What `go build` calls the executable of a package: the last part of its path that is no major version."""
    if package == ".":
        return recipe.name
    parts = package.split("/")
    return parts[-2] if re.fullmatch(r"v\d+", parts[-1]) else parts[-1]


def _download(recipe: GoBuild, env: dict[str, str], wrapper: Path) -> Path:
    """Fetch the module itself and return its folder in the module cache."""
    command = ["go", "mod", "download", "-json", f"{recipe.module}@{recipe.version}"]
    result = subprocess.run(command, cwd=wrapper, env=env, capture_output=True, text=True, check=False)
    answer = json.loads(result.stdout or "{}")
    if result.returncode != 0:
        reason = answer.get("Error") or result.stderr.strip()
        raise SandboxError(f"{recipe.module} {recipe.version} could not be fetched: {reason}")
    return Path(answer["Dir"])


def _copy(source: Path, destination: Path) -> None:
    destination.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, destination)
        return
    shutil.copy(source, destination)
    destination.chmod(0o755 if destination.parent.name == "bin" else 0o644)
