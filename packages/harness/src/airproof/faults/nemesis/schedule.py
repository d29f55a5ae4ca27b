"""A schedule of faults as plain data: which, on whom, from which message until which.

Moments are messages, not times: "the third Produce of the relay" happens on a fast machine and on a slow one, so a
schedule that made a test fail does so again.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

from airproof.errors import UsageError
from airproof.wire.building import on
from airproof.wire.matches import matching
from airproof.wire.rules import Moment, Rule

_ORDINALS = {1: "st", 2: "nd", 3: "rd"}


@dataclass(frozen=True, slots=True)
class Anchor:
    """A message on a link, while which something is done: it is held until that has taken effect.

    Attributes:
        number: which of those that match, from 1.
        moment: `before` the request is passed on, or `after` its reply has come.
        containing: what its content must contain.
    """

    source: str
    target: str
    protocol: str
    event: str
    number: int = 1
    moment: Moment = Moment.BEFORE
    containing: str = ""

    def rule(self) -> Rule:
        """The rule that holds the message."""
        message = matching(self.protocol, self.event, containing=self.containing or ())
        chosen = on(self.source, self.target).when(message)
        chosen = chosen.after() if self.moment is Moment.AFTER else chosen.before()
        return chosen.nth(self.number).hold().preventable()

    def __str__(self) -> str:
        of = f" with {self.containing!r}" if self.containing else ""
        answered = " answered" if self.moment is Moment.AFTER else ""
        event = "message" if self.event == "*" else self.event
        return f"{ordinal(self.number)} {event} {self.source}>{self.target}{of}{answered}"


@dataclass(frozen=True, slots=True)
class Disturbance:
    """One fault of a schedule.

    Attributes:
        kind: one of `airproof.faults.nemesis.kinds.KINDS`.
        nodes: on whom; of a link its source, of a partition the one side.
        others: of a link its target, of a partition the other side.
        parameters: what the fault takes besides.
        start: None begins it with the nemesis.
        end: counted from the fault's beginning; None, or one that never comes, ends it with the nemesis.
    """

    kind: str
    nodes: tuple[str, ...]
    others: tuple[str, ...] = ()
    parameters: Mapping[str, str | int | float | bool] = field(default_factory=dict)
    start: Anchor | None = None
    end: Anchor | None = None

    def __str__(self) -> str:
        given = ", ".join(f"{name}={value}" for name, value in self.parameters.items())
        whom = "+".join(self.nodes) + (f"|{'+'.join(self.others)}" if self.others else "")
        words = [f"{self.kind} {whom}" + (f" ({given})" if given else "")]
        if self.start:
            words.append(f"at {self.start}")
        if self.end:
            words.append(f"until {self.end}")
        return " ".join(words)


@dataclass(frozen=True, slots=True)
class Schedule:
    """Faults that belong together; in JSON it can be kept, edited by hand and given to a test again.

    Attributes:
        seed: what it was made from; 0 where it was not.
    """

    disturbances: tuple[Disturbance, ...]
    seed: int = 0

    def __len__(self) -> int:
        return len(self.disturbances)

    def __str__(self) -> str:
        return "; ".join(str(one) for one in self.disturbances) or "nothing"

    def to_json(self) -> dict[str, Any]:
        """A JSON object that `from_json` reads back."""
        return {"seed": self.seed, "disturbances": [asdict(one) for one in self.disturbances]}

    @classmethod
    def from_json(cls, data: Any) -> Self:
        """The schedule that `to_json` wrote.

        Raises:
            UsageError: it is none; names what is wrong.
        """
        try:
            return cls(tuple(_disturbance(one) for one in data["disturbances"]), int(data.get("seed", 0)))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise UsageError(f"not a schedule of faults: {type(error).__name__}: {error}") from error

    def write(self, path: Path, **about: str | int) -> None:
        """Writes it to a file.

        Args:
            about: what it belongs to: `test`, `run_seed`, `environment`; for the reader and for `airproof shrink`.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({**about, **self.to_json()}, indent=1) + "\n", encoding="utf-8")

    @classmethod
    def read(cls, path: Path) -> Self:
        """The schedule in a file.

        Raises:
            UsageError: there is no such file, or it holds no schedule.
        """
        try:
            return cls.from_json(json.loads(path.read_text(encoding="utf-8")))
        except OSError as error:
            raise UsageError(f"cannot read the schedule {str(path)!r}: {error.strerror}") from error
        except (UsageError, ValueError) as error:
            raise UsageError(f"{str(path)!r} holds no schedule: {error}") from error


def ordinal(number: int) -> str:
    """`1st`, `2nd`, `11th`."""
    ending = "th" if number % 100 in {11, 12, 13} else _ORDINALS.get(number % 10, "th")
    return f"{number}{ending}"


def _disturbance(data: Mapping[str, Any]) -> Disturbance:
    return Disturbance(
        **{
            **data,
            "nodes": tuple(data["nodes"]),
            "others": tuple(data.get("others", ())),
            "parameters": dict(data.get("parameters", {})),
            "start": _anchor(data.get("start")),
            "end": _anchor(data.get("end")),
        }
    )


def _anchor(data: Mapping[str, Any] | None) -> Anchor | None:
    return Anchor(**{**data, "moment": Moment(data.get("moment", "before"))}) if data else None
