"""The words in which tests write rules, from the link to the action.

    on("auth-service", "postgres").when(postgres.commit(containing=email)).nth(2).after().lose_reply(then="reset")

Every word gives a new value, so a beginning can be kept and continued in several ways.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

from airproof.wire.actions import check_possible
from airproof.wire.rules import Action, Capture, Match, Moment, Rule, Scope, check_rule, new_id

Parameters = Mapping[str, str | int | float]
Then = Literal["reset", "silent"]
Direction = Literal["client->server", "server->client", "both"]
Distribution = Literal["fixed", "uniform", "normal", "exponential"]


@dataclass(frozen=True, slots=True)
class Place:
    """The links that a rule concerns."""

    source: str
    target: str

    def when(self, match: Match) -> Selected:
        """The messages that it concerns; without another word all of them, before they are passed on."""
        return Selected(Rule(self.source, self.target, match, Action("observe")), None)


def on(source: str = "*", target: str = "*") -> Place:
    """Begins a rule for the links from `source` to `target`, both globs of names in the cell."""
    return Place(source, target)


@dataclass(frozen=True, slots=True)
class Selection:
    """Which messages, of those that match, and at which moment."""

    _rule: Rule
    _moment: Moment | None

    def before(self) -> Selected:
        """Acts on the request, before it is passed on."""
        return Selected(self._rule, Moment.BEFORE)

    def after(self, outcome: str = "") -> Selected:
        """Acts when the reply is complete in the wire and not yet passed on.

        Args:
            outcome: a glob of how the reply must have ended: `COMMIT`, `5*`.
        """
        rule = replace(self._rule, match=replace(self._rule.match, outcome=outcome or self._rule.match.outcome))
        return Selected(rule, Moment.AFTER)

    def nth(self, number: int, within: Scope | str = Scope.ANYWHERE) -> Selected:
        """Only the n-th match, counted from 1: in all, in each connection or in each transaction."""
        return self._with(skip=number - 1, times=1, within=Scope(within))

    def skip(self, count: int) -> Selected:
        """Lets so many matches through first."""
        return self._with(skip=count)

    def times(self, count: int) -> Selected:
        """Acts so often at most."""
        return self._with(times=count)

    def sometimes(self, probability: float, seed: int) -> Selected:
        """Acts with that probability; the same seed gives the same choices over the same matches."""
        return self._with(probability=probability, seed=seed)

    def same(self, capture: str, within: Scope | str = Scope.TRANSACTION) -> Selected:
        """Only in the transaction, or connection, in which that name was captured."""
        return self._with(same=(capture, Scope(within)))

    def capture(self, name: str, *, field: str = "", pattern: str = "") -> Selected:
        """Keeps a field of what matched, or the first group that the pattern finds in its content, under a name."""
        return self._with(captures=(*self._rule.captures, Capture(name, field, pattern)))

    def _with(self, **changes: object) -> Selected:
        return Selected(replace(self._rule, **changes), self._moment)  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class Selected(Selection):
    """The actions. Each gives the finished rule, or raises `FaultUnsupported`, naming what is possible instead.

    Without `before` or `after`, a rule acts before, except `lose_reply`.
    """

    def observe(self) -> Rule:
        """Does nothing but capture and leave evidence."""
        return self._do("observe")

    def delay(
        self, seconds: float, *, spread_s: float = 0.0, distribution: Distribution = "fixed", seed: int | None = None
    ) -> Rule:
        """Passes it on later; several of these on one message add up.

        Args:
            seconds: how much later; of a distribution, its mean.
            spread_s: half the width of `uniform`, standard deviation of `normal`. Never less than 0 comes out.
            seed: of the distribution; the rule's own if None.
        """
        parameters = {"seconds": seconds, "spread_s": spread_s, "distribution": distribution}
        rule = self._do("delay", parameters=parameters)
        return rule if seed is None else replace(rule, seed=seed)

    def hold(self) -> Rule:
        """Keeps it until the applied rule is released or removed."""
        return self._do("hold")

    def lose_request(self, then: Then = "reset") -> Rule:
        """The request and all that follows it never arrives; then a reset on both sides, or silence."""
        return self._do("lose_request", parameters={"then": then})

    def lose_reply(self, then: Then = "reset") -> Rule:
        """The request was served; its reply and all that follows it never arrives; then a reset, or silence."""
        return self._do("lose_reply", Moment.AFTER, {"then": then})

    def reset(self) -> Rule:
        """Drops it and resets the connection on both sides."""
        return self._do("reset")

    def half_close(self) -> Rule:
        """Passes it on and then ends this direction; the other one stays open."""
        return self._do("half_close")

    def cut(self, direction: Direction = "both") -> Rule:
        """From this message on, bytes in that direction vanish; the connection stays."""
        return self._do("cut", parameters={"direction": direction})

    def throttle(self, bytes_per_s: int) -> Rule:
        """Passes it on at that rate, when all other rules have acted on it and have left it as it was.

        Of several of these on one message the first that was set acts.
        """
        return self._do("throttle", parameters={"bytes_per_s": bytes_per_s})

    def respond(self, **answer: str | int) -> Rule:
        """Answers in the server's place: `before`, the request is not passed on; `after`, its reply is not.

        Args:
            answer: fields of the protocol: `status` and `body`; `sqlstate` and `message`; `error`; `code`.
        """
        return self._do("respond", parameters=answer)

    def duplicate(self) -> Rule:
        """Sends the request twice; the client sees the first reply only."""
        return self._do("duplicate")

    def reorder(self, timeout_s: float = 5.0) -> Rule:
        """Keeps it until the next match, on another connection, was answered, or until the time is over."""
        return self._do("reorder", parameters={"timeout_s": timeout_s})

    def corrupt(
        self, *, offset: int | None = None, count: int = 1, find: bytes = b"", replacement: bytes = b""
    ) -> Rule:
        """Flips bits of the byte at `offset`, or of `count` bytes chosen by seed; or replaces bytes as long as they."""
        if find:
            return self._do("corrupt", parameters={"find": find.hex(), "replacement": replacement.hex()})
        return self._do("corrupt", parameters={"offset": -1 if offset is None else offset, "count": count})

    def truncate(self, keep: int, then: Then = "reset") -> Rule:
        """Passes on its first `keep` bytes; then a reset, or silence."""
        return self._do("truncate", parameters={"keep": keep, "then": then})

    def refuse(self) -> Rule:
        """Resets a new connection at once."""
        return self._do("refuse")

    def silence(self) -> Rule:
        """Accepts a new connection and never answers."""
        return self._do("silence")

    def _do(self, kind: str, /, default: Moment = Moment.BEFORE, parameters: Parameters | None = None) -> Rule:
        action, moment = Action(kind, parameters or {}), self._moment or default
        rule = replace(self._rule, moment=moment, action=action, id=new_id())
        return check_possible(check_rule(rule))
