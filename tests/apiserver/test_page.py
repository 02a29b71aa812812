"""The page of a controller on a real API server: who may change something, and rollouts in a real browser."""

from __future__ import annotations

import asyncio
import base64
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import ClientSession
from playwright.async_api import Page, expect

from controller.shell.kubernetes.kinds import CANARY, POD, Kind
from tests.apiserver.browser import PATIENCE_MILLISECONDS, browsing
from tests.apiserver.scenes import backend
from tests.apiserver.stage import Stage, eventually
from tests.apiserver.test_actions import SLOW, started
from tests.apiserver.test_controller_rights import EVERYWHERE, as_the_controller

ACCOUNT = Kind("ServiceAccount", "serviceaccounts", "v1")
RBAC = "rbac.authorization.k8s.io/v1"
ROLE, BINDING = Kind("Role", "roles", RBAC), Kind("RoleBinding", "rolebindings", RBAC)
expect.set_options(timeout=PATIENCE_MILLISECONDS)


@asynccontextmanager
async def page_of(stage: Stage) -> AsyncIterator[str]:
    """The address of the page of a controller that runs."""
    async with stage.controller("--page-port=0"):

        async def port() -> str:
            return next((each.split()[-1] for each in stage.messages() if each.startswith("The page is on port")), "")

        yield f"http://127.0.0.1:{await eventually(port, stage.log)}"


async def token_of(stage: Stage, name: str, *verbs: str) -> str:
    """Of a new ServiceAccount that may do this with Canaries."""
    await stage.create_any(ACCOUNT, {"metadata": {"name": name}}, ACCOUNT.path(stage.namespace))
    if verbs:
        rules = [{"apiGroups": [CANARY.group], "resources": [CANARY.plural], "verbs": [*verbs]}]
        await stage.create_any(ROLE, {"metadata": {"name": name}, "rules": rules}, ROLE.path(stage.namespace))
        subject = {"kind": "ServiceAccount", "name": name, "namespace": stage.namespace}
        reference = {"apiGroup": ROLE.group, "kind": "Role", "name": name}
        bound = {"metadata": {"name": name}, "roleRef": reference, "subjects": [subject]}
        await stage.create_any(BINDING, bound, BINDING.path(stage.namespace))
    asked = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
    answer = await stage.create_any(ACCOUNT, asked, ACCOUNT.path(stage.namespace, name, "token"))
    return str(answer["status"]["token"])


async def act(address: str, stage: Stage, action: str, token: str = "", **headers: str) -> tuple[int, str]:
    sent = {**({"Authorization": f"Bearer {token}"} if token else {}), **headers}
    url = f"{address}/canaries/{stage.namespace}/backend/actions"
    async with ClientSession() as session, session.post(url, json={"action": action}, headers=sent) as response:
        return response.status, await response.text()


async def test_only_somebody_who_may_update_the_canary_can_steer_it(stage):
    await stage.apply(*backend(stage, analysis=SLOW))
    reader = await token_of(stage, "reader", "get", "list", "patch")
    editor = await token_of(stage, "editor", "get", "update")
    header, _, signature = editor.rpartition(".")
    forged = f"{header}.{base64.urlsafe_b64encode(b'x' * len(signature)).decode()[: len(signature)]}"
    async with page_of(stage) as address:
        await started(stage)
        for token, headers, status in (
            ("", {}, 401),
            ("nonsense", {}, 401),
            (forged, {}, 401),
            (reader, {}, 403),
            (editor, {"Origin": "https://evil.example"}, 403),
            (editor, {"Sec-Fetch-Site": "cross-site"}, 403),
        ):
            assert (await act(address, stage, "abort", token, **headers))[0] == status
        live = await stage.kube.get(CANARY, stage.namespace, "backend")
        assert "annotations" not in live["metadata"]
        status, text = await act(address, stage, "pause", editor, Origin=address)
        assert status == 200, text

        async def paused() -> bool:
            return bool((await stage.status()).get("pausedBy"))

        await eventually(paused, stage.log)
        user = f"system:serviceaccount:{stage.namespace}:editor"
        assert (await stage.status())["pausedBy"] == user
        assert f"{user} asked for pause on backend.{stage.namespace}" in stage.messages()


