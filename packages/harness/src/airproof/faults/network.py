"""Faults of the network between nodes: slow, lossy, cut. All of them are rules on the links of a wired cell.

A wire ends TCP on both sides, so packets cannot be lost on it. What a service notices of lost packets is time, because
TCP sends them again, and in the end a broken connection; that is what these faults bring about. `partition` and
`disconnect` hit the connections that are there at once, idle or not. A late partition, and the other faults, begin with
the next message of a connection: a reply whose request had passed before may still come through.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from random import Random
from typing import Literal

from airproof.environment.topology import Link
from airproof.errors import CleanUpError, FaultNotHealed
from airproof.faults.links import BACK, BOTH, THERE, Nodes, links_across, links_from
from airproof.faults.rules_in_force import RulesInForce
from airproof.faults.targets import WiredTarget
from airproof.history import Explanation, OpenFault
from airproof.wire.building import Direction, Distribution, Place, Selected, Then, on
from airproof.wire.matches import established, matching, opened, passing
from airproof.wire.rules import Rule


class NetworkFault:
    """Rules that are in force together until `heal` is called or their context ends.

    Attributes:
        links: the names of the links that they concern.
    """

    def __init__(self, links: tuple[str, ...], rules: RulesInForce, record: OpenFault) -> None:
        self.links = links
        self._rules = rules
        self._record = record

    @property
    def fired(self) -> int:
        """How many messages and connections it has hit so far."""
        return self._rules.fired

    def heal(self) -> None:
        """Takes the rules away. Connections that they have left unusable are reset. Nothing the second time.

        Raises:
            FaultNotHealed: a rule may still be in force.
        """
        if self._record.is_healed:
            return
        try:
            self._rules.remove()
        except CleanUpError as error:
            raise FaultNotHealed(f"{', '.join(self.links)} may still be broken: {error}") from error
        self._record.applied(self._rules.actions())
        self._record.healed(f"{len(self._rules.rules)} rules taken away from {', '.join(self.links)}")


@contextmanager
def latency(
    target: WiredTarget,
    source: Nodes,
    to: Nodes,
    seconds: float,
    *,
    spread_s: float = 0.0,
    distribution: Distribution = "fixed",
    direction: Direction = BOTH,
    seed: int = 0,
    required: bool = True,
    explains: Iterable[Explanation] = (),
) -> Iterator[NetworkFault]:
    """Every message on the links from `source` to `to` takes so much longer, each way that `direction` names.

    Args:
        seconds: how much longer; of a distribution, its mean.
        spread_s: half the width of `uniform`, standard deviation of `normal`.

    Raises:
        FaultUnsupported: there is no such link.
        FaultNotObserved: it is required, and no message came.
    """
    links = links_from(target.description, source, to)
    rules = [
        chosen.delay(seconds, spread_s=spread_s, distribution=distribution, seed=seed + number)
        for number, link in enumerate(links)
        for chosen in _messages(link, direction)
    ]
    facts = {"seconds": seconds, "spread_s": spread_s, "distribution": distribution, "direction": direction}
    with _in_force(target, "latency", links, rules, required, explains, **facts) as fault:
        yield fault


@contextmanager
def loss(
    target: WiredTarget,
    source: Nodes,
    to: Nodes,
    probability: float,
    *,
    of: Literal["message", "connection"] = "message",
    then: Then = "reset",
    seed: int,
    required: bool = True,
    explains: Iterable[Explanation] = (),
) -> Iterator[NetworkFault]:
    """Each request and each reply is lost with that probability, and its connection with it; or each connection is.

    Args:
        of: `connection`: what is lost is the attempt to open one, and then nothing else is.
        then: what the two sides see of a lost message: a reset, or silence until the fault heals.
        seed: the same seed loses the same ones of the same messages.

    Raises:
        FaultUnsupported: there is no such link.
        FaultNotObserved: it is required, and nothing was lost.
    """
    links = links_from(target.description, source, to)
    rules = []
    for number, link in enumerate(links):
        place, own = on(link.source, link.target), seed + 2 * number
        if of == "connection":
            attempt = place.when(opened()).sometimes(probability, own)
            rules.append(attempt.refuse() if then == "reset" else attempt.silence())
            continue
        message = place.when(matching(""))
        rules.append(message.sometimes(probability, own).lose_request(then))
        rules.append(message.after().sometimes(probability, own + 1).lose_reply(then))
    facts = {"probability": probability, "of": of, "then": then, "seed": seed}
    with _in_force(target, "loss", links, rules, required, explains, **facts) as fault:
        yield fault


@contextmanager
def partition(
    target: WiredTarget,
    ones: Nodes,
    others: Nodes,
    *,
    one_way: bool = False,
    late: bool = False,
    required: bool = True,
    explains: Iterable[Explanation] = (),
) -> Iterator[NetworkFault]:
    """Nothing passes between the nodes of the two sets, in whichever of them connections are opened.

    Connections that are there fall silent at once, with what was on its way; not even their ends pass. A new one is
    accepted by the wire and never answered. When the fault heals, all these connections are reset, as after a partition
    that outlasts TCP's patience.

    Args:
        one_way: only what goes from `ones` to `others` is lost; new connections need both ways and do not come about.
        late: nothing is lost; what was sent meanwhile arrives when the fault heals, as after a short partition.

    Raises:
        FaultUnsupported: no link lies between them, or they also talk to each other without one.
        FaultNotObserved: it is required, and nobody tried to send anything.
    """
    across = links_across(target.description, ones, others, one_way=one_way)
    rules = [rule for link, direction in across for rule in _cut(link, direction, late=late)]
    links = tuple(link for link, _ in across)
    with _in_force(target, "partition", links, rules, required, explains, one_way=one_way, late=late) as fault:
        yield fault


def disconnect(
    target: WiredTarget,
    source: Nodes,
    to: Nodes,
    *,
    required: bool = True,
    explains: Iterable[Explanation] = (),
) -> int:
    """Resets every connection that the sources have opened to the targets, at once; new ones work. How many they were.

    Raises:
        FaultUnsupported: there is no such link.
        FaultNotObserved: it is required, and there was no connection.
    """
    links = links_from(target.description, source, to)
    rules = [on(link.source, link.target).when(established()).reset() for link in links]
    with _in_force(target, "disconnect", links, rules, required, explains) as fault:
        return fault.fired


@contextmanager
def slow_link(
    target: WiredTarget,
    source: Nodes,
    to: Nodes,
    bytes_per_s: int,
    *,
    direction: Direction = BOTH,
    required: bool = True,
    explains: Iterable[Explanation] = (),
) -> Iterator[NetworkFault]:
    """Every connection of the links from `source` to `to` passes so many bytes per second, each way.

    Raises:
        FaultUnsupported: there is no such link.
        FaultNotObserved: it is required, and no message came.
    """
    links = links_from(target.description, source, to)
    rules = [chosen.throttle(bytes_per_s) for link in links for chosen in _messages(link, direction)]
    facts = {"bytes_per_s": bytes_per_s, "direction": direction}
    with _in_force(target, "slow link", links, rules, required, explains, **facts) as fault:
        yield fault


@contextmanager
def flapping(
    target: WiredTarget,
    source: Nodes,
    to: Nodes,
    *,
    up: int,
    down: int,
    cycles: int,
    seed: int | None = None,
    required: bool = True,
    explains: Iterable[Explanation] = (),
) -> Iterator[NetworkFault]:
    """Each link lets `up` requests through, resets the connections of the next `down`, and so on, `cycles` times.

    It is counted in requests, so that it happens again at the same places.

    Args:
        seed: each length is drawn anew, between 1 and twice its number less 1; None takes them as they are.

    Raises:
        FaultUnsupported: there is no such link.
        FaultNotObserved: it is required, and there were too few requests.
    """
    links = links_from(target.description, source, to)
    random = None if seed is None else Random(seed)  # noqa: S311 - chosen by seed, nothing secret
    rules = []
    for link in links:
        passed = 0
        for _ in range(cycles):
            passed += _length(up, random)
            # A rule does not see what one before it has lost, so only what was let through is skipped.
            chosen = on(link.source, link.target).when(matching("")).skip(passed).times(_length(down, random))
            rules.append(chosen.reset())
    facts = {"up": up, "down": down, "cycles": cycles, "seed": seed}
    with _in_force(target, "flapping", links, rules, required, explains, **facts) as fault:
        yield fault


def _length(wanted: int, random: Random | None) -> int:
    return wanted if random is None else random.randint(1, 2 * wanted - 1)


def _messages(link: Link, direction: Direction) -> list[Selected]:
    """Everything that crosses the link in that direction."""
    place = on(link.source, link.target)
    found = []
    if direction in {THERE, BOTH}:
        found += [place.when(matching("")).before(), _bytes(place, "client")]
    if direction in {BACK, BOTH}:
        found += [place.when(matching("")).after(), _bytes(place, "server")]
    return found


def _bytes(place: Place, sender: str) -> Selected:
    return place.when(passing(sender=sender))


def _cut(link: Link, direction: Direction, *, late: bool) -> list[Rule]:
    place = on(link.source, link.target)
    if late:
        return [place.when(opened()).hold(), *(chosen.hold() for chosen in _messages(link, direction))]
    return [place.when(opened()).silence(), place.when(established()).cut(direction)]


@contextmanager
def _in_force(
    target: WiredTarget,
    kind: str,
    links: tuple[Link, ...],
    rules: list[Rule],
    required: bool,
    explains: Iterable[Explanation],
    **facts: object,
) -> Iterator[NetworkFault]:
    names = tuple(link.name for link in links)
    begun = target.history.fault(kind, ", ".join(names), explains=explains, required=required, **facts)
    with begun as record:
        fault = NetworkFault(names, RulesInForce(target, rules), record)
        try:
            yield fault
        finally:
            fault.heal()
