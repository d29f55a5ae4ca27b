"""What happened in one test, on one monotonic timeline, in memory and as JSON Lines.

Operations, faults with their evidence, what crossed the links, and notes.
"""

from airproof.history.crossings import AppliedAction, WireEvent
from airproof.history.jsonlines import HistoryFile, read_history
from airproof.history.recorder import History, OpenFault, OpenOperation
from airproof.history.records import Evidence, Explanation, FaultRecord, Note, Operation, Outcome, Recording
from airproof.history.redaction import REDACTED, Redactor

__all__ = [
    "REDACTED",
    "AppliedAction",
    "Evidence",
    "Explanation",
    "FaultRecord",
    "History",
    "HistoryFile",
    "Note",
    "OpenFault",
    "OpenOperation",
    "Operation",
    "Outcome",
    "Recording",
    "Redactor",
    "WireEvent",
    "read_history",
]
