"""The fold that makes a recording of the entries in which it was written, from memory and from a file alike."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from airproof.history.crossings import AppliedAction, WireEvent
from airproof.history.records import (
    Entry,
    EntryKind,
    Evidence,
    Explanation,
    FaultRecord,
    Note,
    Operation,
    Outcome,
    Recording,
)


def fold(header: dict[str, Any], entries: Iterable[Entry]) -> Recording:
    """The recording that the entries tell. An exchange may be told again, with its reply: the last telling counts."""
    begun: dict[int, Entry] = {}
    closed: dict[int, Entry] = {}
    during: dict[int, list[Entry]] = {}
    notes: list[Note] = []
    wire: dict[tuple[object, ...], WireEvent] = {}
    last = 0.0
    for entry in entries:
        last = max(last, entry.at, entry.data.get("replied_at") or 0.0)
        if entry.kind is EntryKind.WIRE:
            event = WireEvent(entry.at, **entry.data)
            wire[event.source, event.target, event.connection, event.number, event.requested_at] = event
        elif entry.kind is EntryKind.NOTE:
            notes.append(Note(entry.at, entry.data["text"], entry.data["process"], entry.data["facts"]))
        elif entry.kind in {EntryKind.INVOKE, EntryKind.FAULT}:
            begun[entry.id] = entry
        elif entry.kind in {EntryKind.EVIDENCE, EntryKind.HEALED}:
            during.setdefault(entry.id, []).append(entry)
        else:
            closed[entry.id] = entry
    invoked = [entry for entry in begun.values() if entry.kind is EntryKind.INVOKE]
    faults = [entry for entry in begun.values() if entry.kind is EntryKind.FAULT]
    return Recording(
        header=header,
        operations=tuple(_operation(entry, closed.get(entry.id)) for entry in invoked),
        faults=tuple(_fault(entry, during.get(entry.id, []), closed.get(entry.id)) for entry in faults),
        notes=tuple(notes),
        duration_s=last,
        wire=tuple(sorted(wire.values(), key=lambda event: event.requested_at)),
    )


def _operation(invoked: Entry, completed: Entry | None) -> Operation:
    return Operation(
        id=invoked.id,
        process=invoked.data["process"],
        name=invoked.data["name"],
        args=invoked.data["args"],
        outcome=Outcome(completed.kind.value) if completed else Outcome.INFO,
        result=completed.data["result"] if completed else None,
        invoked_at=invoked.at,
        completed_at=completed.at if completed else None,
    )


def _fault(begun: Entry, during: list[Entry], ended: Entry | None) -> FaultRecord:
    evidence = sorted((entry for entry in during if entry.kind is EntryKind.EVIDENCE), key=lambda entry: entry.at)
    healed = [entry.data["what"] for entry in during if entry.kind is EntryKind.HEALED]
    return FaultRecord(
        id=begun.id,
        kind=begun.data["kind"],
        target=begun.data["target"],
        started_at=begun.at,
        ended_at=ended.at if ended else None,
        required=begun.data["required"],
        explains=tuple(Explanation(**explanation) for explanation in begun.data["explains"]),
        evidence=tuple(_evidence(entry) for entry in evidence),
        healed=healed[-1] if healed else "",
        facts=begun.data["facts"],
    )


def _evidence(entry: Entry) -> Evidence:
    applied = entry.data.get("applied")
    if applied is not None:
        applied = AppliedAction(entry.at, **{**applied, "event": WireEvent(**applied["event"])})
    return Evidence(entry.at, entry.data["what"], entry.data["facts"], applied)
