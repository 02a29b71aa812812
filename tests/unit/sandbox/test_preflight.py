from dataclasses import replace

import pytest

from sandbox.preflight import Machine, missing

GOOD = Machine(
    system="Linux",
    architecture="x86_64",
    root=True,
    namespaces=True,
    filesystems=frozenset({"ext4", "overlay"}),
    controllers=frozenset({"cpu", "memory", "pids"}),
    free_gib=30.0,
    built=False,
    state_filesystem="ext4",
)


def test_a_good_machine_lacks_nothing():
    assert missing(GOOD) is None


@pytest.mark.parametrize(
    ("facts", "need"),
    [
        ({"system": "Darwin"}, "Linux (this is Darwin)"),
        ({"architecture": "aarch64"}, "an x86-64 processor (this is aarch64)"),
        ({"root": False}, "root"),
        ({"namespaces": False}, "the right to create namespaces (`unshare --net --mount --pid` failed)"),
        ({"filesystems": frozenset({"ext4"})}, "the kernel's overlay file system"),
        ({"controllers": frozenset({"cpu"})}, "the kernel's control groups for memory, pids"),
        (
            {"state_filesystem": "overlay"},
            "a state folder that is not itself on an overlay file system (set XDG_STATE_HOME to another disk)",
        ),
        ({"free_gib": 9.6}, "16 GiB of free disk (there are 10 GiB)"),
        ({"system": "Darwin", "root": False}, "Linux (this is Darwin)"),
    ],
)
def test_what_is_missing_is_said_in_words_the_most_basic_first(facts, need):
    assert missing(replace(GOOD, **facts)) == need


def test_once_built_less_disk_will_do():
    assert missing(replace(GOOD, free_gib=9.6, built=True)) is None
