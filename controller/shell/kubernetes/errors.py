"""What can go wrong between the controller and the cluster::

CanaryError                  (controller.api.errors)
+-- StartError               the controller cannot start; one sentence for the terminal
+-- StoppedError             a part the controller cannot run without has ended
+-- ClusterError             a request to the Kubernetes API failed
    +-- Transient            worth trying again: no connection, a time-out, 401, 429, 5xx
    +-- Conflict             409: the object is not as we saw it; look again, then decide again
    +-- Rejected             any other 4xx; trying the same again changes nothing
        +-- NotFound         404
"""

from __future__ import annotations

from controller.api.errors import CanaryError


class StartError(CanaryError):
    """The controller cannot start. The message says what is missing and what to do."""


class StoppedError(CanaryError):
    """The controller cannot go on. The message names the part that ended, and why; the process ends with status 1."""


class ClusterError(CanaryError):
    """A request to the Kubernetes API failed.

    Attributes:
        request: verb and path, as in ``PUT /apis/apps/v1/namespaces/prod/deployments/backend-primary``.
        status: the HTTP status; 0 where there was no answer.
        reason: the API server's own words, or the network's.
    """

    def __init__(self, request: str, status: int, reason: str) -> None:
        self.request = request
        self.status = status
        self.reason = reason
        answer = f"answered {status}: {reason}" if status else reason
        super().__init__(f"Kubernetes API, {request}: {answer}")


class Transient(ClusterError):  # noqa: N818 -- named for what to do about it
    """Trying again later may work."""


class Conflict(ClusterError):  # noqa: N818 -- Kubernetes' own name
    """The object changed, or exists, since it was last seen."""


class Rejected(ClusterError):  # noqa: N818 -- named for what happened
    """The API server refuses the request as it is."""


class NotFound(Rejected):
    """The object, or its kind, does not exist."""


def cluster_error(request: str, status: int, reason: str) -> ClusterError:
    """The error of the tree above that an HTTP ``status`` stands for."""
    exact: dict[int, type[ClusterError]] = {
        401: Transient,  # a token that is being rotated
        404: NotFound,
        409: Conflict,
        410: Transient,  # the next page of a list came too late
        429: Transient,
    }
    kind = exact.get(status) or (Transient if status >= 500 else Rejected)
    return kind(request, status, reason)
