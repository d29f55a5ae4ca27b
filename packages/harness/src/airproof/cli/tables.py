"""Tables on the terminal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

WIDTH_OF_FILES = 160


def print_table(headings: Sequence[str], rows: Iterable[Sequence[str | Text]], *, title: str = "") -> None:
    """Prints rows under headings. Cells are plain text; those of the first two columns are never broken."""
    console = Console()
    if not console.is_terminal:
        console.width = WIDTH_OF_FILES
    table = Table(box=SIMPLE_HEAD, title=title or None, title_justify="left", pad_edge=False)
    for number, heading in enumerate(headings):
        table.add_column(heading, no_wrap=number < 2, overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell) if isinstance(cell, str) else cell for cell in row))
    console.print(table)


def good(text: str) -> Text:
    """Text that says all is well."""
    return Text(text, style="green")


def bad(text: str) -> Text:
    """Text that says something is wrong."""
    return Text(text, style="red")
