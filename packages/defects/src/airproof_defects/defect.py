"""What a defect is: a failure mode of the catalogue, made by replacing a few lines of the reference platform."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from airproof.errors import DefectError


@dataclass(frozen=True, slots=True)
class Edit:
    """Replaces one piece of text that stands exactly once in a file.

    Attributes:
        path: relative to the package `pyairtable_reference`.
    """

    path: str
    before: str
    after: str

    def apply(self, package: Path) -> None:
        """Edits the file below `package`.

        Raises:
            DefectError: the file is missing, or `before` does not stand in it exactly once.
        """
        file = package / self.path
        if not file.is_file():
            raise DefectError(f"{self.path}: no such file in the reference platform; correct the defect's path")
        text = file.read_text(encoding="utf-8")
        found = text.count(self.before)
        if found != 1:
            first_line = self.before.strip().splitlines()[0]
            raise DefectError(
                f"{self.path}: the text to replace, beginning {first_line!r}, stands there {found} times instead of "
                "once; the platform has changed, so the defect must follow"
            )
        file.write_text(text.replace(self.before, self.after), encoding="utf-8")


@dataclass(frozen=True, slots=True)
class Defect:
    """A bug that somebody could have written.

    Attributes:
        id: of the row of failure-modes.csv that it is an instance of.
        category: what a proof must blame, as in failure-modes.csv.
        what: the bug in one clause, as a reviewer would name it.
        trigger: the least that has to happen for the bug to show.
    """

    id: str
    category: str
    what: str
    trigger: str
    edits: tuple[Edit, ...]

    def apply(self, package: Path) -> None:
        """Puts the bug into a copy of the package `pyairtable_reference`."""
        for edit in self.edits:
            edit.apply(package)
