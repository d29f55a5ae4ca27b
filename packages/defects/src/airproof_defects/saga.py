"""Seeded defects of the saga, one per row of failure-modes.csv."""

from __future__ import annotations

from airproof_defects.defect import Defect

DEFECTS: tuple[Defect, ...] = ()
