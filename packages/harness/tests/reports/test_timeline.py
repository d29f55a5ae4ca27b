from __future__ import annotations

import pytest

from airproof.history import History, WireEvent
from airproof.reports import timeline
from airproof.reports.timeline import drawable

BEGAN = 1000.0


def make_history(events: int) -> History:
    history = History(clock=lambda: BEGAN)
    outcomes = ["200", "503", None]
    history.crossed(
        WireEvent(
            BEGAN + number,
            BEGAN + number + 0.25 if outcomes[number % 3] else None,
            "api-gateway",
            "auth-service",
            "http",
            "request",
            {"path": f"/{number}"},
            outcomes[number % 3],
            connection=1,
            number=number,
        )
        for number in range(events)
    )
    return history


def test_what_crossed_links_is_drawn_from_columns_with_recurring_words_once() -> None:
    drawn = drawable(make_history(4).recording())
    wire = drawn["wire"]
    assert wire["at"] == [0, 1_000_000, 2_000_000, 3_000_000]
    assert wire["took"] == [250_000, 250_000, None, 250_000]
    assert wire["links"] == [("api-gateway", "auth-service", "http")]
    assert wire["words"] == [None, "request", "200", "503"]
    assert [wire["words"][index] for index in wire["outcome"]] == ["200", "503", None, "200"]
    assert wire["fields"][3] == {"path": "/3"}
    assert wire["omitted"] == 0


def test_more_than_a_browser_can_draw_is_left_out_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timeline, "EXCHANGES_LIMIT", 5)
    wire = drawable(make_history(8).recording())["wire"]
    assert {len(wire[name]) for name in ("at", "took", "link", "event", "outcome", "fields")} == {5}
    assert wire["omitted"] == 3


def test_a_test_without_wires_draws_none() -> None:
    assert drawable(History().recording())["wire"]["at"] == []
