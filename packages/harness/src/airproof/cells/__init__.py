"""Cells as tests see them: one running copy of the platform, quiet before each test and replaced when it is not."""

from airproof.cells.cell import Cell
from airproof.cells.judgement import Finding, describe, unexplained
from airproof.cells.logs import LogEntry, LogReader, by_time, parse
from airproof.cells.pool import WorkerCells
from airproof.cells.tap import Tap
from airproof.cells.watch import Watch

__all__ = [
    "Cell",
    "Finding",
    "LogEntry",
    "LogReader",
    "Tap",
    "Watch",
    "WorkerCells",
    "by_time",
    "describe",
    "parse",
    "unexplained",
]
