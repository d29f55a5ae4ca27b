"""Draws the rates of reports/bench.json: `python benchmarks/wires_plot.py reports/bench.json wires.svg`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

COLOURS = {"Toxiproxy": "#9aa5b1", "wire": "#1f6feb", "wire, 20 rules, recorded": "#93c0ff"}
LABEL_PX, SCALE_PX, BAR_PX, GAP_PX, TOP_PX = 330, 420, 11, 12, 64
STYLE = "font: 13px system-ui, sans-serif; fill: #24292f"


def main(report: str, target: str) -> None:
    """Reads the report and writes the picture."""
    figures = json.loads(Path(report).read_text(encoding="utf-8"))["figures"]
    rates = [one for one in figures if "ways" in one and one["unit"].endswith("/s")]
    Path(target).write_text(drawing(rates), encoding="utf-8")


def drawing(rates: list[dict[str, Any]]) -> str:
    """Bars for each load: the rate of each way as a share of the direct one's, median and extremes of the rounds."""
    row = len(COLOURS) * BAR_PX + GAP_PX
    width, height = LABEL_PX + SCALE_PX + 70, TOP_PX + len(rates) * row + 10
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" role="img">']
    parts.append(f'<rect width="{width}" height="{height}" fill="white"/><g style="{STYLE}">')
    parts += legend() + grid(height)
    for number, one in enumerate(rates):
        parts += bars(one, TOP_PX + number * row)
    return "\n".join([*parts, "</g></svg>", ""])


def legend() -> list[str]:
    """What the colours say."""
    parts = [f'<text x="8" y="20" font-weight="600">{escape("Rate, as a share of the direct connection")}</text>']
    at = LABEL_PX
    for way, colour in COLOURS.items():
        parts.append(f'<rect x="{at}" y="9" width="12" height="12" fill="{colour}"/>')
        parts.append(f'<text x="{at + 17}" y="20">{escape(way)}</text>')
        at += 40 + 8 * len(way)
    return parts


def grid(height: int) -> list[str]:
    """Lines at every fifth."""
    parts = []
    for percent in range(0, 101, 20):
        x = LABEL_PX + SCALE_PX * percent / 100
        parts.append(f'<line x1="{x}" y1="{TOP_PX - 14}" x2="{x}" y2="{height}" stroke="#e4e7eb"/>')
        parts.append(f'<text x="{x}" y="{TOP_PX - 20}" text-anchor="middle" fill="#6e7781">{percent} %</text>')
    return parts


def bars(one: dict[str, Any], top: float) -> list[str]:
    """One load."""
    parts = [f'<text x="8" y="{top + 20}">{escape(one["name"])}</text>']
    ways = one["ways"]
    for number, way in enumerate(way for way in COLOURS if way in ways):
        y, share = top + number * BAR_PX, ways[way]["of_origin"]
        each = [a / b for a, b in zip(ways[way]["samples"], ways["direct"]["samples"], strict=True)]
        ends = [LABEL_PX + SCALE_PX * min(1.0, end) for end in (min(each), max(each))]
        parts.append(
            f'<rect x="{LABEL_PX}" y="{y}" width="{SCALE_PX * min(1.0, share):.1f}" height="{BAR_PX - 1}" '
            f'fill="{COLOURS[way]}"/><line x1="{ends[0]:.1f}" y1="{y + 5}" x2="{ends[1]:.1f}" y2="{y + 5}" '
            f'stroke="#24292f" stroke-opacity="0.55"/>'
        )
    return parts


if __name__ == "__main__":
    main(*sys.argv[1:3])
