"""Rules on the opening of a connection, before the wire opens its own to the other side."""

from __future__ import annotations

from collections.abc import Sequence
from time import monotonic
from typing import TYPE_CHECKING

from airproof.wire.armed import Armed
from airproof.wire.effects import delay_of, hold, pause
from airproof.wire.rules import CONNECT
from airproof.wire.session import Exchange
from airproof.wire.stream import Stream

if TYPE_CHECKING:
    from airproof.wire.link import Link


async def admit(link: Link, identity: int, client: Stream, peer: tuple[str, int], rules: Sequence[Armed]) -> bool:
    """Does what the rules say to a new connection; whether it goes on to the other side."""
    exchange = Exchange(0, CONNECT, {"peer_host": peer[0], "peer_port": peer[1]})
    for armed in rules:
        if armed.over.is_set() or armed.exhausted:  # it ended while an earlier one kept the connection
            continue
        if not (armed.matches(exchange, identity) and armed.counted(exchange, identity)):
            continue
        kind = armed.rule.action.kind
        facts = {"rule": armed.rule.id, "action": kind, "moment": "before", "event": CONNECT, "fields": exchange.fields}
        link.journal.happened("fault", link.spec.name, identity, **facts)
        if kind == "refuse":
            client.reset()
            return False
        if kind == "silence":
            _never_answer(armed, identity, client)
            return False
        if kind == "delay":
            await pause(armed, delay_of(armed))
        elif kind == "hold":
            began = monotonic()
            await hold(armed)
            waited = {"rule": armed.rule.id, "waited_s": monotonic() - began}
            link.journal.happened("released", link.spec.name, identity, **waited)
    return not client.closed


def _never_answer(armed: Armed, identity: int, client: Stream) -> None:
    """Reads and drops what comes until the client gives up or the rule is removed."""

    def over(*_: object) -> None:
        armed.broken.pop(identity, None)
        client.reset()

    armed.broken[identity] = over
    client.ended = over
    client.read()
