"""Typed constructors of what rules match: one group of functions for each protocol, and `opened`, `established`
and `passing`.

Values are compared as they are; `glob`, `regex` and `captured` compare otherwise. What stands under `containing` is
searched in the content as the protocol decodes it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from airproof.errors import UsageError
from airproof.wire.rules import BYTES, CONNECT, ESTABLISHED, Condition, Match, Needle, Test

_STATEMENTS = ("begin", "query", "copy", "function_call", "rollback", "prepare_transaction")
_COMMITS = ("commit", "autocommit", "commit_prepared")

Wanted = str | int | Condition
Content = str | bytes | Condition


def matching(
    protocol: str,
    *events: str,
    containing: Content | Iterable[Content] = (),
    **fields: Wanted | None,
) -> Match:
    """Messages of any protocol by event and fields; the other functions are this one with names filled in."""
    return _match(protocol, events, containing, fields)


def _match(
    protocol: str,
    events: tuple[str, ...],
    containing: Content | Iterable[Content] = (),
    fields: Mapping[str, Wanted | None] = {},
) -> Match:
    if "containing" in fields:
        raise UsageError(
            f"{protocol}: nothing is searched in {' or '.join(events)}; name a field instead of `containing`"
        )
    sought = (containing,) if isinstance(containing, str | bytes | Condition) else tuple(containing)
    conditions = tuple((name, _condition(value)) for name, value in fields.items() if value is not None)
    return Match(protocol, events or ("*",), conditions, tuple(_needle(one) for one in sought))


def opened() -> Match:
    """A client opens a connection."""
    return Match("", (CONNECT,))


def established() -> Match:
    """A connection that is there when the rule comes into force: it is hit at once, idle or not, and later ones not."""
    return Match("", (ESTABLISHED,))


def passing(*, containing: Content | Iterable[Content] = (), sender: str | None = None) -> Match:
    """Bytes that are neither request nor reply, in whatever pieces they come; `sender` is `client` or `server`."""
    return _match("", (BYTES,), containing, {"sender": sender})


class http:  # noqa: N801 - reads as the protocol's name
    """HTTP/1.1."""

    @staticmethod
    def request(
        *,
        method: Wanted | None = None,
        path: Wanted | None = None,
        containing: Content | Iterable[Content] = (),
        **fields: Wanted | None,
    ) -> Match:
        """A request; its content is its target and body."""
        return _match("http", ("request",), containing, {"method": method, "path": path, **fields})


class postgres:  # noqa: N801
    """PostgreSQL."""

    TRANSIENT = ("25006", "40001", "40P01", "55P03", "53100", "53300")
    """SQLSTATEs that say the same may succeed later: read-only, not serialisable, deadlock, no lock, no room, no
    connection."""
    FOR_GOOD = ("22003", "23505", "42501", "XX001")
    """SQLSTATEs that say the same fails again: out of range, there already, not allowed, what nobody reckons with."""

    @staticmethod
    def query(containing: Content | Iterable[Content] = (), **fields: Wanted | None) -> Match:
        """Any request that executes something, a commit too."""
        return _match("postgres", (*_STATEMENTS, *_COMMITS), containing, fields)

    @staticmethod
    def statement(containing: Content | Iterable[Content] = (), **fields: Wanted | None) -> Match:
        """A request that executes something inside a transaction and does not end it."""
        return _match("postgres", _STATEMENTS, containing, fields)

    @staticmethod
    def commit(containing: Content | Iterable[Content] = (), **fields: Wanted | None) -> Match:
        """The message that may commit; `containing` looks at all that its transaction has said."""
        return _match("postgres", _COMMITS, containing, fields)

    @staticmethod
    def connect(**fields: Wanted | None) -> Match:
        """A session begins."""
        return _match("postgres", ("startup",), (), fields)


class kafka:  # noqa: N801
    """Kafka."""

    @staticmethod
    def produce(
        *,
        topic: Wanted | None = None,
        key: Wanted | None = None,
        containing: Content | Iterable[Content] = (),
        **fields: Wanted | None,
    ) -> Match:
        """Records are written."""
        return _match("kafka", ("Produce",), containing, {"topic": topic, "key": key, **fields})

    @staticmethod
    def fetch(
        *,
        topic: Wanted | None = None,
        key: Wanted | None = None,
        containing: Content | Iterable[Content] = (),
        **fields: Wanted | None,
    ) -> Match:
        """Records are read; what they are is known when the broker has answered, so that `after` alone finds them."""
        return _match("kafka", ("Fetch",), containing, {"topic": topic, "key": key, **fields})

    @staticmethod
    def offset_commit(*, group: Wanted | None = None, topic: Wanted | None = None, **fields: Wanted | None) -> Match:
        """A consumer says how far it is."""
        return _match("kafka", ("OffsetCommit", "TxnOffsetCommit"), (), {"group": group, "topic": topic, **fields})


class redis:  # noqa: N801
    """Redis."""

    @staticmethod
    def command(
        name: str = "*",
        *,
        key: Wanted | None = None,
        containing: Content | Iterable[Content] = (),
        **fields: Wanted | None,
    ) -> Match:
        """A command by its name, a glob in upper case."""
        return _match("redis", (name,), containing, {"key": key, **fields})


class smtp:  # noqa: N801
    """SMTP."""

    @staticmethod
    def command(name: str = "*", containing: Content | Iterable[Content] = (), **fields: Wanted | None) -> Match:
        """A command by its verb."""
        return _match("smtp", (name,), containing, fields)

    @staticmethod
    def rcpt(containing: Content | Iterable[Content] = (), **fields: Wanted | None) -> Match:
        """A recipient is named."""
        return _match("smtp", ("RCPT",), containing, fields)

    @staticmethod
    def message(containing: Content | Iterable[Content] = (), **fields: Wanted | None) -> Match:
        """A mail's text, from its head to the final dot."""
        return _match("smtp", ("message",), containing, fields)


def _condition(value: Wanted) -> Condition:
    return value if isinstance(value, Condition) else Condition(Test.IS, value)


def _needle(value: Content) -> Needle:
    if isinstance(value, Condition):
        return Needle(captured=str(value.value))
    return Needle(value.encode() if isinstance(value, str) else value)
