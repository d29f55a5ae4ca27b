"""Seeded defects of the event store."""

from __future__ import annotations

from airproof_defects.defect import Defect, Edit

DEFECTS: tuple[Defect, ...] = (
    Defect(
        id="ES08",
        category="ES",
        what="the event log is guarded against TRUNCATE alone, not against updates and deletes",
        trigger="somebody tries",
        edits=(
            Edit(
                "kit/schema.py",
                "BEFORE UPDATE OR DELETE ON domain_events\n    FOR EACH ROW",
                "BEFORE TRUNCATE ON domain_events\n    FOR EACH STATEMENT",
            ),
        ),
    ),
)
