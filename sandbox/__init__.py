"""A real single-node Kubernetes with Istio on this machine, without Docker, and the Pulumi program on it.

    sandbox = up("trial")          # build, cluster, `pulumi up`, initialized canaries
    sandbox.deploy({"canary-on-istio:apps": {"backend": {"tag": "6.1.1"}}})
    sandbox.kubectl("get", "canaries", "-A")
    down("trial")

`attach` finds a sandbox that is running.
"""

from sandbox.lifecycle import Sandbox, attach, down, up
from sandbox.running import SandboxError

__all__ = ["Sandbox", "SandboxError", "attach", "down", "up"]
