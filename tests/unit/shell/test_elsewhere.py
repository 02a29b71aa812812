"""How far rollouts are in the cluster of another stack."""

from __future__ import annotations

from controller.shell.elsewhere import find_rollouts
from tests.builders import canary_manifest, make_deployment
from tests.unit.shell.fakes import FakeKube


async def test_a_rollout_has_its_status_and_the_images_of_its_target_and_what_is_not_there_is_left_out() -> None:
    canary = canary_manifest() | {"status": {"phase": "Progressing", "canaryWeight": 40}}
    target = make_deployment(image="registry.example/podinfo:6.1.2")
    place = "/".join(canary["metadata"][part] for part in ("namespace", "name"))
    found = await find_rollouts(FakeKube(canary, target), [place, "prod/gone"])
    (container,) = target["spec"]["template"]["spec"]["containers"]
    images = {container["name"]: "registry.example/podinfo:6.1.2"}
    assert found == {place: {"status": canary["status"], "images": images}}
