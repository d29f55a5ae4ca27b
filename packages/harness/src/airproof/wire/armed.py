"""A rule in force: counts its matches, keeps what it captured, and knows what it holds."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from random import Random
from typing import Any

from airproof.wire.rules import BYTES, CONNECT, ESTABLISHED, Condition, Needle, Rule, Scope, Test
from airproof.wire.searching import LONG_BYTES, holds
from airproof.wire.session import Exchange

_FORGET_AFTER = 10_000


@dataclass(frozen=True, slots=True)
class Captured:
    """A value and where it was seen."""

    value: str
    connection: int
    transaction: int | None


class Captures:
    """What all rules of a wire have captured, by name; the newest last."""

    def __init__(self) -> None:
        self._known: dict[str, list[Captured]] = {}

    def add(self, name: str, one: Captured) -> None:
        """Keeps a value."""
        known = self._known.setdefault(name, [])
        known.append(one)
        del known[:-_FORGET_AFTER]

    def values(self, name: str) -> list[Captured]:
        """All values of a name."""
        return self._known.get(name, [])

    def forget(self, name: str) -> None:
        """Drops a name."""
        self._known.pop(name, None)


@dataclass
class Counts:
    """How often a rule matched and acted; this is what a restart keeps."""

    matched: int = 0
    fired: int = 0
    failed: int = 0
    by_scope: Counter[str] = field(default_factory=Counter)
    fired_by_scope: Counter[str] = field(default_factory=Counter)


class Armed:
    """A rule of this wire.

    Attributes:
        over: set when the rule was removed; whoever waits for anything on its behalf goes on.
        held: what it holds now, oldest first: a future each, done when released.
        literal: the longest bytes that the content must contain; nothing if there are none.
        equal: a field that must have a value, and which, as text; empty if there is none.
        broken: closes a connection that the rule has left in a state in which it cannot go on.
    """

    def __init__(
        self, rule: Rule, captures: Captures, counts: Counts | None = None, changed: Callable[[], None] | None = None
    ) -> None:
        self.rule = rule
        self._on_change = changed
        self.counts = counts or Counts()
        self.over = asyncio.Event()
        self.held: list[asyncio.Future[None]] = []
        self.broken: dict[int, Callable[[], None]] = {}
        self.meeting: tuple[int, asyncio.Future[None]] | None = None
        self.random = Random(rule.seed)  # noqa: S311 - chosen by seed, nothing secret
        self._captures = captures
        self._changed = asyncio.Event()
        self._chance = Random(f"{rule.seed} chance")  # noqa: S311
        self._fields = [(name, _test(one, captures)) for name, one in rule.match.fields]
        equal = [(name, str(one.value)) for name, one in rule.match.fields if one.test is Test.IS]
        self.equal = equal[0] if equal else ("", "")
        literals = [one.data for one in rule.match.containing if not one.captured]
        self.literal = max(literals, key=len, default=b"")
        self._needles = [_needle(one, captures) for one in rule.match.containing]
        self._patterns = [(one, re.compile(one.pattern.encode())) for one in rule.captures if one.pattern]

    @property
    def exhausted(self) -> bool:
        """Whether it will never act again."""
        rule = self.rule
        return rule.times is not None and rule.within is Scope.ANYWHERE and self.counts.fired >= rule.times

    def concerns(self, protocol: str, event: str) -> bool:
        """Whether such messages can match at all."""
        match = self.rule.match
        if event in {BYTES, CONNECT, ESTABLISHED} and event not in match.events:
            return False
        return match.fits_event(event) and match.protocol in {"", protocol}

    def matches(self, exchange: Exchange, connection: int) -> bool:
        """Whether this message is meant, apart from its outcome and from counting."""
        fields = exchange.fields
        for name, test in self._fields:
            if name not in fields or not test(fields[name]):
                return False
        for found in self._needles:
            if not found(exchange.content):
                return False
        return self.rule.same is None or self._is_same(exchange, connection)

    def counted(self, exchange: Exchange, connection: int) -> bool:
        """Counts a match and captures from it; whether the rule acts on it."""
        rule, counts = self.rule, self.counts
        if rule.match.outcome and not fnmatchcase(exchange.outcome or "", rule.match.outcome):
            return False
        counts.matched += 1
        scope = _scope(rule.within, exchange, connection)
        counts.by_scope[scope] += 1
        acts = (
            counts.by_scope[scope] > rule.skip
            and (rule.times is None or counts.fired_by_scope[scope] < rule.times)
            and (rule.probability >= 1 or self._chance.random() < rule.probability)
        )
        if acts:
            counts.fired += 1
            counts.fired_by_scope[scope] += 1
            self._capture(exchange, connection)
        self.change()
        return acts

    def take_back(self, exchange: Exchange, connection: int) -> None:
        """The act on this message turned out to be impossible: it does not count."""
        self.counts.failed += 1
        self.counts.fired -= 1
        scope = _scope(self.rule.within, exchange, connection)
        if self.counts.fired_by_scope[scope]:
            self.counts.fired_by_scope[scope] -= 1
        self.change()

    def change(self) -> None:
        """Wakes those who wait for the rule to change."""
        if self._on_change:
            self._on_change()
        self._changed.set()
        self._changed = asyncio.Event()

    async def wait(self, condition: Callable[[], bool], timeout_s: float) -> bool:
        """Waits until the condition, which depends on this rule, is true; whether it is."""
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                while not condition() and not self.over.is_set():
                    await self._changed.wait()
        return condition()

    def release(self) -> int:
        """Lets all that is held go on; how many there were."""
        held, self.held = self.held, []
        for one in held:
            if not one.done():
                one.set_result(None)
        self.change()
        return len(held)

    def remove(self) -> int:
        """Ends all that the rule does: holds, delays, connections that it silenced. How many it held."""
        self.over.set()
        held = self.release()
        for close in list(self.broken.values()):
            close()
        for capture in self.rule.captures:
            self._captures.forget(capture.name)
        return held

    def status(self) -> dict[str, Any]:
        """The rule's counters."""
        return {
            "id": self.rule.id,
            "matched": self.counts.matched,
            "fired": self.counts.fired,
            "failed": self.counts.failed,
            "held": len(self.held),
            "exhausted": self.exhausted,
        }

    def _capture(self, exchange: Exchange, connection: int) -> None:
        for one in self.rule.captures:
            if not one.pattern:
                value = exchange.fields.get(one.field, "") if one.field else exchange.number
                self._captures.add(one.name, Captured(str(value), connection, exchange.transaction))
        for one, pattern in self._patterns:
            if found := pattern.search(exchange.content):
                group = found[1] if pattern.groups else found[0]
                value = group.decode(errors="surrogateescape")
                self._captures.add(one.name, Captured(value, connection, exchange.transaction))

    def _is_same(self, exchange: Exchange, connection: int) -> bool:
        name, scope = self.rule.same or ("", Scope.ANYWHERE)
        return any(
            one.connection == connection
            and (
                scope is not Scope.TRANSACTION
                or (one.transaction is not None and one.transaction == exchange.transaction)
            )
            for one in self._captures.values(name)
        )


