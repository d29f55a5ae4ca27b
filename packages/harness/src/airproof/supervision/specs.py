"""What supervisor and clients say to each other about processes and groups, as plain data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

JSON: TypeAlias = Any
"""Whatever `json.dumps` takes."""


@dataclass(frozen=True, slots=True)
class ProcessSpec:
    """A program to run in the foreground: what it leaves behind when it exits is killed, as in a container.

    Attributes:
        name: `<group>/<node>`, unique in the run.
        argv: the program and its arguments; a program without a slash is looked up on `PATH` of `environment`.
        environment: the complete environment.
        directory: the working directory; the run directory if None.
        unprivileged: for programs that refuse root, or a user whom the user database does not know. Then it runs as
            somebody else in a user namespace of its own, so that its files still belong to us; where namespaces are
            forbidden, root's runs as `nobody`, which is given the directory of the group that holds `directory`.
            Without effect for other users.
    """

    name: str
    group: str
    argv: tuple[str, ...]
    environment: dict[str, str]
    directory: str | None = None
    unprivileged: bool = False


@dataclass(frozen=True, slots=True)
class ForkSpec:
    """A process to be forked from a zygote.

    Attributes:
        zygote: the name given to `spawn_zygote`.
        entry: `module:function`, called without arguments; what it returns is the exit code, None meaning 0.
        environment: the complete environment, which replaces the zygote's.
    """

    name: str
    group: str
    zygote: str
    entry: str
    environment: dict[str, str]


@dataclass(frozen=True, slots=True)
class ZygoteSpec:
    """A process to fork others from, with the modules it imports beforehand."""

    name: str
    group: str
    preload: tuple[str, ...]
    environment: dict[str, str]


@dataclass(frozen=True, slots=True)
class ProcessEvent:
    """An exit.

    Attributes:
        sequence: 1 for the first of the run; give the last one seen to `events(after)`.
        incarnation: which start of the process ended.
        exit_code: as the operating system reports it, negative for a signal.
        requested: whether somebody had asked the supervisor to end it (any signal but SIGSTOP and SIGCONT, or removal).
        at: `time.monotonic()` of the machine.
    """

    sequence: int
    name: str
    group: str
    incarnation: int
    exit_code: int
    requested: bool
    at: float


@dataclass(frozen=True, slots=True)
class GroupInfo:
    """A group of processes, ports and directories that live and die together."""

    name: str
    leased: bool
