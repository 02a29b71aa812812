"""What a Canary had adopted is given back when it is deleted; what it owned, Kubernetes collects."""

from __future__ import annotations

import logging

from controller.core.decision import Put
from controller.core.model import Manifest
from controller.core.objects.leftovers import given_back
from controller.core.objects.ownership import ADOPTABLE, adopter_of, controller_of
from controller.shell.informer.cache import Cache
from controller.shell.kubernetes.client import Kube
from controller.shell.kubernetes.errors import ClusterError
from controller.shell.kubernetes.kinds import CANARY
from controller.shell.reconciler.act import apply_write

log = logging.getLogger(__name__)


async def give_back_orphans(kube: Kube, cache: Cache) -> None:
    """Give back every adopted Service and VirtualService whose Canary does not exist. What fails is logged."""
    for live in find_orphans(cache):
        what = f"{live['kind']} {live['metadata']['name']}.{live['metadata']['namespace']}"
        original = given_back(live)
        if original is None:
            log.warning("%s of a deleted Canary is left as it is: what it was like before is not recorded", what)
            continue
        try:
            await apply_write(kube, cache, Put(original))
            log.info("%s given back, Canary %s was deleted", what, adopter_of(live))
        except ClusterError as error:
            log.warning("%s not given back: %s", what, error)


def find_orphans(cache: Cache) -> list[Manifest]:
    """Objects that a Canary had adopted which does not exist."""
    found = (cache.get(key) for kind in ADOPTABLE for key in cache.keys(kind))
    adopted = (live for live in found if live is not None and controller_of(live) is None and adopter_of(live))
    return [
        live for live in adopted if cache.get((CANARY.name, live["metadata"]["namespace"], adopter_of(live))) is None
    ]
