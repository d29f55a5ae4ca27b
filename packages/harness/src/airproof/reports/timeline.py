"""What the report's timeline draws of a recording, as compact JSON: tens of thousands of exchanges in little space."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from airproof.history import Recording, WireEvent

EXCHANGES_LIMIT = 50_000
"""More than a browser should be asked to draw; the history file has all of them."""


def drawable(recording: Recording) -> dict[str, Any]:
    """The recording as JSON values, with what crossed links as columns.

    The columns (`link`, `at`, `took`, …) are as long as there are exchanges; times are in microseconds. `links` and
    `words` hold what recurs, and columns name it by its index. `omitted` says how many are left out, the latest ones.
    """
    return {**replace(recording, wire=()).to_json(), "wire": _columns(recording.wire)}


def _columns(events: Sequence[WireEvent]) -> dict[str, Any]:
    shown = events[:EXCHANGES_LIMIT]
    links: dict[tuple[str, str, str], int] = {}
    words: dict[str | None, int] = {None: 0}
    return {
        "at": [round(event.requested_at * 1e6) for event in shown],
        "took": [_took_us(event) for event in shown],
        "link": [links.setdefault((event.source, event.target, event.protocol), len(links)) for event in shown],
        "event": [words.setdefault(event.event, len(words)) for event in shown],
        "outcome": [words.setdefault(event.outcome, len(words)) for event in shown],
        "connection": [event.connection for event in shown],
        "number": [event.number for event in shown],
        "transaction": [event.transaction for event in shown],
        "fields": [event.fields for event in shown],
        "links": list(links),
        "words": list(words),
        "omitted": len(events) - len(shown),
    }


def _took_us(event: WireEvent) -> int | None:
    return None if event.replied_at is None else round((event.replied_at - event.requested_at) * 1e6)
