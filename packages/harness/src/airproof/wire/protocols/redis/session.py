"""Redis, RESP2 and RESP3: commands and their replies, pipelines, transactions, subscriptions."""

from __future__ import annotations

from collections.abc import Mapping

from airproof.wire.protocols.redis.conversation import REPEATED, SPECIAL, Conversation
from airproof.wire.protocols.redis.replies import Replies
from airproof.wire.protocols.redis.requests import Requests
from airproof.wire.protocols.side import SidedSession
from airproof.wire.session import Exchange


class RedisSession(SidedSession):
    """A Redis connection, followed command by command.

    Events are the commands' names in upper case; of commands that are containers the first two words: `CLIENT
    TRACKING`, `XGROUP CREATE`, `CONFIG SET`. A name that no command can have is `UNKNOWN`.

    Fields: `command` (the event), `args` (how many follow the name), `db` (the selected database), `key` (the first
    key), `keys` (all, separated by commas), `channel` (of PUBLISH and subscriptions, separated by commas). Content: the
    command and its arguments, separated by a space. Of commands that carry passwords (AUTH, HELLO, ACL SETUSER,
    MIGRATE, settings of passwords) nothing but the name is shown.

    Outcomes: what a simple reply says (`OK`, `QUEUED`, `PONG`), an error's first word (`-LOADING`, `-MOVED`), or the
    reply's type: `nil`, `int`, `bulk`, `array`, `map`, `set`, `bool`, `double`, `bignum`, `verbatim`, and `simple` of a
    simple reply that says nothing; of a subscription its confirmation (`subscribe`); empty where replies are off.

    A transaction goes from MULTI to EXEC or DISCARD. Messages, invalidations and other pushes belong to no exchange.
    The connection turns opaque with MONITOR and replication, and with what RESP does not allow: streamed values, a
    reply to nothing, subscriptions or CLIENT REPLY inside of MULTI.
    """

    protocol = "redis"

    def __init__(self) -> None:
        self._conversation = Conversation()
        self._requests = Requests(self._conversation)
        self._replies = Replies(self._conversation)
        super().__init__(self._requests, self._replies)

    def skim(self, request: bytes, reply: bytes) -> bool:
        """Follows one command and a reply of one element, outside of transactions."""
        conversation = self._conversation
        if self.opaque or conversation.pending or conversation.unusual:
            return False
        one = self._requests.is_one(request) and self._replies.is_one(reply)
        conversation.number += one
        return one

    def respond(self, exchange: Exchange, answer: Mapping[str, str | int]) -> bytes | None:
        """A reply of the wire's own.

        Args:
            exchange: one without a reply yet, the first of those that wait for one, in no transaction; or one that the
                server has begun to answer, whose reply is not passed on.
            answer: `error` (`LOADING Redis is loading the dataset in memory`); or `value`, a bulk, or an integer if it
                is one; with `type` `simple` or `nil` it is sent as that.

        Returns:
            None for EXEC and DISCARD, whose transaction the server would keep open, for commands in a transaction
            (unless its MULTI was answered so too: then for all of it), for a value where a command changes the
            connection (SUBSCRIBE, HELLO, …), and while a message is under way. The wire sends the reply when those to
            earlier commands have passed.
        """
        conversation = self._conversation
        reply = _encoded(answer, conversation.resp3)
        if exchange.outcome is not None or self._replies.answers(exchange):
            return reply if exchange.outcome != "" else None
        if not self._can_answer(exchange, is_error="error" in answer):
            return None
        conversation.pending.remove(exchange)
        exchange.outcome = _outcome(answer)
        if "error" in answer:
            conversation.refuse(exchange)
        return reply

    def repeat(self, exchange: Exchange, request: bytes) -> bytes | None:
        """The same command again, behind the first; None in a transaction, for commands that change the connection,
        while the client listens to channels in RESP2, and where later commands may already be on their way.
        """
        conversation = self._conversation
        if (
            self.opaque
            or exchange.event in {*SPECIAL, REPEATED}
            or exchange.transaction is not None
            or exchange.outcome == ""
            or conversation.unusual
            or conversation.listening
            or self._requests.current is exchange
        ):
            return None
        pending = conversation.pending
        if exchange in pending:
            pending.insert(pending.index(exchange) + 1, Exchange(exchange.number, REPEATED))
        elif not pending:
            pending.append(Exchange(exchange.number, REPEATED))
        else:
            return None
        return request

    def _can_answer(self, exchange: Exchange, *, is_error: bool) -> bool:
        pending = self._conversation.pending
        if self.opaque or exchange not in pending or self._requests.current is exchange:
            return False
        if pending[0] is exchange and not self._replies.between:
            return False
        if exchange.event in SPECIAL - {"SELECT", "MULTI"} and not is_error:
            return False
        refused = self._conversation.refused
        return exchange.transaction in {None, refused} or exchange.event == "MULTI"


def _encoded(answer: Mapping[str, str | int], resp3: bool) -> bytes:
    if "error" in answer:
        return b"-%b\r\n" % _line(answer["error"])
    kind, value = answer.get("type"), answer.get("value", "")
    if kind == "nil":
        return b"_\r\n" if resp3 else b"$-1\r\n"
    if kind == "simple":
        return b"+%b\r\n" % _line(value)
    if isinstance(value, int):
        return b":%d\r\n" % value
    data = value.encode()
    return b"$%d\r\n%b\r\n" % (len(data), data)


def _outcome(answer: Mapping[str, str | int]) -> str:
    if "error" in answer:
        return "-" + _line(answer["error"]).decode().partition(" ")[0]
    kind, value = str(answer.get("type", "")), answer.get("value", "")
    if kind == "simple":
        return _line(value).decode() or kind
    return kind or ("int" if isinstance(value, int) else "bulk")


def _line(value: str | int) -> bytes:
    return " ".join(str(value).splitlines()).encode()
