"""Arguments of commands: a parser whose errors are one line, and the arguments that most commands share."""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from difflib import get_close_matches
from typing import NoReturn

from airproof.errors import UsageError


class Parser(argparse.ArgumentParser):
    """Raises `UsageError` instead of printing its usage and exiting; knows the option that was meant."""

    def __init__(self, prog: str, description: str | None) -> None:
        super().__init__(prog=prog, description=description, allow_abbrev=False)

    def error(self, message: str) -> NoReturn:
        raise UsageError(
            f"{self.prog.removeprefix('airproof ')}: {message}{self._meant(message)}; see {self.prog} --help"
        )

    def _meant(self, message: str) -> str:
        unknown = re.search(r"unrecognized arguments: (--[\w-]+)", message)
        options: Sequence[str] = [option for action in self._actions for option in action.option_strings]
        close = get_close_matches(unknown[1], options, n=1) if unknown else []
        return f"; did you mean {close[0]!r}?" if close else ""


def add_environment(parser: argparse.ArgumentParser) -> None:
    """Adds the environment and its overrides."""
    parser.add_argument(
        "environment",
        nargs="?",
        default="local",
        metavar="ENVIRONMENT",
        help="a name, or a file (default: %(default)s)",
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        dest="settings",
        metavar="FIELD=VALUE",
        help="override a field, as in timeouts.ready_s=20; may be repeated",
    )
