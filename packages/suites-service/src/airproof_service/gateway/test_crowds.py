from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from uuid import uuid4

import pytest

from airproof_service.stage import Stage

USERS, REQUESTS = 24, 96


@pytest.mark.covers("XS-4", "GW-2")
def test_requests_at_once_keep_their_own_correlation_ids(stage: Stage) -> None:
    """However many ask at once, each is answered as if alone, under its own correlation id in every hop."""
    missing = replace(stage.about, id=str(uuid4()), owner=str(uuid4()))
    reading = [route for route in stage.reading if not route.changes]
    requests = [
        replace(
            stage.rightful(reading[number % len(reading)]),
            about=missing,
            user=stage.about,
            correlation_id=f"corr-{stage.about.id}-{number}",
        )
        for number in range(REQUESTS)
    ]
    alone = {request.route.name: stage.ask(request) for request in requests[: len(reading)]}
    with ThreadPoolExecutor(USERS, thread_name_prefix="user") as users:
        answers = list(users.map(stage.ask, requests))
    for request, answer in zip(requests, answers, strict=True):
        mine = request.correlation_id
        alike = answer is not None and set(answer.correlation_ids) == {mine}
        promise = "requests that are made at once have nothing to do with each other"
        seen = ", ".join(answer.correlation_ids) or "none" if answer else "no answer"
        stage.demand(alike, "XSERVICE", "correlation-mixed", promise, mine, seen, request)
        usual = alone[request.route.name]
        served = answer is not None and usual is not None and answer.status == usual.status
        expected = f"{usual.status}, as if alone" if usual else "an answer"
        stage.demand(served, "XSERVICE", "crowded-out", promise, expected, answer, request)
    stage.judge()
