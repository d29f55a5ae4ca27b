from __future__ import annotations

import json

import pytest

from airproof.faults.wire import applied
from airproof.platform.manifest import Access
from airproof.platform.requests import ServiceToken
from airproof.wire import Wire, http, on
from airproof_service.stage import PERSONAL, Stage

ADDED = {"added_by_a_newer_version": "x"}


@pytest.mark.destructive
@pytest.mark.covers("GW-2", "XS-4")
def test_users_are_served_while_services_are_of_different_versions(stage: Stage, wire: Wire) -> None:
    """Users are served while who says whose token it is answers as a newer version, with a field more, or an older."""
    del wire
    known, requests = stage.cell.platform.manifest, stage.cell.platform.requests
    served = [one for one in stage.reading if one.access in PERSONAL and one.service != known.identity]
    for route in (one for one in stage.routes if one.service == known.identity and one.access is Access.SELF):
        answer = requests.ask_service(route, stage.about, ServiceToken.VALID)
        told, asked = json.loads(answer.text), http.request(path=requests.path(route, stage.about))
        for body in ({**told, **ADDED}, {name: told[name] for name in (*route.shows, *route.kinds)}):
            says = on(known.gateway, known.identity).when(asked).respond(status=answer.status, body=json.dumps(body))
            with applied(stage.cell, says.preventable()):
                for one in served:
                    stage.demand_served(one, "XSERVICE")
    stage.judge()
