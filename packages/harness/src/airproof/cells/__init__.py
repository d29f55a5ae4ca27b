"""Cells as tests see them: one running copy of the platform, quiet before each test and replaced when it is not."""

from airproof.cells.cell import Cell

__all__ = ["Cell"]
