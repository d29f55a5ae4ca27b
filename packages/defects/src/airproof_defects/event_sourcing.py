"""Seeded defects of the event store."""

from __future__ import annotations

from airproof_defects.defect import Defect, Edit

DEFECTS: tuple[Defect, ...] = (
    Defect(
        id="ES08",
        category="ES",
        what="the event log takes updates and deletes like any other table",
        trigger="somebody tries",
        edits=(
            Edit(
                "kit/schema.py",
                '    event.listen(domain_events, "after_create", DDL(statement))\n',
                "    DDL(statement)\n",
            ),
        ),
    ),
)
