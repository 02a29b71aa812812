"""The container images, each assembled from built binaries, under the references that manifests and charts use."""

import hashlib
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from sandbox.build.layers import Entry, Image, Layer, write_layer
from sandbox.build.recipes import FORMAT, ISTIO_BEFORE, Versions
from sandbox.paths import Cache

_ISTIO_USER = "1337"
_SCRATCH = (
    Entry("tmp", mode=0o1777),
    Entry("etc/ssl/certs/ca-certificates.crt", source=Path("/etc/ssl/certs/ca-certificates.crt")),
    Entry("etc/passwd", text="root:x:0:0:root:/:/sbin/nologin\nnobody:x:65534:65534:nobody:/:/sbin/nologin\n"),
    Entry("etc/nsswitch.conf", text="hosts: files dns\n"),
)


@dataclass(frozen=True)
class ImagePlan:
    """An image still to be assembled: `entries` is its own layer, on the Debian base or (`based` false) on nothing.

    `uses` are the names of the recipes whose results go into it.
    """

    name: str
    reference: str
    uses: tuple[str, ...]
    entries: tuple[Entry, ...]
    entrypoint: tuple[str, ...]
    based: bool = False
    user: str = "0"
    workdir: str = "/"
    environment: dict[str, str] = field(default_factory=dict)

    def assemble(self, base: Layer, own: Layer) -> Image:
        """The image, its own layer having been written."""
        return Image(
            self.reference,
            (base, own) if self.based else (own,),
            self.entrypoint,
            user=self.user,
            workdir=self.workdir,
            environment=self.environment,
        )

    def artefact(self, used: Iterable[str]) -> str:
        """`image-NAME-HASH` of its own layer; `used` are the artefacts that go into it."""
        shape = [FORMAT, sorted(used), [(entry.path, entry.text, entry.mode, entry.owner) for entry in self.entries]]
        return f"image-{self.name}-{hashlib.sha256(json.dumps(shape).encode()).hexdigest()[:12]}"

    def writer(self) -> Callable[[Path], None]:
        """What writes the image's own layer into a folder."""
        return partial(_write, self.entries)


def plan_images(cache: Cache, versions: Versions) -> list[ImagePlan]:
    """Every image but the controller's, those that a cluster needs first at the head."""
    names = versions.images
    return [
        ImagePlan("pause", names["pause"], ("pause",), (_binary(cache, "pause", "pause"),), ("/pause",)),
        ImagePlan(
            "coredns", names["coredns"], ("coredns",), (*_SCRATCH, _binary(cache, "coredns", "coredns")), ("/coredns",)
        ),
        _proxy(cache.root, cache, names["proxy"]),
        _pilot(cache.root, names["pilot"]),
        _prometheus(cache, names["prometheus"]),
        _load_tester(cache, names["load-tester"]),
        *(_podinfo(cache, names["podinfo"], version) for version in ("6.1.0", "6.1.1", "6.1.2")),
        _proxy(before := cache.root / ISTIO_BEFORE, cache, names["proxy-before"], ISTIO_BEFORE),
        _pilot(before, names["pilot-before"], ISTIO_BEFORE),
    ]


def _proxy(istio: Path, cache: Cache, reference: str, recipe: str = "istio") -> ImagePlan:
    """Envoy and pilot-agent on Debian, since the agent's init container runs iptables."""
    return ImagePlan(
        reference.rpartition("/")[2].replace(":", "-"),
        reference,
        (recipe, "envoy"),
        (
            Entry("usr/local/bin/pilot-agent", source=istio / "bin/pilot-agent", mode=0o755),
            _binary(cache, "envoy", "usr/local/bin/envoy"),
            _bootstrap(istio),
        ),
        ("/usr/local/bin/pilot-agent",),
        based=True,
        user=_ISTIO_USER,
    )


def _pilot(istio: Path, reference: str, recipe: str = "istio") -> ImagePlan:
    return ImagePlan(
        reference.rpartition("/")[2].replace(":", "-"),
        reference,
        (recipe,),
        (
            *_SCRATCH,
            Entry("usr/local/bin/pilot-discovery", source=istio / "bin/pilot-discovery", mode=0o755),
            _bootstrap(istio),
        ),
        ("/usr/local/bin/pilot-discovery",),
        user=_ISTIO_USER,
    )


def _bootstrap(istio: Path) -> Entry:
    """Of both: the template that comes with that version."""
    return Entry("var/lib/istio/envoy/envoy_bootstrap_tmpl.json", source=istio / "share/envoy_bootstrap.json")


def _prometheus(cache: Cache, reference: str) -> ImagePlan:
    return ImagePlan(
        "prometheus",
        reference,
        ("prometheus",),
        (*_SCRATCH, _binary(cache, "prometheus", "bin/prometheus"), Entry("prometheus", owner=65534)),
        ("/bin/prometheus",),
        user="65534",
        workdir="/prometheus",
    )


def _load_tester(cache: Cache, reference: str) -> ImagePlan:
    return ImagePlan(
        "loadtester",
        reference,
        ("loadtester", "hey"),
        (
            Entry("home/app", owner=100),
            _binary(cache, "loadtester", "home/app/loadtester"),
            _binary(cache, "hey", "usr/local/bin/hey"),
        ),
        ("./loadtester",),
        based=True,
        user="100",
        workdir="/home/app",
    )


def _podinfo(cache: Cache, repository: str, version: str) -> ImagePlan:
    return ImagePlan(
        f"podinfo-{version}",
        f"{repository}:{version}",
        (f"podinfo-{version}", "podinfo-6.1.0"),
        (
            *_SCRATCH,
            _binary(cache, f"podinfo-{version}", "home/app/podinfo"),
            _binary(cache, "podcli", "usr/local/bin/podcli"),
            Entry("home/app/ui", source=cache.share / "podinfo-ui"),
        ),
        ("./podinfo",),
        user="100",
        workdir="/home/app",
    )


def _binary(cache: Cache, name: str, path: str) -> Entry:
    return Entry(path, source=cache.bin / name, mode=0o755)


def _write(entries: tuple[Entry, ...], folder: Path) -> None:
    write_layer(folder, entries)
