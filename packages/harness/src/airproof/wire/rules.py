"""Rules: what a wire does, to which message, how often. Plain data, the same on the test's side and in the wire.

A rule is written in JSON when it travels; `rule_from` checks it again on the other side. Tests build rules with
`airproof.wire.on`.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import Any
from uuid import uuid4

from airproof.errors import UsageError

CONNECT = "connect"
"""The event of a connection that a client opens, before the wire opens its own to the other side."""

ESTABLISHED = "established"
"""The event of each connection that is there when a rule comes into force."""

BYTES = "bytes"
"""The event of bytes that are neither request nor reply: of an opaque link, after an upgrade, a greeting."""


class Moment(StrEnum):
    """When a rule acts: before the request is passed on, or when its reply is complete and not yet passed on.

    What a client must see in the middle of its request (`100 Continue`, that a COPY may begin) is passed on before.
    """

    BEFORE = "before"
    AFTER = "after"


class Scope(StrEnum):
    """Within what messages are counted, and a captured value is known."""

    ANYWHERE = "anywhere"
    CONNECTION = "connection"
    TRANSACTION = "transaction"


class Test(StrEnum):
    """How a field is compared."""

    IS = "is"
    GLOB = "glob"
    REGEX = "regex"
    CAPTURED = "captured"


@dataclass(frozen=True, slots=True)
class Condition:
    """What a field or the content must be. For `CAPTURED` the value is the capture's name."""

    test: Test
    value: str | int


def glob(pattern: str) -> Condition:
    """A field that fits the pattern, case and all: `/users/*`."""
    return Condition(Test.GLOB, pattern)


def regex(pattern: str) -> Condition:
    """A field in which the regular expression is found."""
    return Condition(Test.REGEX, pattern)


def captured(name: str) -> Condition:
    """A field that is, or content that contains, what a rule has captured under that name."""
    return Condition(Test.CAPTURED, name)


@dataclass(frozen=True, slots=True)
class Needle:
    """Something that the content must contain: bytes, or a captured value."""

    data: bytes = b""
    captured: str = ""


@dataclass(frozen=True, slots=True)
class Match:
    """Which messages.

    Attributes:
        protocol: `http`, `postgres`, `kafka`, `redis`, `smtp`, `opaque`; empty for any.
        events: globs of the protocol's events; one of them must fit.
        fields: conditions by name; all must hold.
        containing: all must be found in the content.
        outcome: a glob of how the reply ended; only at the moment `after`.
    """

    protocol: str
    events: tuple[str, ...] = ("*",)
    fields: tuple[tuple[str, Condition], ...] = ()
    containing: tuple[Needle, ...] = ()
    outcome: str = ""

    def fits_event(self, event: str) -> bool:
        """Whether the event is one of those meant."""
        return any(fnmatchcase(event, pattern) for pattern in self.events)


@dataclass(frozen=True, slots=True)
class Capture:
    """Keeps a field, or the first group that an expression finds in the content, under a name."""

    name: str
    field: str = ""
    pattern: str = ""


@dataclass(frozen=True, slots=True)
class Action:
    """What is done: a kind of `airproof.wire.actions` and its parameters."""

    kind: str
    parameters: Mapping[str, str | int | float] = field(default_factory=dict)


