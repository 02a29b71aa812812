"""Finding the cluster: which files, which entries, which credentials, and what is said when they are wrong."""

from __future__ import annotations

import asyncio
import base64
import os
import ssl
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from controller.shell.kubernetes import access as kubeconfig
from controller.shell.kubernetes.access import find_access
from controller.shell.kubernetes.client import KubeClient
from controller.shell.kubernetes.errors import StartError, Transient
from controller.shell.kubernetes.kinds import CANARY


def write(path: Path, *, user: dict[str, Any] | None = None, name: str = "dev", **cluster: Any) -> Path:
    config = {
        "current-context": name,
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
        "clusters": [{"name": name, "cluster": {"server": f"http://{name}.test:6443/", **cluster}}],
        "users": [{"name": name, "user": user or {}}],
    }
    path.write_text(yaml.safe_dump(config), encoding="utf-8")
    return path


def env(*paths: Path) -> dict[str, str]:
    return {"KUBECONFIG": os.pathsep.join(map(str, paths))}


def test_without_the_variable_it_is_the_file_in_the_home(tmp_path):
    (tmp_path / ".kube").mkdir()
    write(tmp_path / ".kube" / "config")
    assert find_access({"HOME": str(tmp_path)}).server == "http://dev.test:6443"


def test_of_several_files_the_first_decides_and_another_context_can_be_chosen(tmp_path):
    first, second = write(tmp_path / "one"), write(tmp_path / "two", name="staging")
    assert find_access(env(first, second)).server == "http://dev.test:6443"
    assert find_access(env(first, second), "staging").server == "http://staging.test:6443"


PLUGIN = """
import json, os, sys
request = json.loads(os.environ["KUBERNETES_EXEC_INFO"])
assert request["kind"] == "ExecCredential"
status = {"token": os.environ["PREFIX"] + sys.argv[1], "expirationTimestamp": "2000-01-01T00:00:00Z"}
print(json.dumps({"apiVersion": request["apiVersion"], "kind": "ExecCredential", "status": status}))
"""


def plugin(code: str) -> dict[str, Any]:
    version = "client.authentication.k8s.io/v1"
    environment = [{"name": "PREFIX", "value": "from-"}]
    return {
        "exec": {"apiVersion": version, "command": sys.executable, "args": ["-c", code, "plugin"], "env": environment}
    }


@pytest.mark.parametrize(
    ("user", "header"),
    [
        pytest.param({}, "", id="nothing: a client certificate, or nobody"),
        pytest.param({"token": "abc"}, "Bearer abc", id="a token"),
        pytest.param({"tokenFile": "token"}, "Bearer from the file", id="a token in a file beside the kubeconfig"),
        pytest.param({"username": "me", "password": "pass"}, "Basic bWU6cGFzcw==", id="a user and a password"),
        pytest.param(plugin(PLUGIN), "Bearer from-plugin", id="a credential plugin"),
    ],
)
async def test_the_user_s_credentials_make_the_header(tmp_path, user, header):
    (tmp_path / "token").write_text("from the file\n", encoding="utf-8")
    access = find_access(env(write(tmp_path / "config", user=user)))
    assert await access.authorization(False) == header


async def test_a_token_in_a_file_is_read_again_after_a_while_and_when_it_is_refused(tmp_path, monkeypatch):
    now = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    token = tmp_path / "token"
    token.write_text("one", encoding="utf-8")
    access = find_access(env(write(tmp_path / "config", user={"tokenFile": "token"})))
    assert await access.authorization(False) == "Bearer one"
    token.write_text("two", encoding="utf-8")
    assert await access.authorization(False) == "Bearer one"
    assert await access.authorization(True) == "Bearer two"
    token.write_text("three", encoding="utf-8")
    now += kubeconfig.TOKEN_SECONDS + 1
    assert await access.authorization(False) == "Bearer three"


async def test_in_a_pod_it_is_the_service_account(tmp_path, monkeypatch):
    monkeypatch.setattr(kubeconfig, "SERVICE_ACCOUNT", tmp_path)
    trusting = {str(tmp_path / "ca.crt"): ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)}
    monkeypatch.setattr(ssl, "create_default_context", lambda cafile: trusting[str(cafile)])
    (tmp_path / "token").write_text("mounted", encoding="utf-8")
    access = find_access({"KUBERNETES_SERVICE_HOST": "10.96.0.1", "KUBERNETES_SERVICE_PORT": "443"})
    assert (access.server, access.tls) == ("https://10.96.0.1:443", trusting[str(tmp_path / "ca.crt")])
    assert await access.authorization(False) == "Bearer mounted"
    assert find_access({"KUBERNETES_SERVICE_HOST": "fd00::1"}).server == "https://[fd00::1]:443"
    with pytest.raises(StartError, match="KUBERNETES_SERVICE_HOST is not set"):
        find_access({})


