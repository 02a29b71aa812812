"""Image layers and docker-archives, written with tarfile: what `docker build` and `docker save` would do."""

import hashlib
import io
import json
import tarfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True)
class Entry:
    """One thing in a layer: a file or folder of ours (`source`), or a text; without either an empty folder."""

    path: str
    source: Path | None = None
    text: str | None = None
    mode: int | None = None
    owner: int = 0


@dataclass(frozen=True)
class Layer:
    """A layer in a folder of its own: `layer.tar` and the digest that names its content."""

    folder: Path

    @property
    def tar(self) -> Path:
        return self.folder / "layer.tar"

    @property
    def digest(self) -> str:
        return (self.folder / "digest").read_text()


@dataclass(frozen=True)
class Image:
    """A container image: the reference that manifests use, its layers from the bottom, and how it starts."""

    reference: str
    layers: tuple[Layer, ...]
    entrypoint: tuple[str, ...]
    command: tuple[str, ...] = ()
    user: str = "0"
    workdir: str = "/"
    environment: Mapping[str, str] = field(default_factory=dict)

    def config(self) -> bytes:
        """The image's configuration, whose digest names the image."""
        environment = {"PATH": _PATH} | dict(self.environment)
        return json.dumps(
            {
                "architecture": "amd64",
                "os": "linux",
                "config": {
                    "Env": [f"{name}={value}" for name, value in environment.items()],
                    "Entrypoint": list(self.entrypoint),
                    "Cmd": list(self.command),
                    "WorkingDir": self.workdir,
                    "User": self.user,
                },
                "rootfs": {"type": "layers", "diff_ids": [f"sha256:{layer.digest}" for layer in self.layers]},
            }
        ).encode()

    @property
    def digest(self) -> str:
        return hashlib.sha256(self.config()).hexdigest()


def write_layer(folder: Path, entries: Iterable[Entry]) -> Layer:
    """Write `folder/layer.tar`. The same content gives the same bytes: names sorted, no times, no owners of ours."""
    layer = Layer(folder)
    made: set[str] = set()
    with tarfile.open(layer.tar, "w", format=tarfile.GNU_FORMAT) as archive:
        for entry in entries:
            _add(archive, entry, made)
    return seal_layer(folder)


def seal_layer(folder: Path) -> Layer:
    """Write the digest beside `folder/layer.tar`, which makes it a layer."""
    with (folder / "layer.tar").open("rb") as archive:
        (folder / "digest").write_text(hashlib.file_digest(archive, "sha256").hexdigest())
    return Layer(folder)


def write_archive(image: Image, out: IO[bytes]) -> None:
    """Write the image as a docker-archive, as `ctr images import` and `docker load` read it."""
    config = image.config()
    name = f"{image.digest}.json"
    layers = [f"{layer.digest}.tar" for layer in image.layers]
    manifest = json.dumps([{"Config": name, "RepoTags": [image.reference], "Layers": layers}]).encode()
    with tarfile.open(fileobj=out, mode="w|", format=tarfile.GNU_FORMAT, bufsize=1 << 20) as archive:
        for path, content in ((name, config), ("manifest.json", manifest)):
            _add_bytes(archive, path, content, 0o644, 0)
        for path, layer in zip(layers, image.layers, strict=True):
            info = tarfile.TarInfo(path)
            info.size = layer.tar.stat().st_size
            with layer.tar.open("rb") as layer_tar:
                archive.addfile(info, layer_tar)


def _add(archive: tarfile.TarFile, entry: Entry, made: set[str]) -> None:
    path = entry.path.strip("/")
    _add_parents(archive, path, made)
    if entry.text is not None:
        _add_bytes(archive, path, entry.text.encode(), entry.mode or 0o644, entry.owner)
    elif entry.source is None:
        _add_folder(archive, path, entry.mode or 0o755, entry.owner, made)
    else:
        _add_tree(archive, entry.source.resolve(), path, entry, made)


def _add_tree(archive: tarfile.TarFile, source: Path, path: str, entry: Entry, made: set[str]) -> None:
    if source.is_dir() and not source.is_symlink():
        _add_folder(archive, path, 0o755, entry.owner, made)
        for child in sorted(source.iterdir()):
            _add_tree(archive, child, f"{path}/{child.name}", entry, made)
        return
    info = archive.gettarinfo(source, path)
    info.uid = info.gid = entry.owner
    info.uname = info.gname = ""
    info.mtime = 0
    info.mode = entry.mode or info.mode
    if info.isreg():
        with source.open("rb") as content:
            archive.addfile(info, content)
    else:
        archive.addfile(info)


def _add_parents(archive: tarfile.TarFile, path: str, made: set[str]) -> None:
    parts = path.split("/")[:-1]
    for depth in range(1, len(parts) + 1):
        _add_folder(archive, "/".join(parts[:depth]), 0o755, 0, made)


def _add_folder(archive: tarfile.TarFile, path: str, mode: int, owner: int, made: set[str]) -> None:
    if path in made:
        return
    made.add(path)
    info = tarfile.TarInfo(path)
    info.type = tarfile.DIRTYPE
    info.mode = mode
    info.uid = info.gid = owner
    archive.addfile(info)


def _add_bytes(archive: tarfile.TarFile, path: str, content: bytes, mode: int, owner: int) -> None:
    info = tarfile.TarInfo(path)
    info.size = len(content)
    info.mode = mode
    info.uid = info.gid = owner
    archive.addfile(info, io.BytesIO(content))