def new_id() -> str:
    """What a new rule is called."""
    return uuid4().hex[:12]


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule.

    Attributes:
        source: glob of who opens the connections.
        target: glob of whom they lead to.
        skip: so many matches are let through first.
        times: how often it acts at most; None without limit.
        within: whether `skip` and `times` count in all, in each connection or in each transaction.
        same: a capture's name: only messages of the connection or transaction in which it was captured.
        probability: with which it acts on a match that is neither skipped nor beyond `times`.
        seed: of all its chances: probability, distributions, places to corrupt.
        required: a test in which it never acted has proved nothing.
    """

    source: str
    target: str
    match: Match
    action: Action
    moment: Moment = Moment.BEFORE
    skip: int = 0
    times: int | None = None
    within: Scope = Scope.ANYWHERE
    same: tuple[str, Scope] | None = None
    captures: tuple[Capture, ...] = ()
    probability: float = 1.0
    seed: int = 0
    required: bool = True
    id: str = field(default_factory=new_id)

    def preventable(self) -> Rule:
        """The same, but a correct platform may never reach the moment."""
        return replace(self, required=False)

    def __str__(self) -> str:
        events = "|".join(self.match.events)
        return f"{self.action.kind} {self.moment} {self.match.protocol or '*'}.{events} on {self.source}->{self.target}"

    def to_json(self) -> dict[str, Any]:
        """The rule as JSON values."""
        return {
            "id": self.id,
            "source": self.source,
            "target": self.target,
            "match": _match_json(self.match),
            "action": {"kind": self.action.kind, **self.action.parameters},
            "moment": self.moment.value,
            "skip": self.skip,
            "times": self.times,
            "within": self.within.value,
            "same": [self.same[0], self.same[1].value] if self.same else None,
            "captures": [{"name": one.name, "field": one.field, "pattern": one.pattern} for one in self.captures],
            "probability": self.probability,
            "seed": self.seed,
            "required": self.required,
        }


def check_rule(rule: Rule) -> Rule:
    """The rule, if its values make sense.

    Raises:
        UsageError: a number or an expression that cannot be.
    """
    if rule.skip < 0 or (rule.times is not None and rule.times < 1):
        raise UsageError(f"rule {rule}: skip is {rule.skip} and times {rule.times}; they count from 0 and from 1")
    if not 0 <= rule.probability <= 1:
        raise UsageError(f"rule {rule}: probability is {rule.probability}, not between 0 and 1")
    if rule.match.outcome and rule.moment is Moment.BEFORE:
        raise UsageError(f"rule {rule}: an outcome is known only after the reply; add .after()")
    patterns = [one.pattern for one in rule.captures if one.pattern]
    patterns += [str(one.value) for _, one in rule.match.fields if one.test is Test.REGEX]
    for pattern in patterns:
        try:
            re.compile(pattern)
        except re.error as error:
            raise UsageError(f"rule {rule}: {pattern!r} is no regular expression: {error}") from error
    return rule


def rule_from(data: Mapping[str, Any]) -> Rule:
    """The rule that was written as JSON.

    Raises:
        UsageError: a field is unknown, missing or of the wrong kind; names it.
    """
    known = {one.name for one in fields(Rule)}
    if unknown := set(data) - known:
        raise UsageError(f"a rule has no {', '.join(map(repr, sorted(unknown)))}; it has {', '.join(sorted(known))}")
    try:
        action = dict(data["action"])
        rule = Rule(
            **{
                **data,
                "match": _match_from(data["match"]),
                "action": Action(str(action.pop("kind")), action),
                "moment": Moment(data.get("moment", "before")),
                "within": Scope(data.get("within", "anywhere")),
                "same": (str(data["same"][0]), Scope(data["same"][1])) if data.get("same") else None,
                "captures": tuple(Capture(**one) for one in data.get("captures", ())),
            }
        )
        return check_rule(rule)
    except (KeyError, TypeError, ValueError) as error:
        raise UsageError(f"not a rule: {type(error).__name__}: {error}; write it with Rule.to_json") from error


def _match_json(match: Match) -> dict[str, Any]:
    return {
        "protocol": match.protocol,
        "events": list(match.events),
        "fields": {name: {one.test.value: one.value} for name, one in match.fields},
        "containing": [
            {"captured": one.captured} if one.captured else {"base64": base64.b64encode(one.data).decode()}
            for one in match.containing
        ],
        "outcome": match.outcome,
    }


def _match_from(data: Mapping[str, Any]) -> Match:
    return Match(
        protocol=str(data["protocol"]),
        events=tuple(str(event) for event in data.get("events", ("*",))),
        fields=tuple((str(name), _condition(one)) for name, one in data.get("fields", {}).items()),
        containing=tuple(
            Needle(captured=str(one["captured"])) if "captured" in one else Needle(base64.b64decode(one["base64"]))
            for one in data.get("containing", ())
        ),
        outcome=str(data.get("outcome", "")),
    )


def _condition(data: Mapping[str, Any]) -> Condition:
    ((test, value),) = data.items()
    return Condition(Test(test), value)
