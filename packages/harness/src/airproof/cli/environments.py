"""Lists the environments there are, with the files they come from."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from airproof.errors import ExitStatus

if TYPE_CHECKING:
    from rich.text import Text


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """No arguments."""


def run(_: argparse.Namespace) -> int:
    """Prints the table. A file that is wrong shows its error and does not hide the others."""
    from airproof.cli.tables import bad, print_table
    from airproof.environment.files import shown
    from airproof.environment.loader import available, load
    from airproof.errors import EnvironmentFileError

    rows: list[Sequence[str | Text]] = []
    status = ExitStatus.OK
    for name, path in sorted(available(Path.cwd()).items()):
        try:
            found = load(name)
        except EnvironmentFileError as error:
            status = ExitStatus.USAGE
            rows.append((name, "", "", "", bad(str(error)), shown(path)))
        else:
            disposable = "yes" if found.disposable else "no"
            rows.append((name, found.platform, found.provider.value, disposable, found.description, shown(path)))
    print_table(("environment", "platform", "provider", "disposable", "what it is", "file"), rows)
    return status
