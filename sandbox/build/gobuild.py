"""Build Go commands away from the user's own Go set-up."""

import os
import re
import shutil
import subprocess
from pathlib import Path

from sandbox.build.recipes import BUILD, GoBuild
from sandbox.paths import Cache
from sandbox.running import SandboxError, run_logged

# Parts that the sandbox has no use for, named by the projects themselves. The same tags for all, so that what two
# programs share is compiled once.
_TAGS = ("disable_pgv", "enable_kubernetes_sd", "no_btrfs", "no_devmapper", "no_zfs", "remove_all_sd")
# No debug information, no inlining and no profile-guided rebuild of the standard library: a third less time to compile.
# The programs are some tenths slower for it; they have little to do here.
_FLAGS = (f"-tags={','.join(_TAGS)}", "-gcflags=all=-dwarf=false -l", "-pgo=off")


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
        # Compiler and linker end before their garbage matters: a quarter less CPU time; memory is bounded for each.
        "GOGC": "off",
        "GOMEMLIMIT": "2GiB",
    }


def build_go(recipe: GoBuild, target: Path, cache: Cache, log: Path) -> None:
    """Build the recipe's commands into `target` and copy what else is kept of its module. Raises SandboxError."""
    env = go_environment(cache)
    module = cache.work / "modules" / recipe.name
    shutil.rmtree(module, ignore_errors=True)
    shutil.copytree(BUILD / recipe.source, module)
    linked = "".join(f" -X {name}={value}" for name, value in recipe.variables.items())
    built = module / "built"
    command = ["go", "build", *_FLAGS, f"-ldflags=-s -w{linked}", "-o", f"{built}/", *recipe.commands.values()]
    run_logged(command, log, cwd=module, env=env)
    for path, package in recipe.commands.items():
        (target / path).parent.mkdir(parents=True, exist_ok=True)
        (built / executable_name(package)).rename(target / path)
    if recipe.copy:
        folder = _module_folder(recipe.module, module, env)
        for kept, path in recipe.copy.items():
            _copy(folder / path, target / kept)


def executable_name(package: str) -> str:
    """What `go build` calls the executable of a package: the last part of its path that is no major version."""
    parts = package.split("/")
    return parts[-2] if re.fullmatch(r"v\d+", parts[-1]) else parts[-1]


def _module_folder(module: str, cwd: Path, env: dict[str, str]) -> Path:
    command = ["go", "list", "-m", "-f", "{{.Dir}}", module]
    result = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, check=False)
    if result.returncode != 0:
        raise SandboxError(f"The Go module {module} was not found: {result.stderr.strip()}")
    return Path(result.stdout.strip())


def _copy(source: Path, destination: Path) -> None:
    destination.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, destination)
        return
    shutil.copy(source, destination)
    destination.chmod(0o755 if destination.parent.name == "bin" else 0o644)
