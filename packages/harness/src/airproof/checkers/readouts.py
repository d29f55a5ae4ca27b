"""What was judged, kept in the history beside what happened, so that it can be judged again without a platform.

A history holds secrets as `[redacted]`. So whether a message carries one is judged only while the test runs; the rest
is judged again in full, by whatever the checkers are by then.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, TypeAlias

from pydantic import TypeAdapter, ValidationError

from airproof.checkers.expectation import Expectation
from airproof.checkers.judgement import judge_sagas
from airproof.checkers.reads import CachedReads
from airproof.checkers.streams import EntityStream
from airproof.checkers.verdict import Anomaly, Validity, Verdict, attempt, combine, judged
from airproof.history import History, Note, Recording
from airproof.platform.manifest import Saga
from airproof.platform.observation import SagaObservation

_READ_OUT, _VERDICT = "read-out", "verdict"


@dataclass(frozen=True, slots=True)
class ReadOut:
    """All that one judgement of a tenant's sagas depends on."""

    saga: Saga
    observation: SagaObservation
    expectation: Expectation

    def judge(self) -> Verdict:
        """Every checker's verdict on it."""
        return judge_sagas(self.saga, self.observation, self.expectation)


Judgeable: TypeAlias = ReadOut | CachedReads | EntityStream
_KINDS: Mapping[str, type[Judgeable]] = {"sagas": ReadOut, "cached reads": CachedReads, "stream": EntityStream}
_OLDEST = "sagas"
"""What read-outs are that were kept before there were others."""


def keep(history: History, readout: Judgeable) -> None:
    """Notes what is about to be judged."""
    kind = next(kind for kind, its_type in _KINDS.items() if isinstance(readout, its_type))
    of = readout.observation.tenant_id if isinstance(readout, ReadOut) else readout.entity
    if isinstance(readout, ReadOut):
        readout = replace(readout, expectation=replace(readout.expectation, secrets=()))
    history.note(f"{_READ_OUT} of {of}", kind=kind, **{one.name: getattr(readout, one.name) for one in fields(readout)})


def keep_verdict(history: History, verdict: Verdict, *, of_scenario: Sequence[Anomaly] = ()) -> None:
    """Notes how it was judged.

    Args:
        of_scenario: anomalies of the verdict that the scenario itself saw, which nobody can see again.
    """
    history.note(_VERDICT, validity=verdict.validity.value, anomalies=verdict.anomalies, of_scenario=of_scenario)


def judge_again(recording: Recording) -> Verdict:
    """The verdict of today's checkers on what a history holds.

    Unknown where it holds no read-out, or one that these checkers cannot read, and where a required fault left no
    evidence, for such a test proves nothing.
    """
    verdicts = [_again(note) for note in recording.notes if note.text.startswith(f"{_READ_OUT} of ")]
    if not verdicts:
        return Verdict(Validity.UNKNOWN, why_unknown="the history holds no read-out that could be judged")
    return combine([*verdicts, judged("scenario", _of_scenario(recording)), *_faults(recording)])


def verdict_then(recording: Recording) -> Validity | None:
    """How the test itself was judged when it ran; None if it was not."""
    said = [note.facts["validity"] for note in recording.notes if note.text == _VERDICT]
    return Validity(said[-1]) if said else None


def _again(note: Note) -> Verdict:
    facts = dict(note.facts)
    kind = facts.pop("kind", _OLDEST)
    if kind not in _KINDS:
        return _unknown(f"{note.text} is one of {kind!r}; these checkers know {', '.join(_KINDS)}")
    try:
        readout: Judgeable = TypeAdapter(_KINDS[kind]).validate_python(facts)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        return _unknown(f"{note.text} cannot be read by these checkers: {where}: {first['msg']}")
    return attempt(kind, readout.judge)


def _of_scenario(recording: Recording) -> Iterator[Anomaly]:
    for note in recording.notes:
        if note.text == _VERDICT:
            seen: list[dict[str, Any]] = note.facts.get("of_scenario", [])
            yield from (TypeAdapter(Anomaly).validate_python(one) for one in seen)


def _faults(recording: Recording) -> Iterator[Verdict]:
    for fault in recording.faults:
        if fault.required and not fault.evidence:
            yield _unknown(f"{fault.kind} of {fault.target!r} was required and left no evidence")


def _unknown(why: str) -> Verdict:
    return Verdict(Validity.UNKNOWN, why_unknown=why, checked=(_READ_OUT,))
