"""Short commands run to their end by the supervisor, so that they too die with the run."""

from __future__ import annotations

import os
from pathlib import Path

from airproof.errors import CacheError, ProviderUnavailable
from airproof.providers.native.prepared import CACHE_VARIABLE
from airproof.providers.native.readiness import last_lines
from airproof.supervision import ProcessSpec, Supervisor

NO_SPACE = "No space left on device"
TAR_TIMEOUT_S = 60.0
PLAIN_ENVIRONMENT = {"PATH": os.defpath, "LANG": "C", "LC_ALL": "C"}


def run_to_end(supervisor: Supervisor, spec: ProcessSpec, *, timeout_s: float) -> None:
    """Starts the command and waits until it has ended well.

    Raises:
        ProviderUnavailable: it ended otherwise; the message holds its last lines.
        CacheError: because there was no space left.
        WaitTimeout: it did not end after `timeout_s`.
    """
    supervisor.spawn(spec)
    state = supervisor.wait_exit(spec.name, timeout_s)
    if state.exit_code == 0:
        return
    said = last_lines(supervisor, spec.name)
    if NO_SPACE in said:
        where = spec.directory or supervisor.run_directory
        raise CacheError(
            f"no space left in {where} for {spec.argv[0]}; free some, or set {CACHE_VARIABLE} to another disk"
        )
    raise ProviderUnavailable(f"{spec.name} ({Path(spec.argv[0]).name}) ended with status {state.exit_code}; {said}")


def pack_tree(supervisor: Supervisor, group: str, name: str, source: Path, target: Path) -> None:
    """Writes the content of a directory into one file: thousands of small ones would be slow to copy and to check."""
    _tar(supervisor, group, name, "-cf", str(target), "-C", str(source), ".")


def unpack_tree(supervisor: Supervisor, group: str, name: str, source: Path, target: Path) -> None:
    """Fills an existing directory with what `pack_tree` has written."""
    _tar(supervisor, group, name, "-xf", str(source), "-C", str(target), "--no-same-owner")


def _tar(supervisor: Supervisor, group: str, name: str, *arguments: str) -> None:
    spec = ProcessSpec(f"{group}/{name}", group, ("tar", *arguments), dict(PLAIN_ENVIRONMENT))
    run_to_end(supervisor, spec, timeout_s=TAR_TIMEOUT_S)
