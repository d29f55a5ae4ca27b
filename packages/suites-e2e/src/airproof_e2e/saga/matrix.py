"""The fault matrix of a saga: a scenario for every family and every part of the manifest that the family is about.

`make_scenarios` generates them; `predicted_count` says beforehand, by a closed formula, how many there must be.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from airproof.platform.manifest import Manifest, Saga, Step, Subscription
from airproof_e2e.saga.families import FAMILIES
from airproof_e2e.saga.family import Family, Per
from airproof_e2e.saga.moments import undoable
from airproof_e2e.saga.stage import Subject


@dataclass(frozen=True, slots=True)
class Scenario:
    """One scenario of the matrix."""

    family: Family
    saga: Saga
    subject: Subject

    @property
    def id(self) -> str:
        """Readable and stable: `user_registration-step-refused-create_profile`."""
        return "-".join(filter(None, [self.saga.name, self.family.name, _name(self.subject)]))

    @property
    def promise(self) -> str:
        """What it proves, in one line."""
        return self.family.promise.format(subject=_name(self.subject) or self.saga.name)


def make_scenarios(manifest: Manifest) -> Iterator[Scenario]:
    """The matrix of every saga of the manifest."""
    for saga in manifest.sagas:
        for family in FAMILIES:
            for subject in _subjects(manifest, saga, family.per):
                yield Scenario(family, saga, subject)


def predicted_count(manifest: Manifest) -> int:
    """How many scenarios the matrix must have.

    For a saga of n steps, of which r may be refused and l of these for a limit, u can be undone and v of these may
    refuse to be, with s subscriptions to its events and m steps that send a mail, it is
    69 + 3 n + r + l + u + v + 5 s + 12 m, and 29 more if u is not 0.
    """
    return sum(
        69
        + 3 * len(saga.steps)
        + sum(step.refusal is not None for step in saga.steps)
        + len(_limited(saga))
        + len(undoable(saga))
        + sum(bool(step.compensation and step.compensation.refusal) for step in undoable(saga))
        + 5 * len(_subscriptions(manifest, saga))
        + 12 * (saga.sends_mail_in is not None)
        + 29 * bool(undoable(saga))
        for saga in manifest.sagas
    )


def _subjects(manifest: Manifest, saga: Saga, per: Per) -> Sequence[Subject]:
    subjects: dict[Per, Sequence[Subject]] = {
        Per.SAGA: [None],
        Per.STEP: saga.steps,
        Per.REFUSABLE: [step for step in saga.steps if step.refusal],
        Per.LIMITED: _limited(saga),
        Per.UNDOING: [None] if undoable(saga) else [],
        Per.UNDO_REFUSABLE: [step for step in undoable(saga) if step.compensation and step.compensation.refusal],
        Per.UNDOABLE: undoable(saga),
        Per.LAST_UNDOABLE: undoable(saga)[-1:],
        Per.SUBSCRIPTION: _subscriptions(manifest, saga),
        Per.MAIL: [saga.step(saga.sends_mail_in)] if saga.sends_mail_in else [],
    }
    return subjects[per]


def _limited(saga: Saga) -> list[Step]:
    return [step for step in saga.steps if step.refusal and step.refusal.limit]


def _subscriptions(manifest: Manifest, saga: Saga) -> list[Subscription]:
    events = {event for step in saga.steps for event in (step.event, step.compensation and step.compensation.event)}
    return [one for one in manifest.subscriptions if one.event in events]


def _name(subject: Subject) -> str:
    match subject:
        case Step():
            return subject.name
        case Subscription():
            return subject.event
        case str():
            return subject
        case None:
            return ""