PEM = base64.b64encode(b"no certificate").decode()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"current-context": ""}, "no context is chosen"),
        ({"current-context": "prod"}, "there is no context 'prod'; there are: dev"),
        ({"clusters": []}, "there is no cluster 'dev'; there are: none"),
        ({"clusters": [{"name": "dev", "cluster": {}}]}, "the cluster of context 'dev' names no server"),
        (
            {"clusters": [{"name": "dev", "cluster": {"server": "https://x", "certificate-authority-data": PEM}}]},
            "a certificate cannot be used",
        ),
        (
            {"clusters": [{"name": "dev", "cluster": {"server": "https://x", "certificate-authority": "gone.crt"}}]},
            "certificate-authority cannot be read",
        ),
        ({"users": [{"name": "dev", "user": {"auth-provider": {"name": "gcp"}}}]}, "use an `exec` plugin"),
    ],
)
def test_a_kubeconfig_that_cannot_be_used_says_what_is_wrong(tmp_path, change, said):
    path = write(tmp_path / "config")
    config = {**yaml.safe_load(path.read_text(encoding="utf-8")), **change}
    path.write_text(yaml.safe_dump(config), encoding="utf-8")
    with pytest.raises(StartError, match="config") as caught:
        find_access(env(path))
    assert said in str(caught.value)


@pytest.mark.parametrize("text", ["a: [", "just text"])
def test_a_file_that_is_no_kubeconfig_is_named(tmp_path, text):
    path = tmp_path / "config"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(StartError, match="config cannot be read as a kubeconfig"):
        find_access(env(path))


def test_no_kubeconfig_at_all_says_what_to_do(tmp_path):
    with pytest.raises(StartError, match="Set KUBECONFIG to the path of a kubeconfig"):
        find_access(env(tmp_path / "config"))


FLAKY = """
import json, pathlib, sys
runs = pathlib.Path(sys.argv[-1])
runs.write_text(runs.read_text() + "x" if runs.exists() else "x")
if runs.read_text() == "x":
    sys.exit("log in first")
print(json.dumps({"status": {"token": "abc"}}))
"""


async def test_a_plugin_that_fails_for_a_while_fails_requests_for_a_while(tmp_path, monkeypatch):
    """It neither ends a loop nor is it run for every request."""
    runs = tmp_path / "runs"
    user = {"exec": {"command": sys.executable, "args": ["-c", FLAKY, str(runs)]}}
    access = find_access(env(write(tmp_path / "config", user=user)))
    async with access.open_session() as session:
        kube = KubeClient(session, "http://127.0.0.1:1", lambda verb, kind: None)
        failures = await asyncio.gather(*(kube.get(CANARY, "prod", "a") for _ in range(9)), return_exceptions=True)
        assert {type(failure) for failure in failures} == {Transient}
        assert "logging in failed: The kubeconfig's credential plugin" in str(failures[0])
        assert runs.read_text() == "x"
        monkeypatch.setattr(kubeconfig, "PLUGIN_PAUSE_SECONDS", 0)
        assert await asyncio.gather(*(access.authorization(False) for _ in range(9))) == ["Bearer abc"] * 9
        assert runs.read_text() == "xx"


async def test_a_plugin_that_hangs_is_ended(tmp_path, monkeypatch):
    monkeypatch.setattr(kubeconfig, "PLUGIN_SECONDS", 0.2)
    access = find_access(env(write(tmp_path / "config", user=plugin("import time; time.sleep(60)"))))
    with pytest.raises(StartError, match=r"did not end within 0\.2s"):
        await access.authorization(False)


@pytest.mark.parametrize(
    ("user", "said"),
    [
        (plugin("import sys; sys.exit('log in first')"), "failed: log in first"),
        (plugin("import json; print(json.dumps({'status': {'clientCertificateData': 'x'}}))"), "gave no token"),
        (plugin("print('[' * 100000)"), "gave no ExecCredential"),
        (plugin("print('null')"), "gave no ExecCredential"),
        ({"exec": {"command": "no-such-plugin"}}, "`no-such-plugin` cannot be run"),
    ],
)
async def test_a_plugin_that_fails_is_quoted(tmp_path, user, said):
    access = find_access(env(write(tmp_path / "config", user=user)))
    with pytest.raises(StartError, match=said):
        await access.authorization(False)
