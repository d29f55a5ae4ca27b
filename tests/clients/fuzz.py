"""Feeds damaged conversations to the sessions of all protocols, and checks what a wire relies on.

    python -m tests.clients.fuzz CONVERSATIONS.json [--minutes 5] [--seed 1] [--protocol NAME ...]

The conversations are what `conversations.py` has recorded. Each round takes one, damages it (bytes changed, dropped,
doubled, pieces swapped, parts of others put in, long runs), cuts it anew, and feeds it to a session that is watched, or
not, or changes its mind, while exchanges are answered and repeated now and then. Checked: nothing is raised; what
goes out is what came in (not for Kafka, whose addresses are rewritten); no piece takes too long; no session keeps more
than the limit; the process does not grow; a session that skims says of what it receives what one says that receives
everything.

The exit status is 1 when something was found; the seed of each finding is printed, and `--seed N --rounds 1` runs it
again.
"""

from __future__ import annotations

import argparse
import base64
import json
import resource
import sys
import traceback
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from itertools import count
from pathlib import Path
from random import Random
from time import monotonic, thread_time

from airproof.wire.protocols import session_factory
from airproof.wire.session import REQUEST_LIMIT_BYTES, Exchange, Sender, Session

Piece = tuple[Sender, bytes]
SLOWEST_S = 1.0
SLOWEST_S_PER_MB = 5.0
KEPT_BYTES = REQUEST_LIMIT_BYTES + 2 * 1024 * 1024
GROWTH_KB = 150 * 1024
WARM_ROUNDS = 500
FINDINGS_SHOWN = 20
ANSWERS: tuple[dict[str, str | int], ...] = (
    {"status": 503, "body": "x"},
    {"error": "LOADING x"},
    {"value": 1},
    {"code": 451},
    {"sqlstate": "40001", "message": "x"},
    {"error": "NOT_LEADER_OR_FOLLOWER"},
)


class Finding(Exception):
    """What must not happen has happened."""


