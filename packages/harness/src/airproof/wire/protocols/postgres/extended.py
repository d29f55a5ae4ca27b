"""Messages of the extended protocol, taken into their exchange: what they prepare, bind and execute."""

from __future__ import annotations

from airproof.wire.protocols.postgres.conversation import Conversation
from airproof.wire.protocols.postgres.messages import BIND, CLOSE, EXECUTE, PARSE
from airproof.wire.protocols.postgres.parameters import bound_values
from airproof.wire.protocols.postgres.prepared import UNKNOWN, Prepared
from airproof.wire.protocols.postgres.turn import Turn


def take(conversation: Conversation, turn: Turn, kind: int, data: bytes, at: int, stop: int) -> None:
    """Takes a Parse, Bind, Describe, Execute or Close into the turn; its body stands from `at` to `stop`."""
    turn.extended = True
    if kind == BIND:
        bind(conversation, turn, data, at, stop)
    elif kind == EXECUTE:
        name = b"" if data[at : at + 1] == b"\0" else data[at : data.find(b"\0", at, stop)]
        execute(conversation, turn, conversation.prepared.portals.get(name, UNKNOWN))
    elif kind == PARSE:
        _parse(conversation, turn, data[at:stop])
    elif kind == CLOSE:
        conversation.prepared.close(data, at, stop)


def execute(conversation: Conversation, turn: Turn, prepared: Prepared) -> None:
    """Takes the statements of a text into the turn."""
    if turn.words is not None:
        turn.say(prepared.text)
    for statement in prepared.statements:
        if statement.name is None:
            turn.execute(statement)
            continue
        for followed in conversation.prepared.follow(statement):
            turn.execute(followed)


def bind(conversation: Conversation, turn: Turn, data: bytes, at: int, stop: int) -> None:
    """Takes a Bind into the turn; its body stands from `at` to `stop`."""
    prepared = conversation.prepared
    portal_end = at if data[at : at + 1] == b"\0" else data.find(b"\0", at, stop)
    name_end = data.find(b"\0", portal_end + 1, stop)
    bound = prepared.statements.get(data[portal_end + 1 : name_end], UNKNOWN)
    prepared.portals[data[at:portal_end]] = bound
    if turn.words is not None:
        for value in bound_values(data[name_end + 1 : stop], 0, bound.types):
            turn.say(value)


def _parse(conversation: Conversation, turn: Turn, message: bytes) -> None:
    name, _, more = message.partition(b"\0")
    text, _, types = more.partition(b"\0")
    statements = conversation.prepared.statements
    prepared, earlier = Prepared(text, types[2:], watched=turn.words is not None), statements.get(name)
    statements[name] = prepared
    if turn.parsed is None:
        turn.parsed = []
    turn.parsed.append((name, prepared, earlier))
    turn.say(text)
