"""Saga atomicity: complete or nothing at every participant, with events that say the same, and one mail id."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

from airproof.checkers.expectation import Expectation
from airproof.checkers.verdict import Anomaly, Verdict, judged
from airproof.checkers.view import SagaView, described, make_views, witness
from airproof.platform.manifest import Saga, Step
from airproof.platform.observation import SagaObservation, StepState, StoredEvent

SAGA = "SAGA"
_HELD = frozenset({StepState.DONE, StepState.COMPENSATION_FAILED})


def check_effects(saga: Saga, observation: SagaObservation, expectation: Expectation) -> Verdict:
    """Judges what a tenant's sagas left at the participants."""
    return judged("effects", _anomalies(saga, observation, expectation), unread=observation.unread)


def _anomalies(saga: Saga, observation: SagaObservation, expectation: Expectation) -> Iterator[Anomaly]:
    for view in make_views(saga, observation, expectation):
        if view.readout.state.terminal:
            yield from _effects_agree_with_steps(view)
            yield from _events_agree_with_effects(view)
            yield from _events_agree(view)
            yield from _input_agrees(view)
            yield from _events_are_whole(view)
    yield from _strays(saga, observation, expectation)
    yield from _figures(observation, expectation)
    yield from _mails(saga, observation, expectation)


def _effects_agree_with_steps(view: SagaView) -> Iterator[Anomaly]:
    for step in view.saga.steps:
        state, effects = view.step_state(step.name), view.effects(step)
        wanted = 1 if state in _HELD else 0
        if len(effects) == wanted:
            continue
        name = "effect-missing" if len(effects) < wanted else "effect-remains" if wanted == 0 else "effect-twice"
        yield Anomaly(
            view.blames,
            name,
            "a saga is complete or nothing at every participant",
            f"{wanted} {step.effect} at {step.participant}, as {step.name} is {state.value if state else 'unknown'}",
            f"{len(effects)} {step.effect}",
            (*witness(effects), described(view)),
        )
    wrong = [e for step in view.saga.steps for e in view.effects(step) if e.subject != view.ending.subject]
    if wrong:
        yield Anomaly(
            SAGA, "effect-of-another", "an effect belongs to its saga", view.ending.subject, "", witness(wrong)
        )


def _events_agree_with_effects(view: SagaView) -> Iterator[Anomaly]:
    for step in view.saga.steps:
        created = view.events(step.event)
        removed = view.events(step.compensation.event) if step.compensation else ()
        counted = f"{len(created)} {step.event}, {len(removed)} undone"
        expected = _expected_events(view, step)
        if (len(created), len(removed)) not in expected:
            wanted = " or ".join(f"{made} {step.event}, {undone} undone" for made, undone in sorted(expected))
            yield Anomaly(
                view.blames,
                "effect-not-once",
                "a step takes effect exactly once, and is undone at most once",
                wanted,
                counted,
                witness([*created, *removed]),
            )
        yield from _facts_agree(view, step)
        held = {effect.id for effect in view.effects(step)}
        told = {event.aggregate_id for event in created} - {event.aggregate_id for event in removed}
        if told != held and len(created) <= 1:
            yield Anomaly(
                "ES",
                "events-contradict-effects",
                "an effect is there exactly if an event says that it came and none that it went",
                f"{step.effect} {sorted(told) or 'none'}, as the events of {step.participant} say",
                f"{step.effect} {sorted(held) or 'none'}",
                witness([*view.effects(step), *created, *removed]),
            )


