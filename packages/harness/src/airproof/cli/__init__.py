"""The command line `airproof`. Each command is a module of its own, imported when it is asked for."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from airproof.errors import AirproofError, ExitStatus

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command and returns its exit status; an error that was foreseen is one message and no traceback."""
    try:
        # Here, so that Ctrl-C is answered in one line from the first import on.
        from airproof.cli.commands import run

        return run(sys.argv[1:] if arguments is None else list(arguments))
    except AirproofError as error:
        print(f"airproof: {error}", file=sys.stderr)
        return error.exit_status
    except KeyboardInterrupt:
        print("airproof: interrupted", file=sys.stderr)
        return ExitStatus.INTERRUPTED
    except BrokenPipeError:
        # The reader has gone, as in `airproof logs | head`; keep the interpreter from complaining once more.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitStatus.OK
