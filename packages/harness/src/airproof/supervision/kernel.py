"""What the kernel offers beyond the standard library: death signals, adoption, user namespaces, the process table.

Elsewhere than on Linux there are no death signals, no adoption and no `/proc`. There the guard (see `guard`) and closed
pipes end the processes of a run, and what these have started themselves may survive.
"""

from __future__ import annotations

import ctypes
import os
import pwd
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path

LINUX = sys.platform.startswith("linux")
NOBODY = 65534
_FIRST_USER = 1000
_PR_SET_PDEATHSIG, _PR_SET_NAME, _PR_SET_CHILD_SUBREAPER = 1, 15, 36
_CLONE_NEWUSER = 0x10000000


@cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _prctl(option: int, argument: int | bytes) -> None:
    value = ctypes.c_char_p(argument) if isinstance(argument, bytes) else ctypes.c_ulong(argument)
    if _libc().prctl(option, value, 0, 0, 0):
        raise OSError(ctypes.get_errno(), f"prctl({option})")


def die_with(parent: int) -> None:
    """Has this process killed when the parent ends; ends it at once if that is already so.

    The signal comes when the parent's *thread* ends that forked, so a parent must fork from its main thread. It is lost
    when the process changes its user, so this comes last before an exec.
    """
    if LINUX:
        _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGKILL)


def adopt_orphans() -> None:
    """Makes this process the parent of descendants whose own parent ends."""
    if LINUX:
        _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def name_process(name: str) -> None:
    """Sets the name that `ps` and `top` show; 15 bytes."""
    if LINUX:
        _prctl(_PR_SET_NAME, name.encode()[:15])


def has_name(uid: int) -> bool:
    """Whether the user database knows the user. Containers run as any uid, and some programs ask who they are."""
    try:
        pwd.getpwuid(uid)
    except KeyError:
        return False
    return True


def enter_user_namespace() -> None:
    """Makes this process an ordinary user with a name in a new user namespace; outside it still counts as its own user.

    Raises:
        OSError: the machine does not allow it.
    """
    uid, gid = os.getuid(), os.getgid()
    inside = next((one for one in (_FIRST_USER, NOBODY) if has_name(one)), _FIRST_USER)
    if _libc().unshare(_CLONE_NEWUSER):
        raise OSError(ctypes.get_errno(), "unshare(CLONE_NEWUSER)")
    for file, text in (("uid_map", f"{inside} {uid} 1"), ("setgroups", "deny"), ("gid_map", f"{inside} {gid} 1")):
        descriptor = os.open(f"/proc/self/{file}", os.O_WRONLY)
        os.write(descriptor, text.encode())
        os.close(descriptor)


def become_nobody() -> None:
    """Gives up root for good."""
    os.setgroups([])
    os.setgid(NOBODY)
    os.setuid(NOBODY)


@cache
def user_namespaces_work() -> bool:
    """Whether `enter_user_namespace` works here; tried once in a child."""
    if not LINUX:
        return False
    child = os.fork()
    if child == 0:
        try:
            enter_user_namespace()
        except OSError:
            os._exit(1)
        os._exit(0)
    return os.waitpid(child, 0)[1] == 0


def process_ids() -> list[int]:
    """Every process of the machine; Linux only."""
    return [int(entry) for entry in os.listdir("/proc") if entry.isdigit()]  # noqa: PTH208 - ten times as fast


def process_table() -> Iterator[tuple[int, int, str]]:
    """Every process of the machine as pid, parent and state letter (`T` is stopped, `Z` a zombie)."""
    if not LINUX:
        listed = subprocess.run(["ps", "-axo", "pid=,ppid=,state="], capture_output=True, text=True, check=True)
        for line in listed.stdout.splitlines():
            columns = line.split()
            yield int(columns[0]), int(columns[1]), columns[2][0]
        return
    for pid in process_ids():
        if fields := _read_stat(pid):
            yield pid, int(fields[1]), fields[0].decode()


def has_terminal(pid: int) -> bool:
    """Whether the process has a controlling terminal; Linux only."""
    return bool(fields := _read_stat(pid)) and fields[4] != b"0"


def _read_stat(pid: int) -> list[bytes]:
    """The fields of `/proc/<pid>/stat` from the state on; none if the process is gone, or hidden (`hidepid`)."""
    try:
        return Path(f"/proc/{pid}/stat").read_bytes().rpartition(b") ")[2].split(b" ", 5)
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return []


def is_stopped(pid: int) -> bool:
    """Whether a process and all its descendants are stopped."""
    if LINUX and (fields := _read_stat(pid)) and fields[0] != b"T":
        return False
    return set(process_tree(pid).values()) - {"Z"} == {"T"}


def children(parent: int) -> list[int]:
    """The direct children of a process, zombies left out."""
    return [pid for pid, its_parent, state in process_table() if its_parent == parent and state != "Z"]


def process_tree(root: int) -> dict[int, str]:
    """A process and all its descendants with their state letters, parents first."""
    if _children_are_listed():
        return _tree_of_lists(root)
    table = {pid: (parent, state) for pid, parent, state in process_table()}
    below: dict[int, list[int]] = {}
    for pid, (parent, _) in table.items():
        below.setdefault(parent, []).append(pid)
    order = [root] if root in table else []
    for pid in order:
        order.extend(below.get(pid, ()))
    return {pid: table[pid][1] for pid in order}


def _tree_of_lists(root: int) -> dict[int, str]:
    tree: dict[int, str] = {}
    order = [root]
    for pid in order:
        if pid not in tree and (fields := _read_stat(pid)):
            tree[pid] = fields[0].decode()
            order.extend(_listed_children(pid))
    return tree


@cache
def _children_are_listed() -> bool:
    """Whether the kernel lists the children of a thread, which saves a look at every process of the machine."""
    return LINUX and Path(f"/proc/self/task/{os.getpid()}/children").exists()


def _listed_children(pid: int) -> list[int]:
    children: list[int] = []
    with suppress(FileNotFoundError, ProcessLookupError):
        for thread in os.listdir(f"/proc/{pid}/task"):  # noqa: PTH208 - ten times as fast
            with suppress(FileNotFoundError, ProcessLookupError):
                children += map(int, Path(f"/proc/{pid}/task/{thread}/children").read_bytes().split())
    return children


def send_signal(pid: int, number: int) -> None:
    """Sends a signal; a process that is already gone needs none."""
    with suppress(ProcessLookupError):
        os.kill(pid, number)


def kill(leader: int) -> None:
    """Ends a process that leads a session at once; with its process group where nobody adopts the orphans."""
    with suppress(ProcessLookupError):
        (os.kill if LINUX else os.killpg)(leader, signal.SIGKILL)
