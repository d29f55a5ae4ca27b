"""The wires of one process: its links, its rules, its journal, and what a restart keeps of them."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from fnmatch import fnmatchcase
from itertools import count
from pathlib import Path
from typing import Any
from uuid import uuid4

from airproof.errors import UsageError
from airproof.wire import protocols
from airproof.wire.actions import check_possible
from airproof.wire.armed import Armed, Captures, Counts
from airproof.wire.journal import Journal
from airproof.wire.link import Link
from airproof.wire.rules import rule_from
from airproof.wire.specs import LinkSpec

SAVE_AFTER_S = 0.02
"""Counters that change often are written at most so often; rules and links at once."""


class Service:
    """All links of a process and the rules on them.

    Args:
        state: where links, rules and their counters are kept over a restart; None keeps nothing.
    """

    def __init__(self, state: Path | None = None) -> None:
        self.boot = uuid4().hex[:8]
        self.journal = Journal()
        self.links: dict[str, Link] = {}
        self.rules: dict[str, Armed] = {}
        self._captures = Captures()
        self._numbers = count(1)
        self._state = state
        self._saving: asyncio.TimerHandle | None = None
        self._refreshing = False
        self._exhausted: set[Armed] = set()

    def restore(self) -> None:
        """Takes up what an earlier process has left."""
        if self._state is None or not self._state.exists():
            return
        kept = json.loads(self._state.read_text())
        for data in kept["links"]:
            if data["name"] not in self.links:
                self._open(LinkSpec(**data))
        for name, recording in kept["recording"].items():
            if name in self.links:
                self.links[name].recording = recording
        for data, counts in kept["rules"]:
            self._arm(data, _counts(counts))
        self._refresh()

    def add_link(self, spec: LinkSpec, *, save: bool = True) -> Link:
        """Opens a link.

        Raises:
            UsageError: there is one of that name, the protocol is unknown, or its port is taken.
        """
        if spec.name in self.links:
            raise UsageError(f"there is a link {spec.name!r} already; remove it first, or choose another name")
        link = self._open(spec)
        link.apply(list(self.rules.values()))
        if save:
            self.save()
        return link

    def remove_link(self, name: str) -> None:
        """Closes a link and its connections."""
        self._link(name).close()
        del self.links[name]
        self.save()

    def add_rule(self, data: Mapping[str, Any]) -> Armed:
        """Puts a rule in force.

        Raises:
            UsageError: it makes no sense.
            FaultUnsupported: this cannot be done there.
        """
        armed = self._arm(data, Counts())
        self._refresh()
        for link in self.links.values():
            link.strike(armed)
        self.save()
        return armed

    def remove_rule(self, identity: str) -> dict[str, Any]:
        """Ends a rule and all it does; its counters, and how many messages it still held."""
        armed = self.rule(identity)
        del self.rules[identity]
        status = {**armed.status(), "released": armed.remove()}
        self._refresh()
        self.save()
        return status

    def rule(self, identity: str) -> Armed:
        """The rule of that id.

        Raises:
            UsageError: there is none.
        """
        if identity not in self.rules:
            raise UsageError(f"there is no rule {identity!r} in force; it was removed, or never applied")
        return self.rules[identity]

    def record(self, pattern: str, *, on: bool) -> list[str]:
        """Switches recording on the links whose name fits the pattern; their names."""
        names = [name for name in self.links if fnmatchcase(name, pattern)]
        for name in names:
            self.links[name].record(on)
        self.save()
        return names

    def save(self) -> None:
        """Writes what a restart needs."""
        if self._saving:
            self._saving.cancel()
            self._saving = None
        if self._state is None:
            return
        kept = {
            "links": [_spec_json(link) for link in self.links.values()],
            "recording": {name: link.recording for name, link in self.links.items()},
            "rules": [(armed.rule.to_json(), _counts_json(armed.counts)) for armed in self.rules.values()],
        }
        new = self._state.with_suffix(".new")
        new.write_text(json.dumps(kept))
        new.replace(self._state)

    def close(self) -> None:
        """Closes everything, and keeps the state."""
        self.save()
        for link in self.links.values():
            link.close()

    def _open(self, spec: LinkSpec) -> Link:
        make = protocols.session_factory(spec.protocol, lambda host, port: self._route_from(spec, host, port))
        try:
            link = Link(spec, make, self.journal, self._numbers)
        except OSError as error:
            raise UsageError(
                f"link {spec.name!r} cannot listen at {spec.host}:{spec.port}: {error.strerror}; choose a free port"
            ) from error
        self.links[spec.name] = link
        link.open()
        return link

    def _route_from(self, spec: LinkSpec, host: str, port: int) -> tuple[str, int] | None:
        """The wire of the same source to that broker."""
        for link in self.links.values():
            if (
                link.spec.source == spec.source
                and link.spec.protocol == spec.protocol
                and link.spec.upstream_port == port
                and _same_host(link.spec.upstream_host, host)
            ):
                return link.spec.host, link.port
        return None

    def _link(self, name: str) -> Link:
        if name not in self.links:
            raise UsageError(f"there is no link {name!r}; there are {', '.join(self.links) or 'none'}")
        return self.links[name]

    def _arm(self, data: Mapping[str, Any], counts: Counts) -> Armed:
        rule = check_possible(rule_from(data))
        if rule.id in self.rules:
            raise UsageError(f"rule {rule.id!r} is in force already; remove it first")
        armed = Armed(rule, self._captures, counts, self._changed)
        self.rules[rule.id] = armed
        return armed

    def _changed(self) -> None:
        """A rule has counted: its links may be done with it, or have it again, and the count is kept."""
        if not self._refreshing and self._exhausted != self._find_exhausted():
            self._refreshing = True
            asyncio.get_running_loop().call_soon(self._refresh)
        if self._saving is None and self._state is not None:
            self._saving = asyncio.get_running_loop().call_later(SAVE_AFTER_S, self._save_later)

    def _save_later(self) -> None:
        self._saving = None
        with suppress(OSError):  # the next change tries again
            self.save()

    def _refresh(self) -> None:
        self._refreshing = False
        self._exhausted = self._find_exhausted()
        rules = list(self.rules.values())
        for link in self.links.values():
            link.apply(rules)

    def _find_exhausted(self) -> set[Armed]:
        return {armed for armed in self.rules.values() if armed.exhausted}


def _same_host(one: str, other: str) -> bool:
    local = {"127.0.0.1", "localhost", "::1"}
    return one == other or (one in local and other in local)


def _spec_json(link: Link) -> dict[str, Any]:
    own = link.to_json()
    return {name: own[name] for name in LinkSpec.__dataclass_fields__}


def _counts(data: Mapping[str, Any]) -> Counts:
    return Counts(
        data["matched"], data["fired"], data["failed"], Counter(data["by_scope"]), Counter(data["fired_by_scope"])
    )


def _counts_json(counts: Counts) -> dict[str, Any]:
    return {
        "matched": counts.matched,
        "fired": counts.fired,
        "failed": counts.failed,
        "by_scope": dict(counts.by_scope),
        "fired_by_scope": dict(counts.fired_by_scope),
    }
