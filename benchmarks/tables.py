"""Figures and comparisons as the reader sees them."""

from __future__ import annotations

from rich.table import Table

from benchmarks.measure import SECONDS, Comparison, Figure, Unit

_COLOURS = {True: "green", False: "red", None: "default"}
_LEFT = {"figure", "alternative in the same run"}


def figure_table(figures: list[Figure]) -> Table:
    """Median, spread, target, and how many times worse the alternative is."""
    result = Table(title="Medians", title_justify="left")
    for heading in ("figure", "median", "min to max", "target", "alternative in the same run"):
        result.add_column(heading, justify="left" if heading in _LEFT else "right")
    for figure in figures:
        unit, other = figure.unit, figure.alternative
        spread = f"{shown(min(figure.samples), unit)} to {shown(max(figure.samples), unit)}"
        target = "" if figure.target is None else shown(figure.target, unit)
        beside = f"{other.name}: {shown(other.median, unit)}, {figure.ratio:.1f} times" if other else ""
        median = f"[{_COLOURS[figure.reached]}]{shown(figure.median, unit)}[/]"
        result.add_row(figure.name, median, spread, target, beside)
    return result


def comparison_table(comparisons: list[Comparison]) -> Table:
    """Of every way the median of its rounds, their spread, and its share of the rival in the same round."""
    result = Table(title="Ways to the same server, round by round", title_justify="left")
    result.add_column("load")
    ways = list(comparisons[0].rounds)
    for way in ways:
        result.add_column(way, justify="right")
    for one in comparisons:
        result.add_row(one.name, *(_cell(one, way) for way in ways))
    if comparisons[0].rival is None:
        result.caption = "Toxiproxy is not installed: name its server in TOXIPROXY, or install Go"
    return result


def _cell(one: Comparison, way: str) -> str:
    lines = [f"[{_COLOURS[one.reached(way)]}]{shown(one.median(way), one.unit)}[/]"]
    lines.append(f"[dim]{shown(min(one.rounds[way]), one.unit)} to {shown(max(one.rounds[way]), one.unit)}[/]")
    if way == one.origin:
        return "\n".join(lines)
    if one.unit is SECONDS:
        lines.append(f"adds {shown(one.added(way), one.unit)}")
    elif way == one.rival or one.rival is None:
        lines.append(f"{one.ratio(way, one.origin):.0%} of {one.origin}")
    else:
        lines.append(f"{one.ratio(way, one.rival):.2f} x {one.rival}")
    return "\n".join(lines)


def in_short(one: Figure | Comparison) -> str:
    """One line: the median, or the median of every way."""
    if isinstance(one, Figure):
        return shown(one.median, one.unit)
    return ", ".join(f"{way} {shown(one.median(way), one.unit)}" for way in one.rounds)


def shown(value: float, unit: Unit) -> str:
    """A value as the reader wants it."""
    if unit is not SECONDS:
        return f"{value:,.0f} {unit.name}" if unit.name.startswith("MB") else f"{value:,.0f}{unit.name}"
    if abs(value) < 0.001:
        return f"{value * 1e6:.0f} µs"
    return f"{value * 1000:.1f} ms" if abs(value) < 1 else f"{value:.2f} s"
