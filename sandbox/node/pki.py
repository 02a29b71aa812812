"""The few keys a cluster needs, made by openssl: a CA, certificates, the key of service accounts, a token."""

import base64
import json
import secrets
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

_VALID_DAYS = "3650"


@dataclass(frozen=True)
class Pki:
    """Key material in one folder, readable by its owner only."""

    folder: Path

    @property
    def ca_certificate(self) -> Path:
        return self.folder / "ca.crt"

    @property
    def certificate(self) -> Path:
        return self.folder / "apiserver.crt"

    @property
    def key(self) -> Path:
        return self.folder / "apiserver.key"

    @property
    def kubelet_client(self) -> tuple[Path, Path]:
        """Certificate and key with which the API server speaks to the kubelet (logs, exec)."""
        return self.folder / "kubelet-client.crt", self.folder / "kubelet-client.key"

    @property
    def service_account_key(self) -> Path:
        return self.folder / "service-account.key"

    @property
    def tokens(self) -> Path:
        """The API server's static token file, with the one administrator."""
        return self.folder / "tokens.csv"

    @property
    def token(self) -> str:
        return self.tokens.read_text().split(",")[0]


def create_pki(folder: Path, names: Sequence[str], addresses: Sequence[str]) -> Pki:
    """Create the key material for an API server reached under `names` and `addresses`; keep what already exists."""
    pki = Pki(folder)
    if pki.tokens.exists():
        return pki
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)
    alternatives = ",".join([*(f"DNS:{name}" for name in names), *(f"IP:{address}" for address in addresses)])
    ca_key = folder / "ca.key"
    _certify("/CN=sandbox-ca", pki.ca_certificate, ca_key)
    signed = ("-CA", pki.ca_certificate, "-CAkey", ca_key, "-addext", "basicConstraints=critical,CA:FALSE")
    _certify("/CN=kube-apiserver", pki.certificate, pki.key, *signed, "-addext", f"subjectAltName={alternatives}")
    _certify("/O=system:masters/CN=kube-apiserver", *pki.kubelet_client, *signed)
    _openssl("genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", pki.service_account_key)
    # Last, since it is the sign that all is there.
    pki.tokens.write_text(f'{secrets.token_hex(16)},admin,admin,"system:masters"\n')
    return pki


def write_kubeconfig(path: Path, server: str, pki: Pki) -> None:
    """Write a kubeconfig (JSON, which is YAML too) for the administrator, complete in one file."""
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {
                "name": "canary-sandbox",
                "cluster": {"server": server, "certificate-authority-data": _base64(pki.ca_certificate)},
            }
        ],
        "users": [{"name": "admin", "user": {"token": pki.token}}],
        "contexts": [{"name": "canary-sandbox", "context": {"cluster": "canary-sandbox", "user": "admin"}}],
        "current-context": "canary-sandbox",
    }
    path.touch(mode=0o600)
    path.write_text(json.dumps(config, indent=2))


def _base64(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode()


def _certify(subject: str, certificate: Path, key: Path, *options: str | Path) -> None:
    """A fresh key with a certificate for it, signed by itself unless the options name a CA."""
    fresh = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", _VALID_DAYS)
    _openssl("req", "-x509", *fresh, "-subj", subject, *options, "-keyout", key, "-out", certificate)


def _openssl(*arguments: str | Path) -> None:
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)
