"""What a report of pytest says beyond pytest's own: how to run the test again, what the nodes wrote; and no secrets."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pytest

    from airproof.history import Redactor


def explain(report: pytest.TestReport, *, seed: int, reproduce: str, sections: Iterable[tuple[str, str]]) -> None:
    """Adds to a failure: its seed, the one line that runs the test again, and sections."""
    how = f"seed {seed}; to reproduce:\n{reproduce}"
    longrepr: Any = report.longrepr
    if hasattr(longrepr, "addsection"):
        longrepr.addsection("airproof", how, "-")
    elif isinstance(longrepr, str):
        report.longrepr = f"{longrepr}\n\n{how}"
    report.sections.extend(sections)


def redact(report: pytest.TestReport, redactor: Redactor) -> None:
    """Takes secrets out of a report; a failure that held one loses its colours."""
    if report.longrepr is not None and not isinstance(report.longrepr, tuple):
        text = str(report.longrepr)
        clean = redactor.text(text)
        if clean != text:
            report.longrepr = clean
    report.sections = [(heading, redactor.text(text)) for heading, text in report.sections]
