"""Starts programs as children of the supervisor: own session, own log, killed with the supervisor."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

from airproof.errors import ProviderUnavailable
from airproof.supervision.kernel import (
    NOBODY,
    become_nobody,
    die_with,
    enter_user_namespace,
    has_name,
    user_namespaces_work,
)
from airproof.supervision.runs import MEMORY, OWNER_VARIABLE, Run

Become = Callable[[], None]


def launch_program(
    run: Run,
    name: str,
    argv: Sequence[str],
    *,
    environment: dict[str, str],
    directory: str | None = None,
    inherited: Sequence[int] = (),
    become: Become | None = None,
) -> int:
    """Starts a program and returns its pid when it has been executed. For the main thread only (see `die_with`).

    Args:
        name: decides where the log is.
        inherited: descriptors it may keep.
        become: gives up privileges in the child.

    Raises:
        ProviderUnavailable: it cannot be executed.
    """
    supervisor = os.getpid()

    def prepare() -> None:
        if become:
            become()
        die_with(supervisor)

    try:
        with run.open_log(name) as output:
            process = subprocess.Popen(
                argv,
                env={**environment, OWNER_VARIABLE: run.id},
                cwd=directory or run.directory,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                pass_fds=inherited,
                start_new_session=True,
                preexec_fn=prepare,  # noqa: PLW1509 - the supervisor has one thread
            )
    except (OSError, subprocess.SubprocessError) as error:
        reason = f"{error.strerror}: {error.filename!r}" if isinstance(error, OSError) else str(error)
        raise ProviderUnavailable(f"cannot start {name}, command {argv[0]!r}: {reason}") from error
    # The reaper collects it; Popen would only warn that nobody waited.
    process.returncode = 0
    return process.pid


def without_privileges(run: Run, directory: str | None) -> Become | None:
    """How a program that refuses root, and a user without a name, is started on this machine.

    Args:
        directory: its working directory. If it has to run as `nobody`, the directory that was made for its group and
            holds this one is given to `nobody`.
    """
    if os.getuid() and has_name(os.getuid()):
        return None
    if user_namespaces_work():
        return enter_user_namespace
    if os.getuid():
        return None
    if directory:
        _give_to_nobody(run, Path(directory))
    return become_nobody


def _give_to_nobody(run: Run, directory: Path) -> None:
    for root in run.roots:
        if root not in directory.parents:
            continue
        group, made = directory.relative_to(root).parts[:2]
        outer = [] if root.is_relative_to(MEMORY) else [root.parent.parent]
        for above in (*outer, root.parent, root, root / group):
            above.chmod(0o711)
        for folder, _, files in os.walk(root / group / made):
            for path in (Path(folder), *(Path(folder, file) for file in files)):
                os.chown(path, NOBODY, NOBODY, follow_symlinks=False)