async def test_a_controller_with_open_pages_stops_in_time(stage):
    await stage.apply(*backend(stage))
    async with stage.controller("--page-port=0") as process, ClientSession() as session:
        await stage.wait_for_phase("Initialized")
        port = next(each.split()[-1] for each in stage.messages() if each.startswith("The page is on port"))
        async with session.get(f"http://127.0.0.1:{port}/live") as response:
            await response.content.readline()
            process.send_signal(signal.SIGTERM)
            async with asyncio.timeout(10):
                assert await process.wait() == 0, stage.log()


async def open_canary(tab: Page, address: str, stage: Stage) -> None:
    """From the list to the page of the Canary, as a person would."""
    await tab.goto(f"{address}/?namespace={stage.namespace}")
    await tab.get_by_role("link", name=f"{stage.namespace}/backend").click()
    await expect(tab.get_by_role("heading", level=1)).to_have_text(f"{stage.namespace}/backend")


async def press(tab: Page, label: str, token: str) -> str:
    """Ask for an action with a token; what the page asks back."""
    asked: list[str] = []

    async def agree(dialog: Any) -> None:
        asked.append(dialog.message)
        await dialog.accept()

    await tab.get_by_label("Token").fill(token)
    tab.once("dialog", agree)
    await tab.get_by_role("button", name=label, exact=True).click()
    await expect(tab.locator("#answer")).to_contain_text("Asked as system:serviceaccount:")
    return asked[0]


async def test_a_rollout_is_watched_to_its_promotion_and_its_gate_is_opened_by_a_click(stage):
    gate = {"name": "lead", "type": "confirm-promotion"}
    await stage.apply(*backend(stage, analysis={"webhooks": [gate]}))
    token = await token_of(stage, "lead", "update")
    async with page_of(stage) as address, browsing() as tab:
        await stage.wait_for_phase("Initialized")
        await open_canary(tab, address, stage)
        await expect(tab.locator("#summary")).to_contain_text("Initialized, at rest")
        await stage.set_image("podinfo:2")
        await expect(tab.locator("#summary")).to_contain_text("WaitingPromotion, needs a person")
        await expect(tab.locator("#steps")).to_contain_text("50%")
        await expect(tab.locator("#metrics")).to_contain_text("✓ passed")
        assert await press(tab, "Approve", token) == "Approve? Opens the gate lead once, so that the rollout goes on."
        await expect(tab.locator("#summary")).to_contain_text("Succeeded, at rest")
        await expect(tab.locator("#summary")).to_contain_text("All users have 2.")
        await expect(tab.locator("#sides")).to_contain_text("podinfo:2")


async def test_a_rollout_is_aborted_by_a_click_and_a_bad_one_says_why_it_was_rolled_back(stage):
    await stage.apply(*backend(stage, analysis=SLOW))
    token = await token_of(stage, "lead", "update")
    async with page_of(stage) as address, browsing() as tab:
        await started(stage)
        await open_canary(tab, address, stage)
        await expect(tab.get_by_role("button", name="Retry")).to_be_disabled()
        await expect(tab.locator("#about-retry")).to_have_text(
            "Not now: not possible in phase Progressing, only in Failed."
        )
        said = await press(tab, "Abort", token)
        assert said.startswith("Abort? Sends all traffic to the primary")
        await expect(tab.locator("#summary")).to_contain_text("Failed, needs a person")
        await expect(tab.locator("#summary")).to_contain_text(
            f"aborted by system:serviceaccount:{stage.namespace}:lead"
        )

        stage.prometheus.values["errors"] = "30"
        patch = {"spec": {"analysis": {"interval": "1s"}}}
        await stage.kube.patch(CANARY, stage.namespace, "backend", patch)
        await stage.set_image("podinfo:3")
        await expect(tab.locator("#summary")).to_contain_text("3 was rolled back; all users have 1.")
        await expect(tab.locator("#metrics")).to_contain_text("error-rate 30.00 > 1")


