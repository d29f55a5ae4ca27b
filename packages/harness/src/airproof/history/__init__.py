"""What happened in one test: operations, faults and notes on one monotonic timeline, in memory and as JSON Lines."""

from airproof.history.jsonlines import HistoryFile, read_history
from airproof.history.recorder import History, OpenFault, OpenOperation
from airproof.history.records import Evidence, Explanation, FaultRecord, Note, Operation, Outcome, Recording
from airproof.history.redaction import REDACTED, Redactor

__all__ = [
    "REDACTED",
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
    "read_history",
]
