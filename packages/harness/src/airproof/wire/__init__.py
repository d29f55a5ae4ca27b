"""Wires: proxies that understand what passes, so that a test says at which message something goes wrong.

    with cell.wire.apply(on("auth-service", "postgres*").when(postgres.commit(containing=email)).nth(1).hold()) as held:
        …                                   # begin what commits
        held.wait_until_held(5)             # the COMMIT is in the wire and not in the server
        …                                   # let others read, write, commit
        held.release()

**The parts.** `rules`, `matches`, `building`, `actions`: what a test says, checked on its side and again in the wire.
`control`, `holding`: how it says it, and waits. Everything else is the wire: `process`, `server`, `service` hold
`link`s; a `link` listens and keeps `connection`s; a connection has two `stream`s (its sockets), a session
(`protocols`), which says what the bytes mean, and two `lane`s, one for each direction. `deciding` finds the `armed`
rules that act on a `passage`, by `effects`, and the `journal` keeps what happened.

**A lane is a queue.** What came first leaves first, in each direction. A rule that delays or holds a message keeps all
that follows it in that direction, as a slow network does, and nothing in the other direction or on other connections.
So nothing is ever taken out of the middle of a stream: a message that is lost takes all that follows with it, and the
connection ends, or falls silent until the rule is removed; then it is reset, because what is left of it is of no use.
An answer of the wire's own waits for the answers to earlier requests. An end and a reset wait in the queue like a
message: a client that dies does not take back what it has sent.

**Fast and slow.** Without rules a piece is written to the other side before the session sees it. The session has to
follow all the same, because a rule may come at any time, into living connections; but while nobody records either, it
may lag behind by a few pieces, and follows them together. A request and its reply that leave nothing behind but their
count are then only skimmed. A rule may come in the middle of a message: the session catches up, the lane knows how many
bytes have left that the session still keeps, and does not send them again; such a message is not matched any more. With
rules, the session sees a piece first and gives it back message by message. Recording alone does not slow a lane down. A
rule that has acted as often as it may no longer counts, so the link is fast again.

**Before and after.** Before: the request is in the wire, complete (up to 16 MB), and the server knows nothing of it.
After: the server has done the work, its reply is complete in the wire (up to 16 MB), and the client knows nothing of
it. `content` is what the protocol decoded, not the bytes.

**Bounded.** A lane reads no more when the other side does not, or when 256 KB wait behind a rule; the sender's window
closes, and the sender waits as it would for the server. The journal is two rings, so that what rules did is not pushed
out by what merely passed, and it counts what it lost.

**Refused stays refused.** A client is connected when its server is: the wire dials first and listens only while the
server answers. What it cannot do is refuse *one* connection in the kernel's way: by the time a rule can choose, the
kernel has accepted, so the client sees a reset right after its connect.

**Limits.** A wire ends TCP on both sides: it neither sees nor makes lost packets, windows, keep-alives. What is
encrypted with a key that it has not passes as bytes. Time in it is the loop's: a delay is exact to about a millisecond.
An exchange that began before a rule came is not matched by it. What must not wait for the next message is a rule on
connections that are `established`: it cuts or resets them at once, and a cut also takes what waits in the wire.

**How fast, and why.** Plain non-blocking sockets on uvloop's readers. Of the ways measured once (`pgbench -S -M
prepared`, 8 clients, two noisy cores, CPU of the wire for one transaction): transports of uvloop 25 µs, readers on
uvloop 23 µs, a bare epoll loop 24 µs, readers on asyncio 31-35 µs. About 20 µs of that are the four system calls. The
rest is Python that follows: a PostgreSQL transaction 6-9 µs in a row, and two or three times that between system calls
on a busy core, whose caches were somebody else's meanwhile. So a session that nobody asks follows 64 pieces in a row;
to the end of the loop's turn, which are one or two, did not help. Compiling with mypyc took about half of the following
away; it is not taken, because the sources would have to change for it. How it stands beside Toxiproxy:
docs/testing/wires.md.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airproof.wire.building import on
    from airproof.wire.control import AppliedRule, Event, Wire, WireGone
    from airproof.wire.holding import Hold, outcome_of
    from airproof.wire.matches import established, http, kafka, matching, opened, passing, postgres, redis, smtp
    from airproof.wire.rules import Match, Moment, Rule, Scope, captured, glob, regex
    from airproof.wire.specs import LinkSpec

__all__ = [
    "AppliedRule",
    "Event",
    "Hold",
    "LinkSpec",
    "Match",
    "Moment",
    "Rule",
    "Scope",
    "Wire",
    "WireGone",
    "captured",
    "established",
    "glob",
    "http",
    "kafka",
    "matching",
    "on",
    "opened",
    "outcome_of",
    "passing",
    "postgres",
    "redis",
    "regex",
    "smtp",
]

_MODULES = {
    "building": {"on"},
    "control": {"AppliedRule", "Event", "Wire", "WireGone"},
    "holding": {"Hold", "outcome_of"},
    "specs": {"LinkSpec"},
    "matches": {"established", "http", "kafka", "matching", "opened", "passing", "postgres", "redis", "smtp"},
    "rules": {"Match", "Moment", "Rule", "Scope", "captured", "glob", "regex"},
}


def __getattr__(name: str) -> object:
    for module, names in _MODULES.items():
        if name in names:
            return getattr(import_module(f"{__name__}.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
