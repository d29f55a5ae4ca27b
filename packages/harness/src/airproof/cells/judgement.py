"""Judges what the nodes of a cell did beside what a test asked for: what nobody declared is a finding.

There is no list of things to overlook. An exit or an error line is explained by a fault that the test declared, that
was in force when it happened, and that says so; or it is a finding, and a green test turns red.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from signal import Signals

from airproof.cells.logs import LogEntry
from airproof.history import FaultRecord, Recording
from airproof.supervision.specs import ProcessEvent

_TOLERANCE_S = 0.25


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that no declared fault explains.

    Attributes:
        at: seconds since the history began; None where nobody knows.
    """

    node: str
    what: str
    at: float | None

    def __str__(self) -> str:
        when = "" if self.at is None else f" (at {self.at:.3f} s)"
        return f"{self.node} {self.what}{when}"


def unexplained(
    recording: Recording, exits: Iterable[ProcessEvent], lines: Iterable[LogEntry], *, began: float
) -> list[Finding]:
    """The exits and error lines that no fault of the recording explains.

    Args:
        began: the monotonic time at which the history began.
    """
    began_at = datetime.fromisoformat(recording.header["began"]).timestamp()
    findings = [_judge_exit(recording.faults, event, event.at - began) for event in exits]
    for line in lines:
        if line.is_error:
            at = None if line.written_at is None else line.written_at - began_at
            findings.append(_judge_line(recording.faults, line, at))
    return [finding for finding in findings if finding]


def describe(findings: list[Finding], recording: Recording) -> str:
    """The findings as the message of a failed test."""
    declared = ", ".join(f"{fault.kind} {fault.target}" for fault in recording.faults) or "none"
    others = f" (and {len(findings) - 1} more)" if len(findings) > 1 else ""
    heading = f"no declared fault explains that {findings[0].node} {findings[0].what.splitlines()[0]}{others}"
    listed = [f"  · {finding}" for finding in findings]
    return "\n".join([heading, *listed, f"  faults declared by the test: {declared}"])


def node_of(event: ProcessEvent) -> str:
    """The node's name, without the group that the supervisor puts before it."""
    return event.name.rpartition("/")[2]


def _judge_exit(faults: Iterable[FaultRecord], event: ProcessEvent, at: float) -> Finding | None:
    node = node_of(event)
    in_force = [fault for fault in faults if _during(fault, at)]
    if any(explanation.explains_exit(node) for fault in in_force for explanation in fault.explains):
        return None
    return Finding(node, _ending(event), at)


def _judge_line(faults: Iterable[FaultRecord], line: LogEntry, at: float | None) -> Finding | None:
    """An error may be logged long after its cause, so only the beginning of a fault counts."""
    begun = [fault for fault in faults if at is None or at >= fault.started_at - _TOLERANCE_S]
    explanations = [explanation for fault in begun for explanation in fault.explains]
    if any(explanation.explains_line(line.node, line.logger, line.message) for explanation in explanations):
        return None
    logger = f"[{line.logger}] " if line.logger else ""
    return Finding(line.node, f"logged {line.level}: {logger}{line.message} {line.details}".rstrip(), at)


def _during(fault: FaultRecord, at: float) -> bool:
    ended = fault.ended_at is not None and at > fault.ended_at + _TOLERANCE_S
    return at >= fault.started_at - _TOLERANCE_S and not ended


def _ending(event: ProcessEvent) -> str:
    asked = "was stopped by the harness" if event.requested else "ended by itself"
    if event.exit_code < 0:
        return f"{asked} with {_signal(-event.exit_code)}"
    return f"{asked} with exit status {event.exit_code}"


def _signal(number: int) -> str:
    known = {one.value: one.name for one in Signals}
    return known.get(number, f"signal {number}")