def _scope(within: Scope, exchange: Exchange, connection: int) -> str:
    if within is Scope.ANYWHERE:
        return ""
    return str(connection) if within is Scope.CONNECTION else f"{connection}/{exchange.transaction}"


def _test(condition: Condition, captures: Captures) -> Callable[[str | int], bool]:
    value = condition.value
    if condition.test is Test.IS:
        return lambda seen: seen == value or str(seen) == str(value)
    if condition.test is Test.CAPTURED:
        return lambda seen: any(one.value == str(seen) for one in captures.values(str(value)))
    if condition.test is Test.GLOB:
        return lambda seen: fnmatchcase(str(seen), str(value))
    pattern = re.compile(str(value))
    return lambda seen: pattern.search(str(seen)) is not None


def _needle(needle: Needle, captures: Captures) -> Callable[[bytes], bool]:
    if not needle.captured:
        return lambda content: holds(content, needle.data)
    return lambda content: any(
        one.value and holds(content, one.value.encode(errors="surrogateescape"))
        for one in captures.values(needle.captured)
    )


class Candidates:
    """Rules that such a message may match, sorted by what tells fastest that most of them are not meant.

    Attributes:
        rules: all of them, in order.
    """

    __slots__ = ("_by_literal", "_by_value", "_shortest", "rules")

    def __init__(self, rules: Iterable[Armed]) -> None:
        self.rules = tuple(rules)
        self._by_value: dict[str, dict[str, list[Armed]]] = {}
        self._by_literal: list[tuple[bytes, Armed]] = []
        for one in self.rules:
            name, value = one.equal
            if name:
                self._by_value.setdefault(name, {}).setdefault(value, []).append(one)
            else:
                self._by_literal.append((one.literal, one))
        self._shortest = min((len(literal) for literal, _ in self._by_literal), default=0)

    def meant_by(self, exchange: Exchange) -> list[Armed]:
        """Those that this message may match, in order: not sure, but soon said."""
        content, fields = exchange.content, exchange.fields
        found = []
        if len(content) >= LONG_BYTES:
            found = [armed for literal, armed in self._by_literal if holds(content, literal)]
        elif len(content) >= self._shortest:  # shorter content holds none of them
            found = [armed for literal, armed in self._by_literal if literal in content]
        for name, by_value in self._by_value.items():
            found += by_value.get(str(fields.get(name)), ())
        if len(found) > 1:
            found.sort(key=self.rules.index)
        return found
