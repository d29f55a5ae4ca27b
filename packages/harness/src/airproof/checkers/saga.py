"""How sagas end: one saga for each start, in an honest terminal state.

The states that the orchestrator reports are believed nowhere: each is compared with the commands and replies on the
bus and with the events of the saga itself; `airproof.checkers.effects` compares them with the participants' data.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from airproof.checkers.expectation import Expectation
from airproof.checkers.verdict import Anomaly, Verdict, judged
from airproof.checkers.view import Exchange, SagaView, described, make_views, witness
from airproof.platform.manifest import Saga
from airproof.platform.observation import SagaObservation, SagaState, StepState

SAGA = "SAGA"
_SET_WITHIN_S, _LATER_S = 10.0, 0.1
"""How long a start may take to be stored, which makes its deadline no later than what clocks differ by."""
_UNDONE = frozenset({StepState.COMPENSATED, StepState.REFUSED, StepState.PENDING})


def check_sagas(saga: Saga, observation: SagaObservation, expectation: Expectation) -> Verdict:
    """Judges every saga of a tenant against the manifest, the expectation and what was seen."""
    return judged("saga", _anomalies(saga, observation, expectation), unread=observation.unread)


def _anomalies(saga: Saga, observation: SagaObservation, expectation: Expectation) -> Iterator[Anomaly]:
    yield from _instances(observation, expectation)
    yield from _winners(observation, expectation)
    for view in make_views(saga, observation, expectation):
        if not view.readout.state.terminal:
            yield _stuck(view)
            continue
        for check in _OF_A_TERMINAL_SAGA:
            yield from check(view)


def _instances(observation: SagaObservation, expectation: Expectation) -> Iterator[Anomaly]:
    expected = {ending.saga_id for ending in expectation.endings}
    for readout in observation.sagas:
        if readout.saga_id not in expected:
            same = [other for other in observation.sagas if other.correlation_id == readout.correlation_id]
            yield Anomaly(
                SAGA,
                "second-instance",
                "one start makes one saga",
                f"the sagas {sorted(expected)}",
                f"also {readout.saga_id}, {readout.state.value}",
                witness(f"saga {one.saga_id} {one.state.value} key {one.correlation_id}" for one in same),
            )
    for missing in sorted(expected - {readout.saga_id for readout in observation.sagas}):
        yield Anomaly(SAGA, "lost-saga", "an accepted start is never forgotten", f"saga {missing}", "no such saga")


def _winners(observation: SagaObservation, expectation: Expectation) -> Iterator[Anomaly]:
    if expectation.completed is None:
        return
    completed = [readout.saga_id for readout in observation.sagas if readout.state is SagaState.COMPLETED]
    if len(completed) != expectation.completed:
        yield Anomaly(
            # Who has seen in its transaction that there is room, as its rivals have in theirs.
            "DBTX" if len(completed) > expectation.completed else SAGA,
            "wrong-number-completed",
            "of rivals, exactly as many succeed as there is room for",
            f"{expectation.completed} completed",
            f"{len(completed)} completed",
            witness(f"saga {one.saga_id} {one.state.value}: {one.reason}" for one in observation.sagas),
        )


def _stuck(view: SagaView) -> Anomaly:
    last = [message for message in view.messages if message.timestamp_ms][-1:]
    facts = (described(view), *witness(last))
    return Anomaly(view.tests, "stuck", "every saga ends", "a terminal state", view.readout.state.value, facts)


def _ending(view: SagaView) -> Iterator[Anomaly]:
    allowed = sorted(state.value for state in view.ending.states)
    if view.readout.state not in view.ending.states:
        yield Anomaly(
            view.blames,
            "wrong-ending",
            "a saga ends as its steps allow",
            " or ".join(allowed),
            f"{view.readout.state.value} ({view.readout.reason or 'no reason given'})",
            (described(view),),
        )
    wanted = view.ending.refused
    if wanted and view.readout.state is not SagaState.COMPLETED and not view.execute(wanted).refused:
        yield Anomaly(
            SAGA,
            "refusal-lost",
            "a participant that must refuse refuses, and says so",
            f"{wanted} refused",
            described(view),
            witness(view.messages),
        )


def _reason(view: SagaView) -> Iterator[Anomaly]:
    """A saga that gave up had a reason to."""
    gave_up = view.readout.state in {SagaState.COMPENSATED, SagaState.FAILED}
    refused = any(view.execute(step.name).refused for step in view.saga.steps)
    if gave_up and not refused and not view.ending.may_time_out:
        yield Anomaly(
            SAGA,
            "gave-up-without-reason",
            "a saga gives up only when a step is refused or its deadline passes",
            "completed",
            f"{view.readout.state.value} ({view.readout.reason or 'no reason given'})",
            (described(view),),
        )


def _reasons(view: SagaView) -> Iterator[Anomaly]:
    """Who is refused is told why, in the words of the manifest, and so is who asks why the saga gave up."""
    because, told = "", {step.name: step.reason for step in view.readout.steps}
    for step in view.saga.steps:
        state, refusal = view.step_state(step.name), step.refusal
        if state is StepState.COMPENSATION_FAILED and step.compensation:
            refusal = step.compensation.refusal
        if refusal and state in {StepState.REFUSED, StepState.COMPENSATION_FAILED}:
            because = refusal.name if state is StepState.REFUSED else because
            yield from _told(f"{step.name}, which is {state.value}", refusal.name, told[step.name])
    if view.readout.state in {SagaState.COMPENSATED, SagaState.FAILED}:
        whole = f"saga {view.ending.saga_id}, which is {view.readout.state.value}"
        refusals = {step.refusal.name for step in view.saga.steps if step.refusal}
        if because:
            yield from _told(whole, because, view.readout.reason)
        elif not view.readout.reason or view.readout.reason in refusals:
            yield from _told(whole, "a reason that is no refusal's", view.readout.reason)
        ends = (view.saga.failed, view.saga.compensated, view.saga.needs_attention)
        for event in (event for type_ in ends for event in view.events(type_) if "reason" in event.payload):
            said = event.payload["reason"] or ""
            yield from _told(f"{event.event_type} of {whole}", view.readout.reason, str(said))


def _told(what: str, expected: str, seen: str) -> Iterator[Anomaly]:
    if seen != expected:
        promise = "who gives up says why, and who refuses says the manifest's reason"
        yield Anomaly(SAGA, "wrong-reason", promise, f"{what}: {expected}", seen or "no reason")


def _state_agrees_with_steps(view: SagaView) -> Iterator[Anomaly]:
    names = [step.name for step in view.saga.steps]
    if [step.name for step in view.readout.steps] != names:
        seen = str([step.name for step in view.readout.steps])
        yield Anomaly(SAGA, "wrong-steps", "a saga has the steps it declares", str(names), seen)
        return
    states = {step.state for step in view.readout.steps}
    agrees = {
        SagaState.COMPLETED: states == {StepState.DONE},
        SagaState.COMPENSATED: states <= _UNDONE,
        SagaState.FAILED: StepState.COMPENSATION_FAILED in states
        and states <= _UNDONE | {StepState.COMPENSATION_FAILED},
    }
    if not agrees[view.readout.state]:
        yield Anomaly(
            SAGA,
            "dishonest-state",
            "the reported state of a saga follows from the states of its steps",
            f"steps that make it {view.readout.state.value}",
            described(view),
        )


def _steps_agree_with_replies(view: SagaView) -> Iterator[Anomaly]:
    for step in view.saga.steps:
        execute, compensate = view.execute(step.name), view.compensate(step.name)
        expected = _expected_state(execute, compensate)
        reported = view.step_state(step.name)
        if reported not in expected:
            yield Anomaly(
                SAGA,
                "dishonest-step",
                "the reported state of a step is what its participant answered",
                f"{step.name} {' or '.join(sorted(state.value for state in expected))}",
                f"{step.name} {reported.value if reported else 'not reported'}",
                witness([*execute.commands, *execute.replies, *compensate.commands, *compensate.replies]),
            )


def _expected_state(execute: Exchange, compensate: Exchange) -> set[StepState]:
    if compensate.issued:
        return {StepState.COMPENSATION_FAILED if compensate.refused else StepState.COMPENSATED}
    if execute.refused:
        return {StepState.REFUSED}
    return {StepState.DONE if execute.issued else StepState.PENDING}


def _saga_events(view: SagaView) -> Iterator[Anomaly]:
    state = view.readout.state
    gave_up = state in {SagaState.COMPENSATED, SagaState.FAILED}
    wanted = {
        view.saga.started: 1,
        view.saga.completed: int(state is SagaState.COMPLETED),
        view.saga.failed: int(gave_up),
        view.saga.compensated: int(state is SagaState.COMPENSATED),
    }
    if view.saga.needs_attention:
        wanted[view.saga.needs_attention] = int(state is SagaState.FAILED)
    for event_type, count in wanted.items():
        stored = view.events(event_type)
        if len(stored) != count:
            yield Anomaly(
                SAGA,
                "saga-events-contradict-state",
                "a saga tells once how it began and how it ended, and nothing else",
                f"{count} {event_type} of a saga that is {state.value}",
                f"{len(stored)}",
                witness(stored),
            )


def _deadline(view: SagaView) -> Iterator[Anomaly]:
    """The deadline is set when the saga is started, and stays."""
    wanted, allowed = view.ending.allowed_s, view.readout.allowed_s
    if wanted is not None and allowed is not None and not -_SET_WITHIN_S <= allowed - wanted <= _LATER_S:
        promise = "a saga has as long as its start says, or as the platform says for all, from its start"
        yield Anomaly(SAGA, "deadline-moved", promise, f"{wanted:g} s", f"{allowed:.2f} s", (described(view),))


def _usable(view: SagaView) -> Iterator[Anomaly]:
    """Of a saga that failed nobody can say: it depends on what could not be undone."""
    usable = view.observation.usable.get(view.ending.saga_id)
    completed = view.readout.state is SagaState.COMPLETED
    if view.readout.state is SagaState.FAILED:
        return
    if usable is not None and usable is not completed:
        yield Anomaly(
            SAGA,
            "not-usable" if completed else "usable-all-the-same",
            "what a saga set up works for its user exactly if it completed",
            "works" if completed else "does not work",
            "works" if usable else "does not work",
            (f"{view.ending.subject} of saga {view.ending.saga_id}", described(view)),
        )


def _kept(view: SagaView) -> Iterator[Anomaly]:
    """Where undoing was made impossible, exactly those effects stay."""
    failed = {step.name for step in view.readout.steps if step.state is StepState.COMPENSATION_FAILED}
    if failed - view.ending.kept or (view.readout.state is SagaState.FAILED and failed != view.ending.kept):
        yield Anomaly(
            SAGA,
            "compensation-failed",
            "what can be undone is undone",
            f"{sorted(view.ending.kept) or 'nothing'} kept",
            f"{sorted(failed) or 'nothing'} kept",
            (described(view),),
        )


_OF_A_TERMINAL_SAGA: tuple[Callable[[SagaView], Iterator[Anomaly]], ...] = (
    _ending,
    _reason,
    _reasons,
    _kept,
    _deadline,
    _state_agrees_with_steps,
    _steps_agree_with_replies,
    _saga_events,
    _usable,
)
