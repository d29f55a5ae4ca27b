"""Seeded defects of what one service makes of another one's absence."""

from __future__ import annotations

from airproof_defects.defect import Defect, Edit

DEFECTS: tuple[Defect, ...] = (
    Defect(
        id="XS06",
        category="XSERVICE",
        what="a read fails when its cache is away, although the truth is there",
        trigger="the cache is away",
        edits=(
            Edit(
                "kit/cache.py",
                '            self._count("away")\n            return await load()\n',
                '            self._count("away")\n            raise\n',
            ),
        ),
    ),
)
