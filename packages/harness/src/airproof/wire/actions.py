"""What can be done to which message: a table of protocol, event, moment and action.

Not every action makes sense everywhere. Dropping one of several pipelined replies would shift all later ones, so a
lost message takes with it all that follows; what is neither request nor reply cannot be answered; a TLS handshake
cannot be repeated. What the table does not hold is `FaultUnsupported`, on the test's side already.
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import NamedTuple

from airproof.errors import FaultUnsupported, UsageError
from airproof.wire.rules import BYTES, CONNECT, ESTABLISHED, Moment, Rule

_PASSING = frozenset(["observe", "delay", "hold", "throttle"])
_BREAKING = frozenset(["reset", "half_close", "cut", "corrupt", "truncate"])
_CONNECTION = frozenset(["observe", "delay", "hold", "refuse", "silence"])
_ESTABLISHED = frozenset(["observe", "reset", "cut"])
_REQUEST = _PASSING | _BREAKING | {"lose_request", "respond", "duplicate", "reorder"}
_REPLY = _PASSING | _BREAKING | {"lose_reply", "respond", "reorder"}

ACTIONS = _REQUEST | _REPLY | _CONNECTION
"""All actions there are."""

_UNANSWERED = frozenset(["respond", "duplicate"])


class _Row(NamedTuple):
    protocol: str
    event: str
    cannot: frozenset[str]
    moments: tuple[Moment, ...] = (Moment.BEFORE, Moment.AFTER)


_NO_REPLY = (_REPLY - _REQUEST) | {"respond"}

_CANNOT = (
    _Row("http", "upgrade", _UNANSWERED),
    # Its reply has shown the session in which state the server is; another one would contradict that.
    _Row("postgres", "*", frozenset(["respond"]), (Moment.AFTER,)),
    _Row("postgres", "startup", frozenset(["duplicate"])),
    _Row("postgres", "copy", _UNANSWERED),
    _Row("postgres", "cancel", _UNANSWERED | _NO_REPLY),
    _Row("postgres", "terminate", _UNANSWERED | _NO_REPLY),
    _Row("kafka", "ApiVersions", frozenset(["respond"])),
    _Row("kafka", "Sasl*", frozenset(["respond"])),
    _Row("redis", "*SUBSCRIBE", _UNANSWERED),
    _Row("redis", "MONITOR", _UNANSWERED),
    _Row("redis", "EXEC", frozenset(["respond"]), (Moment.BEFORE,)),
    _Row("redis", "DISCARD", frozenset(["respond"]), (Moment.BEFORE,)),
    _Row("smtp", "message", frozenset(["respond"]), (Moment.BEFORE,)),
    _Row("smtp", "BDAT", frozenset(["respond"]), (Moment.BEFORE,)),
    _Row("smtp", "STARTTLS", frozenset(["respond"])),
)
"""What the general rows allow and these events do not."""

KAFKA_REPEATABLE = frozenset(
    {
        "AddOffsetsToTxn",
        "AddPartitionsToTxn",
        "EndTxn",
        "Heartbeat",
        "ListOffsets",
        "OffsetCommit",
        "OffsetFetch",
        "Produce",
        "TxnOffsetCommit",
    }
)
"""What a broker may get twice without the connection or the member losing its place."""

_REPEATABLE = {"kafka": KAFKA_REPEATABLE, "smtp": frozenset[str]()}
"""The only events of a protocol that can be sent twice; a mail is several: to have it twice, send it twice."""


def possible(protocol: str, event: str, moment: Moment) -> frozenset[str]:
    """The actions that the table allows there."""
    if event == CONNECT and not protocol:
        return _CONNECTION if moment is Moment.BEFORE else frozenset()
    if event == ESTABLISHED and not protocol:
        return _ESTABLISHED if moment is Moment.BEFORE else frozenset()
    if event == BYTES or protocol == "opaque":
        return _PASSING | _BREAKING if moment is Moment.BEFORE else frozenset()
    general = _REQUEST if moment is Moment.BEFORE else _REPLY
    if not any(fnmatchcase(one, event) for one in _REPEATABLE.get(protocol, [event])):
        general -= {"duplicate"}
    for row in _CANNOT:
        if row.protocol == protocol and moment in row.moments and fnmatchcase(event, row.event):
            general -= row.cannot
    return general


def check_possible(rule: Rule) -> Rule:
    """The rule, if the table allows it for one of its events at least.

    Raises:
        UsageError: there is no such action.
        FaultUnsupported: it does not allow it; names what it allows.
    """
    kind, match = rule.action.kind, rule.match
    if kind not in ACTIONS:
        raise UsageError(f"there is no action {kind!r}; there are {', '.join(sorted(ACTIONS))}")
    allowed = [possible(match.protocol, event, rule.moment) for event in match.events]
    if any(kind in actions for actions in allowed):
        return rule
    instead = ", ".join(sorted(frozenset().union(*allowed))) or "nothing"
    other = Moment.AFTER if rule.moment is Moment.BEFORE else Moment.BEFORE
    hint = ""
    if any(kind in possible(match.protocol, event, other) for event in match.events):
        hint = f" ({kind!r} is possible {other} it)"
    where = f"{match.protocol or 'any protocol'} {'|'.join(match.events)}"
    raise FaultUnsupported(f"cannot {kind!r} {rule.moment} {where}; possible there: {instead}{hint}")
