"""A real single-node Kubernetes with Istio on this machine, without Docker, and the Pulumi program on it.

`sandbox.lifecycle` is what other code uses. Nothing is imported here: the node's first process and the port forwarder
are modules of this package, and stay small.
"""