def _facts_agree(view: SagaView, step: Step) -> Iterator[Anomaly]:
    """What effect and event both speak of, they say alike."""
    told = {event.aggregate_id: event for event in view.events(step.event)}
    for effect in view.effects(step):
        event = told.get(effect.id)
        both = effect.facts.keys() & event.payload.keys() if event else set()
        if event and (names := sorted(name for name in both if effect.facts[name] != event.payload[name])):
            held, said = ({name: facts[name] for name in names} for facts in (effect.facts, event.payload))
            # Of another kind than it is, nobody can read it.
            alike = all(type(held[name]) is type(said[name]) for name in names)
            promise, category = "the event of a step tells what the step has done", "ES" if alike else "CONTRACT"
            expected, facts = f"{step.event} with {held}, as {step.participant} holds it", witness([effect, event])
            yield Anomaly(category, "event-tells-otherwise", promise, expected, f"{said}", facts)


def _events_agree(view: SagaView) -> Iterator[Anomaly]:
    """The events of a saga's steps speak of the same things: each undoing of its step's, each `…_id` of one."""
    ids: dict[str, list[StoredEvent]] = defaultdict(list)
    for step in view.saga.steps:
        created = view.events(step.event)
        removed = view.events(step.compensation.event) if step.compensation else ()
        for event in (*created, *removed):
            for name in event.payload:
                if name.endswith("_id"):
                    ids[name].append(event)
        shared = {name for made in created for gone in removed for name in made.payload.keys() & gone.payload.keys()}
        for name in sorted(shared):
            yield from _alike(name, [*created, *removed], "the event of an undoing tells what was undone")
    for name, events in ids.items():
        yield from _alike(name, events, "all events of a saga's steps speak of the same things")


def _events_are_whole(view: SagaView) -> Iterator[Anomaly]:
    """The events of a saga and of its steps tell all that they are declared to, and its own tell which saga it is."""
    declared = [(step.event, step.tells) for step in view.saga.steps]
    declared += [(undo.event, undo.tells) for step in view.saga.steps if (undo := step.compensation)]
    declared += [(event_type, view.saga.tells) for event_type in view.saga.events]
    for event_type, names in declared:
        for event in view.events(event_type):
            if lacking := [name for name in names if name not in event.payload]:
                promise, expected = "an event tells all that it is declared to", f"{event_type} with {', '.join(names)}"
                yield Anomaly("CONTRACT", "event-lacks", promise, expected, f"none {lacking}", witness([event]))
    for own in view.saga.events:
        for event in view.events(own):
            told = event.payload.get("saga_id", view.ending.saga_id)
            if told != view.ending.saga_id:
                promise, expected = "an event of a saga tells which it is", view.ending.saga_id
                yield Anomaly("CONTRACT", "event-of-another", promise, expected, str(told), witness([event]))


def _input_agrees(view: SagaView) -> Iterator[Anomaly]:
    """Where it is known what a saga was started with, its effects say that."""
    for step in view.saga.steps if view.ending.given else ():
        wanted = {name: text.format_map(view.ending.given) for name, text in step.holds.items()}
        for effect in view.effects(step):
            if wrong := {name: effect.facts.get(name) for name in wanted if effect.facts.get(name) != wanted[name]}:
                expected = str({name: wanted[name] for name in wrong})
                promise = "an effect says what its saga was started with"
                yield Anomaly("CONTRACT", "effect-differs", promise, expected, str(wrong), witness([effect]))


def _alike(name: str, events: Sequence[StoredEvent], promise: str) -> Iterator[Anomaly]:
    told = [(event.payload[name], event.event_type) for event in events if name in event.payload]
    first, event_type = told[0]
    if others := [value for value, _ in told if value != first]:
        expected = f"{name} {first!r}, as {event_type} says"
        yield Anomaly("ES", "events-contradict", promise, expected, f"{name} {others[0]!r}", witness(events))


def _expected_events(view: SagaView, step: Step) -> set[tuple[int, int]]:
    """How many events may say that the effect came and went."""
    execute, compensate = view.execute(step.name), view.compensate(step.name)
    if compensate.issued:
        # A compensation that overtook its step, or a step that was refused meanwhile, leaves nothing to undo.
        undone = 0 if compensate.refused else 1
        return {(1, undone)} if execute.done else {(0, 0)}
    return {(1, 0)} if execute.done else {(0, 0)}


