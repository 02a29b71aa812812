import hashlib
import io
import json
import tarfile
from typing import IO, cast

import pytest

from sandbox.build.layers import Entry, Image, write_archive, write_layer


@pytest.fixture
def folder(tmp_path):
    def make(name):
        (tmp_path / name).mkdir()
        return tmp_path / name

    return make


def members(layer):
    with tarfile.open(layer.tar) as archive:
        return {each.name: (each.mode, each.uid, each.isdir()) for each in archive}


def test_a_layer_holds_files_with_their_parents_modes_and_owners(folder):
    source = folder("source") / "tool"
    source.write_text("binary")
    source.chmod(0o700)
    layer = write_layer(
        folder("layer"),
        [
            Entry("tmp", mode=0o1777),
            Entry("usr/bin/tool", source=source, mode=0o755),
            Entry("home/app", owner=100),
            Entry("etc/passwd", text="root:x:0:0::/:\n"),
        ],
    )
    assert members(layer) == {
        "tmp": (0o1777, 0, True),
        "usr": (0o755, 0, True),
        "usr/bin": (0o755, 0, True),
        "usr/bin/tool": (0o755, 0, False),
        "home": (0o755, 0, True),
        "home/app": (0o755, 100, True),
        "etc": (0o755, 0, True),
        "etc/passwd": (0o644, 0, False),
    }


def test_the_same_content_gives_the_same_layer_at_any_time(folder):
    digests = []
    for name in ("first", "second"):
        source = folder(f"{name}-source")
        for file in ("b", "a") if name == "first" else ("a", "b"):
            (source / file).write_text(file)
        (source / "a").touch()
        digests.append(write_layer(folder(name), [Entry("data", source=source)]).digest)
    assert digests[0] == digests[1]


def test_an_archive_reads_as_docker_save_writes_it(folder):
    base = write_layer(folder("base"), [Entry("etc/os-release", text="Debian\n")])
    own = write_layer(folder("own"), [Entry("tool", text="binary")])
    image = Image("example.org/tool:1", (base, own), ("/tool",), ("run",), user="100", environment={"A": "b"})
    out = io.BytesIO()
    write_archive(image, out)
    out.seek(0)
    with tarfile.open(fileobj=out) as archive:
        files = {name: cast("IO[bytes]", archive.extractfile(name)).read() for name in archive.getnames()}
    (manifest,) = json.loads(files["manifest.json"])
    config = json.loads(files[manifest["Config"]])
    assert manifest["RepoTags"] == ["example.org/tool:1"]
    assert config["config"]["Entrypoint"] == ["/tool"]
    assert config["config"]["Cmd"] == ["run"]
    assert config["config"]["User"] == "100"
    assert "A=b" in config["config"]["Env"]
    assert config["rootfs"]["diff_ids"] == [
        f"sha256:{hashlib.sha256(files[name]).hexdigest()}" for name in manifest["Layers"]
    ]


def test_how_an_image_starts_is_part_of_its_digest(folder):
    layer = write_layer(folder("layer"), [Entry("tool", text="binary")])
    assert Image("x:1", (layer,), ("/tool",)).digest != Image("x:1", (layer,), ("/tool",), user="1").digest
