"""The System V shared memory of PostgreSQL, 56 bytes a server, which the kernel keeps when a server is killed.

A machine has 4096 such segments as a rule, and PostgreSQL cannot start without one. So the segments of a group are
noted, and removed when the group is. The note lies in the run directory: it outlives data directory and supervisor.
"""

from __future__ import annotations

from pathlib import Path

from airproof.supervision import Supervisor

SEGMENTS = Path("/proc/sysvipc/shm")
FORGET = '[ ! -f "$1" ] || sort -u "$1" | while read -r id; do ipcrm -m "$id" 2>/dev/null || :; done'


def forget_with(supervisor: Supervisor, group: str) -> None:
    """Has the segments that will be noted for the group removed when the group is; some may be gone by then."""
    supervisor.on_release(group, ("sh", "-c", FORGET, "sh", str(_note(supervisor, group))))


def note_segments(supervisor: Supervisor, group: str, name: str) -> None:
    """Notes the segments that the process has made. To be called after each of its starts."""
    segments = _made_by(supervisor.pid(name))
    if segments:
        note = _note(supervisor, group)
        note.parent.mkdir(exist_ok=True)
        with note.open("a") as file:
            file.writelines(f"{segment}\n" for segment in segments)


def _note(supervisor: Supervisor, group: str) -> Path:
    return supervisor.run_directory / "shared-memory" / group


def _made_by(pid: int) -> list[str]:
    """Ids of the segments whose creator is that process; none where the kernel does not tell."""
    try:
        lines = SEGMENTS.read_text().splitlines()
    except OSError:
        return []
    if not lines:
        return []
    columns = lines[0].split()
    maker, identity = columns.index("cpid"), columns.index("shmid")
    return [fields[identity] for fields in map(str.split, lines[1:]) if int(fields[maker]) == pid]