def _strays(saga: Saga, observation: SagaObservation, expectation: Expectation) -> Iterator[Anomaly]:
    """Effects and events of no saga."""
    known = {ending.saga_id for ending in expectation.endings}
    stray = [effect for effect in observation.effects if effect.saga_id not in known]
    if stray:
        promise = "every effect belongs to a saga that was started"
        yield Anomaly(SAGA, "effect-without-saga", promise, "none", str(len(stray)), witness(stray))
    own = {event for step in saga.steps for event in (step.event, step.compensation and step.compensation.event)}
    own.update(saga.events)
    correlations = {readout.correlation_id for readout in observation.sagas}
    orphans = [e for e in observation.events if e.event_type in own and e.correlation_id not in correlations]
    if orphans:
        promise = "every event of a saga carries the saga's correlation id"
        yield Anomaly("XSERVICE", "event-without-saga", promise, "none", str(len(orphans)), witness(orphans))


def _figures(observation: SagaObservation, expectation: Expectation) -> Iterator[Anomaly]:
    subjects = {ending.subject for ending in expectation.endings}
    for figure in observation.figures:
        if figure.subject in subjects and figure.shown != figure.actual:
            yield Anomaly(
                "CQRS" if expectation.tests == SAGA else expectation.tests,
                "figure-differs",
                "a figure that is kept from events counts each event once",
                f"{figure.name} {figure.actual}, as its owner holds",
                f"{figure.name} {figure.shown} at {figure.service}",
                (figure.subject,),
            )


def _mails(saga: Saga, observation: SagaObservation, expectation: Expectation) -> Iterator[Anomaly]:
    """At least one mail with exactly one id for each saga that says so, and none else."""
    step = saga.sends_mail_in
    if step is None:
        return
    views = make_views(saga, observation, expectation)
    sending: dict[str, int] = {view.ending.subject: 0 for view in views}
    for view in views:
        sending[view.ending.subject] += view.step_state(step) is StepState.DONE
    for recipient in {*sending, *(mail.recipient for mail in observation.mails)}:
        mails = [mail for mail in observation.mails if mail.recipient == recipient]
        ids = {mail.message_id for mail in mails}
        wanted = sending.get(recipient, 0)
        if len(ids) != wanted:
            yield Anomaly(
                SAGA,
                "mail-missing" if len(ids) < wanted else "mail-without-cause",
                "each saga that says so sends at least one mail, always with the same Message-ID, and no other does",
                f"{wanted} Message-ID for {recipient}",
                f"{len(ids)} in {len(mails)} mails",
                witness(sorted(f"mail {mail.message_id} {mail.subject}" for mail in mails)),
            )
        elif (expectation.calm or expectation.mails_once) and len(mails) > wanted:
            promise, facts = "each mail is sent once, unless it is not known that it was sent", witness(mails)
            yield Anomaly(SAGA, "mail-twice", promise, f"{wanted} to {recipient}", f"{len(mails)}", facts)
        if nameless := [mail for mail in mails if not mail.subject]:
            promise, facts = "a mail says what it is about", witness(f"mail {one.message_id}" for one in nameless)
            yield Anomaly("CONTRACT", "no-subject", promise, "a subject", f"none of {len(nameless)}", facts)
        greeted = {view.ending.greeted for view in views if view.ending.subject == recipient}
        for mail in (one for one in mails if greeted and not any(name in one.text for name in greeted)):
            promise, expected = "a mail calls its recipient by their name", " or ".join(sorted(greeted))
            yield Anomaly("CONTRACT", "greets-another", promise, expected, mail.text, (f"mail {mail.message_id}",))
        markup = {name for name in greeted if "<" in name}
        for mail in (one for one in mails if any(name in one.html for name in markup)):
            promise, expected = "what somebody is called is no markup in a mail", "a name that is escaped"
            yield Anomaly("SECURITY", "markup-in-a-mail", promise, expected, mail.html, (f"mail {mail.message_id}",))
