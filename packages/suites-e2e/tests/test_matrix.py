from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from airproof.platform.manifest import Compensation, Manifest, Refusal, Saga, Step, Subscription
from airproof_e2e.saga.families import FAMILIES
from airproof_e2e.saga.matrix import make_scenarios, predicted_count

NO = Refusal("no", "it says no")
FULL = Refusal("full", "there is no room", limit=5)


@st.composite
def sagas(draw: st.DrawFn) -> Saga:
    """Any saga: some steps undoable, some refusable, some participants with several steps."""
    count = draw(st.integers(1, 6))
    steps = []
    for number in range(count):
        undo = draw(st.sampled_from([None, Compensation(f"e{number}.gone"), Compensation(f"e{number}.gone", NO)]))
        refusal = draw(st.sampled_from([None, NO, FULL]))
        participant = f"service-{draw(st.integers(0, number))}"
        steps.append(Step(f"step-{number}", participant, f"e{number}", f"e{number}.made", refusal, undo))
    mail = draw(st.sampled_from([None, *(step.name for step in steps)]))
    pivot = draw(st.sampled_from(steps)).name
    return Saga("trip", "desk", tuple(steps), pivot, "began", "done", "failed", "undone", sends_mail_in=mail)


@given(sagas(), st.integers(0, 2))
def test_the_formula_predicts_the_number_of_scenarios(saga: Saga, subscriptions: int) -> None:
    subscribed = tuple(Subscription(f"keeper-{n}", saga.steps[0].event, "figure") for n in range(subscriptions))
    manifest = Manifest("any", (), (saga,), subscribed)
    assert len(list(make_scenarios(manifest))) == predicted_count(manifest)


@given(sagas())
def test_every_scenario_has_an_id_and_a_promise_of_its_own(saga: Saga) -> None:
    scenarios = list(make_scenarios(Manifest("any", (), (saga,))))
    assert len({scenario.id for scenario in scenarios}) == len(scenarios)
    assert all("{" not in scenario.promise for scenario in scenarios)


def test_every_family_names_a_row_of_the_ledger() -> None:
    assert all(family.covers for family in FAMILIES)
