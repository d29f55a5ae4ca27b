"""The log of a Kafka partition damaged on the disk, while its broker is down: a byte flipped, or the end cut off.

The broker is asked to shut down in good order: after a crash it would look through its log and drop what is damaged,
after a clean end it trusts it and hands it out. Only a broker that no other cell uses is stopped for this.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random

from airproof.environment.capabilities import ProcessControl
from airproof.environment.topology import Role
from airproof.errors import FaultNotHealed, FaultNotObserved, FaultUnsupported, NotReady
from airproof.faults.data.damage import Damage, Flip
from airproof.faults.process import control_of, start_again
from airproof.faults.targets import Target
from airproof.history import Explanation

_HEADER_BYTES = 61
"""Of a batch of records (message format 2); what follows is covered by its checksum."""


@contextmanager
def damaged_log(target: Target, topic: str, damage: Damage, *, partition: int = 0) -> Iterator[Path]:
    """The last segment of a partition is damaged; yields its file. Put right afterwards, where its bytes still stand.

    Args:
        topic: its whole name, with the cell's prefix.
        damage: `Truncate(keep)` keeps so many bytes; `Flip` takes one of those after the first batch's header.

    Raises:
        FaultUnsupported: the broker is shared, a stand-in, or its files cannot be reached.
        FaultNotObserved: there is nothing in the log to damage.
        FaultNotHealed: the broker did not come back.
    """
    node = target.description.node(Role.KAFKA.value)
    processes = control_of(target, node.name, "damage the log of")
    if target.capabilities.storage is None or node.stand_in:
        raise FaultUnsupported("the log of the broker cannot be damaged: its files are not known to the harness")
    segments = target.capabilities.storage.directory(node.name).rglob(f"{topic}-{partition}/*.log")
    segment = max((path for path in segments if path.stat().st_size), default=None)
    if segment is None:
        raise FaultNotObserved(f"{topic}/{partition} has no records that could be damaged")
    explains = Explanation(node.name, logger="*", exits=True, because="its log was damaged on purpose")
    where = f"{topic}/{partition}"
    with target.history.fault("log damaged", where, explains=[explains], damage=str(damage)) as record:
        with _down(processes, node.name):
            before, now = _damaged(segment, damage)
            segment.write_bytes(now)
        record.evidence(f"{segment.name} {damage}, {len(before)} bytes before, {len(now)} now", file=str(segment))
        try:
            yield segment
        finally:
            is_back = False
            if len(now) == len(before):
                with _down(processes, node.name):
                    is_back = _put_right(segment, before, now)
            lost = f"the broker runs; what {segment.name} has lost stays lost"
            record.healed(f"{segment.name} is as it was; the broker runs" if is_back else lost)


def _damaged(segment: Path, damage: Damage) -> tuple[bytes, bytes]:
    before = segment.read_bytes()
    if isinstance(damage, Flip):
        if len(before) <= _HEADER_BYTES:
            raise FaultNotObserved(f"{segment} holds no whole batch")
        at = Random(damage.seed).randrange(_HEADER_BYTES, len(before))  # noqa: S311 - chosen by seed, nothing secret
        return before, before[:at] + bytes([before[at] ^ 0xFF]) + before[at + 1 :]
    if damage.keep >= len(before):
        raise FaultNotObserved(f"{segment} has {len(before)} bytes, no more than are to be kept")
    return before, before[: damage.keep]


def _put_right(segment: Path, before: bytes, now: bytes) -> bool:
    """Puts the old bytes back before what was added, if the damaged ones still stand there; whether they do."""
    content = segment.read_bytes() if segment.exists() else b""
    if not content.startswith(now):
        return False
    segment.write_bytes(before + content[len(now) :])
    return True


@contextmanager
def _down(processes: ProcessControl, node: str) -> Iterator[None]:
    """The broker is down meanwhile: until it has ended, it may still write to its log."""
    stopped = processes.terminate(node, timeout_s=30.0)
    try:
        yield
    finally:
        try:
            start_again(processes, stopped)
        except NotReady as error:
            raise FaultNotHealed(f"{node!r} did not come back with the changed log: {error}") from error
