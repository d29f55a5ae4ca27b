"""The directory a run reports into, and where in it things are."""

from __future__ import annotations

import fcntl
import hashlib
import re
import shutil
from pathlib import Path
from typing import TextIO

from airproof.errors import UsageError

_NEEDED_MB = 16


class ReportDirectory:
    """One run's directory.

    Attributes:
        path: the directory.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock: TextIO | None = None

    @classmethod
    def claim(cls, wanted: Path) -> ReportDirectory:
        """The directory for a new run, emptied of the last one; `wanted-2` and so on while another run uses it.

        Raises:
            UsageError: it cannot be written to, or its disk is full.
        """
        number = 1
        while True:
            directory = cls(wanted if number == 1 else wanted.with_name(f"{wanted.name}-{number}"))
            try:
                if directory._try_lock():
                    directory._empty()
                    return directory
            except OSError as error:
                raise UsageError(f"cannot write reports to {str(directory.path)!r}: {error.strerror}") from error
            number += 1

    def history(self, nodeid: str) -> Path:
        """Where the history of a test is."""
        return self.path / "histories" / f"{_slug(nodeid)}.jsonl"

    def schedule(self, nodeid: str) -> Path:
        """Where the schedule of faults of a test is."""
        return self.path / "histories" / f"{_slug(nodeid)}.schedule.json"

    def log(self, nodeid: str) -> Path:
        """Where the log of the nodes during a test is."""
        return self.path / "logs" / f"{_slug(nodeid)}.log"

    @property
    def html(self) -> Path:
        """The report."""
        return self.path / "report.html"

    @property
    def ledger(self) -> Path:
        """The ledger report."""
        return self.path / "ledger.json"

    @property
    def junit(self) -> Path:
        """JUnit XML, unless the command line says another place."""
        return self.path / "junit.xml"

    @property
    def durations(self) -> Path:
        """How long every test took, of this run and the ones before."""
        return self.path / "durations.jsonl"

    @property
    def proof(self) -> Path:
        """Where `airproof prove` leaves its matrix, beside the directories of the environments."""
        return self.path.parent / "proof" / "proof.json"

    def release(self) -> None:
        """Lets the next run have the directory."""
        if self._lock:
            self._lock.close()
            self._lock = None

    def _try_lock(self) -> bool:
        self.path.mkdir(parents=True, exist_ok=True)
        self._demand_space()
        lock = (self.path / ".lock").open("w", encoding="utf-8")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
            return False
        self._lock = lock
        return True

    def _empty(self) -> None:
        tests = [*self.path.glob("histories/*.json*"), *self.path.glob("logs/*.log")]
        for file in (*tests, self.html, self.ledger, self.junit):
            file.unlink(missing_ok=True)

    def _demand_space(self) -> None:
        free_mb = shutil.disk_usage(self.path).free // 2**20
        if free_mb < _NEEDED_MB:
            raise UsageError(
                f"no space for reports in {str(self.path)!r}: {_NEEDED_MB} MB needed, {free_mb} MB free; "
                "free some, or set --airproof-report to another disk"
            )


def _slug(nodeid: str) -> str:
    """A file name for a test, readable and unique."""
    short = nodeid.rpartition("/")[2].replace(".py::", ".")
    readable = re.sub(r"[^A-Za-z0-9._-]+", "-", short).strip("-")[:100]
    return f"{readable}.{hashlib.sha256(nodeid.encode()).hexdigest()[:8]}"