async def test_the_list_shows_a_new_canary_and_what_needs_a_person_moves_up(stage):
    async with page_of(stage) as address, browsing() as tab:
        await tab.goto(f"{address}/?namespace={stage.namespace}")
        await expect(tab.locator(".card")).to_have_count(0)
        await stage.apply(*backend(stage))
        await expect(tab.locator(".card")).to_contain_text("Initialized, at rest")
        await tab.keyboard.press("Tab")
        assert await tab.evaluate("document.activeElement.name") == "namespace"


async def watches_of_pods(stage: Stage) -> int:
    """Open ones at the API server, by its own count."""
    async with stage.kube._session.get(f"{stage.kube._server}/metrics") as response:
        lines = (await response.text()).splitlines()
    open_ones = (each for each in lines if each.startswith("apiserver_longrunning_requests{"))
    return sum(int(each.rpartition(" ")[2]) for each in open_ones if 'resource="pods"' in each and '"WATCH"' in each)


async def put_pod(stage: Stage, name: str, label: str, status: dict[str, Any]) -> None:
    owner = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": f"{label}-5d4f", "uid": "none"}
    metadata = {"name": name, "labels": {"app": label}, "ownerReferences": [owner]}
    container = {"name": "app", "image": "podinfo:2"}
    body = {"metadata": metadata, "spec": {"containers": [container], "automountServiceAccountToken": False}}
    await stage.create_any(POD, body, POD.path(stage.namespace))
    await stage.kube._send(
        "PATCH", POD, POD.path(stage.namespace, name, "status"), verb="patch", body={"status": status}
    )


async def test_the_pods_that_somebody_looks_at_are_watched_with_the_rights_of_the_stack_and_no_longer(stage):
    await stage.create_any(ACCOUNT, {"metadata": {"name": "default"}}, ACCOUNT.path(stage.namespace))
    await stage.apply(*backend(stage))
    limited = await as_the_controller(stage, *EVERYWHERE)
    before = await watches_of_pods(stage)
    async with page_of(limited) as address, browsing() as tab, browsing() as another:
        await stage.wait_for_phase("Initialized")
        await tab.goto(address)
        assert await watches_of_pods(stage) == before
        for each in (tab, another):
            await open_canary(each, address, stage)
        pull = {"reason": "ImagePullBackOff", "message": "Back-off: ErrImagePull: not found"}
        waits = {"name": "app", "image": "podinfo:2", "imageID": "", "ready": False, "restartCount": 0}
        status = {"containerStatuses": [{**waits, "state": {"waiting": pull}}]}
        await put_pod(stage, "backend-5d4f-a", "backend", status)
        ready = {"conditions": [{"type": "Ready", "status": "True"}]}
        await put_pod(stage, "backend-primary-5d4f-b", "backend-primary", ready)
        for each in (tab, another):
            await expect(each.locator("#sides")).to_contain_text("cannot pull its image podinfo:2 (ImagePullBackOff)")
            await expect(each.locator("#sides")).to_contain_text("backend-primary-5d4f-b ready")
        assert await watches_of_pods(stage) == before + 2
        await tab.goto(address)
        await put_pod(stage, "backend-5d4f-c", "backend", ready)
        await expect(another.locator("#sides")).to_contain_text("backend-5d4f-c ready")
        await another.goto(address)

        async def nobody_looks() -> bool:
            return await watches_of_pods(stage) == before

        await eventually(nobody_looks, limited.log)


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_a_page_fits_a_phone_in_light_and_dark(stage, scheme):
    await stage.apply(*backend(stage))
    async with page_of(stage) as address, browsing() as tab:
        await stage.wait_for_phase("Initialized")
        await tab.set_viewport_size({"width": 390, "height": 844})
        await tab.emulate_media(color_scheme=scheme)
        for path in ("/", f"/canaries/{stage.namespace}/backend"):
            await tab.goto(address + path)
            assert await tab.evaluate("document.documentElement.scrollWidth") <= 390
        background = await tab.evaluate("getComputedStyle(document.body).backgroundColor")
        assert background == {"light": "rgb(255, 255, 255)", "dark": "rgb(20, 24, 31)"}[scheme]