def main(arguments: Sequence[str]) -> int:
    """Runs until the time or the rounds are over."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("conversations", type=Path)
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--protocol", action="append")
    options = parser.parse_args(arguments)
    known = _read(options.conversations, options.protocol)
    until = monotonic() + options.minutes * 60
    outcomes: Counter[str] = Counter()
    slowest: dict[str, tuple[float, int]] = {}
    findings = 0
    memory_kb = 0
    for done, seed in enumerate(count(options.seed)):
        if monotonic() > until or done == options.rounds or findings == FINDINGS_SHOWN:
            break
        if done == WARM_ROUNDS:
            memory_kb = _memory_kb()
        try:
            name, end, took_s = _round(known, Random(seed))
        except Exception:  # noqa: BLE001 - whatever it is, it is a finding
            findings += 1
            sys.stdout.write(f"seed {seed}: {traceback.format_exc()}\n")
            continue
        outcomes[f"{name} {end}"] += 1
        slowest[name] = max(slowest.get(name, (0.0, 0)), (took_s, seed))
    grown_kb = _memory_kb() - memory_kb if memory_kb else 0
    _report(outcomes, slowest, grown_kb)
    return 1 if findings or grown_kb > GROWTH_KB else 0


def _report(outcomes: Counter[str], slowest: dict[str, tuple[float, int]], grown_kb: int) -> None:
    for outcome, number in sorted(outcomes.items()):
        sys.stdout.write(f"{number:8} {outcome}\n")
    for name, (took_s, seed) in sorted(slowest.items()):
        sys.stdout.write(f"{name}: the slowest piece took {took_s * 1000:.1f} ms (seed {seed})\n")
    sys.stdout.write(f"{sum(outcomes.values())} rounds; grown by {grown_kb} kB after the first {WARM_ROUNDS}\n")


def _read(path: Path, protocols: Sequence[str] | None) -> dict[str, list[list[Piece]]]:
    known: dict[str, list[list[Piece]]] = {}
    for one in json.loads(path.read_text()):
        if protocols is None or one["protocol"] in protocols:
            pieces = [(Sender[sender.upper()], base64.b64decode(data)) for sender, data in one["pieces"]]
            known.setdefault(one["protocol"], []).append(pieces)
    return known


def _round(known: dict[str, list[list[Piece]]], random: Random) -> tuple[str, str, float]:
    """One conversation: its protocol, how the session ended, and how long its slowest piece took."""
    name = random.choice(sorted(known))
    pieces = list(random.choice(known[name]))
    for _ in range(random.choice([0, 1, 1, 1, 2, 3, 8])):
        _damage(pieces, known, random)
    make = session_factory(name, lambda host, port: (host, port))
    session = make()
    cut = list(_cut(pieces, random))
    took_s = _feed(session, cut, random)
    if not session.rewrites:
        _compare(make(), make(), cut)
    return name, "broken" if session.broken else "opaque" if session.opaque else "followed", took_s


def _feed(session: Session, pieces: list[Piece], random: Random) -> float:
    came: list[list[bytes]] = [[], []]
    went: list[list[bytes]] = [[], []]
    kept = [0, 0]
    exchanges: list[Exchange] = []
    slowest = 0.0
    mood = random.choice(["watched", "unwatched", "changing"])
    meddles = random.random() < 0.3
    session.watched = mood == "watched"
    for sender, data in [*pieces, (Sender.CLIENT, b""), (Sender.SERVER, b"")]:
        if mood == "changing":
            session.watched = random.random() < 0.5
        began = thread_time()
        segments = session.receive(sender, data) if data else session.finish(sender)
        took_s = thread_time() - began
        slowest = max(slowest, took_s)
        if took_s > SLOWEST_S + SLOWEST_S_PER_MB * len(data) / 2**20:
            raise Finding(f"{len(data)} bytes took {took_s:.1f} s")
        came[sender].append(data)
        went[sender] += [segment.data for segment in segments]
        kept[sender] += len(data) - sum(len(segment.data) for segment in segments)
        if kept[sender] > KEPT_BYTES:
            raise Finding(f"{kept[sender]} bytes are kept")
        exchanges = [*exchanges[-5:], *(one.exchange for one in segments if one.exchange)]
        if meddles and exchanges:
            _meddle(session, random.choice(exchanges), random)
    if not session.rewrites and [b"".join(side) for side in came] != [b"".join(side) for side in went]:
        raise Finding("what went out is not what came in")
    return slowest


def _compare(receives: Session, skims: Session, pieces: list[Piece]) -> None:
    """Follows the pieces as a link follows that nobody asks, and beside it all of them one by one."""
    received = {one.number: one for sender, data in pieces for one in _exchanges(receives, sender, data)}
    skimmed: dict[int, Exchange] = {}
    rest = deque(pieces)
    while rest:
        (sender, data), (answerer, answer) = rest.popleft(), rest[0] if rest else (Sender.CLIENT, b"")
        if (sender, answerer) == (Sender.CLIENT, Sender.SERVER) and skims.skim(data, answer):
            rest.popleft()
        else:
            skimmed |= {one.number: one for one in _exchanges(skims, sender, data)}
    if receives.opaque != skims.opaque or any(_said(one) != _said(received[number]) for number, one in skimmed.items()):
        raise Finding("what follows something skimmed is told otherwise than when it is received")


def _exchanges(session: Session, sender: Sender, data: bytes) -> list[Exchange]:
    return [segment.exchange for segment in session.receive(sender, data) if segment.exchange]


def _said(exchange: Exchange) -> tuple[object, ...]:
    return exchange.event, exchange.transaction, exchange.outcome


def _meddle(session: Session, exchange: Exchange, random: Random) -> None:
    if random.random() < 0.1:
        session.respond(exchange, random.choice(ANSWERS))
    elif random.random() < 0.1:
        session.repeat(exchange, b"again")


def _damage(pieces: list[Piece], known: dict[str, list[list[Piece]]], random: Random) -> None:
    at = random.randrange(len(pieces))
    sender, data = pieces[at]
    place = random.randrange(len(data) + 1)
    match random.randrange(9):
        case 0:
            changed = bytearray(data)
            for _ in range(random.choice([1, 1, 4])):
                changed[random.randrange(len(changed))] = random.choice(
                    [0, 10, 13, 32, 48, 57, 127, 255, random.randrange(256)]
                )
            data = bytes(changed)
        case 1:
            data = data[:place] + data[place + random.choice([1, 2, 10]) :]
        case 2:
            data = data[:place] + random.randbytes(random.choice([1, 3, 30])) + data[place:]
        case 3:
            data = data[:place] + data[max(0, place - random.choice([5, 50, 500])) :]
        case 4:
            other = random.randrange(len(pieces))
            pieces[at], pieces[other] = pieces[other], pieces[at]
            return
        case 5:
            foreign = random.choice(random.choice(random.choice(list(known.values()))))[1]
            begin = random.randrange(len(foreign) + 1)
            data = data[:place] + foreign[begin : begin + random.choice([4, 40, 4000])] + data[place:]
        case 6:
            pieces.insert(at, pieces[at])
            return
        case 7:
            data = data[:place] + random.choice([b"\r\n", b"0", b"9", data[:1], b"\0", b"ab"]) * random.choice(
                [2, 20, 70_000]
            )
        case _:
            data = data * random.choice([2, 100]) if len(data) < 5_000 else data[:place]
    pieces[at] = (sender, data or b"x")


def _cut(pieces: list[Piece], random: Random) -> Iterator[Piece]:
    """As they are, in pieces of one size, or of random ones."""
    way = random.choice([0, 0, 1, 3, 100, -1])
    for sender, data in pieces:
        at = 0
        while at < len(data):
            step = len(data) if not way else random.randint(1, 300) if way < 0 else way
            if len(data) > 50_000:
                step = max(step, 1_000)
            yield sender, data[at : at + step]
            at += step


def _memory_kb() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
