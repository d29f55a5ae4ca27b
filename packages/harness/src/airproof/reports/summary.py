"""What is printed when the run is over."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from airproof.reports.ledger import Coverage, Ledger

if TYPE_CHECKING:
    from airproof.reports.html import RunFacts


def lines(facts: RunFacts, ledger: Ledger, html: Path) -> Iterator[tuple[str, dict[str, bool]]]:
    """Lines and their colours."""
    sources = " · ".join(f"{backing}: {source}" for backing, source in facts.sources.items())
    yield f"environment {facts.environment} ({facts.provider}), seed {facts.seed}", {}
    if sources:
        yield sources, {}
    if facts.stand_ins:
        yield f"stand-in, not the real product: {', '.join(facts.stand_ins)}", {"yellow": True, "bold": True}
    for remark in facts.remarks:
        yield remark, {"yellow": True}
    if ledger.is_named:
        green, red = ledger.count(Coverage.GREEN), ledger.count(Coverage.RED)
        yield f"ledger: {green} rows green, {red} red, of {len(ledger.rows)}", {"red": True} if red else {}
    if ledger.unknown:
        yield f"tests name rows that the ledger does not have: {', '.join(ledger.unknown)}", {"yellow": True}
    yield f"report: {os.path.relpath(html)}", {"bold": True}
