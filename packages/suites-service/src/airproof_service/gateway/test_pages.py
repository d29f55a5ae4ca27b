from __future__ import annotations

import pytest

from airproof.checkers.verdict import Anomaly
from airproof.platform.manifest import Paged, Route
from airproof.platform.observation import Snapshot, UpdateOutcome
from airproof.platform.requests import Answer
from airproof_service.stage import LONGEST_PAGE, Stage

FEW, MANY = 5, 101
LIMITS = (9, 17, 51, LONGEST_PAGE)
"""With one and with many more the things fill all pages, and the last one not."""


@pytest.mark.smoke
@pytest.mark.destructive
@pytest.mark.covers("GW-1", "XS-4")
def test_a_list_shows_everything_once_page_by_page(stage: Stage) -> None:
    """Whoever goes through a list, however long its pages, sees each thing once, the oldest first, to its end."""
    entities = stage.cell.platform.entities(stage.routes[0].entity)
    entities.create(stage.about.tenant)
    refs = [stage.about, *entities.add(stage.about, _names(MANY))]
    wanted = [truth for one in refs if (truth := entities.truth(one))]
    for route in stage.routes:
        if paged := route.paged:
            stage.wait_listed(route, refs)
            for limit in LIMITS:
                for page in range(1, -(-len(wanted) // limit) + 2):
                    _demand_page(stage, route, paged, wanted, page, limit)
    stage.judge()


@pytest.mark.destructive
@pytest.mark.covers("GW-1", "ES-1")
def test_a_change_of_one_thing_changes_no_other(stage: Stage) -> None:
    """What somebody changes is what they have named, and nothing else of theirs or of their colleagues."""
    entities = stage.cell.platform.entities(stage.routes[0].entity)
    others = [*entities.add(stage.about, _names(FEW)), entities.create(stage.about.tenant)]
    before = [entities.truth(one) for one in others]
    update = entities.update(stage.about, "changed", expected_version=1)
    after = [entities.truth(one) for one in others]
    if update.outcome is not UpdateOutcome.DONE or after != before:
        promise = "a change of one thing changes no other"
        expected, seen = f"done, and {_told(before)}", f"{update.outcome.value}, and {_told(after)}"
        stage.anomalies.append(Anomaly("ES", "another-changed", promise, expected, seen))
    stage.judge()


def _demand_page(stage: Stage, route: Route, paged: Paged, wanted: list[Snapshot], page: int, limit: int) -> None:
    request = stage.page(route, page, limit)
    answer = stage.ask(request)
    expected = wanted[(page - 1) * limit : page * limit], page * limit < len(wanted), page > 1
    seen = _shown(paged, answer) if answer else ([], None, None)
    promise = "page by page a list shows everything once, the oldest first, and says where it ends"
    at = next((at for at, (one, other) in enumerate(zip(expected[0], seen[0], strict=False)) if one != other), -1)
    told, shown = _page(at, *expected), _page(at, *seen)
    stage.demand(seen == expected, "CONTRACT", "wrong-page", promise, told, shown, request)


def _shown(paged: Paged, answer: Answer) -> tuple[list[Snapshot], object, object]:
    places = paged.identity, paged.version, paged.value
    count = len(answer.at(paged.items) or ())
    items = [Snapshot(*(answer.at(f"{paged.items}.{number}.{place}") for place in places)) for number in range(count)]
    return items, answer.at(paged.has_next), answer.at(paged.has_prev)


def _page(at: int, items: list[Snapshot], has_next: object, has_prev: object) -> str:
    shown = f", of which number {at} is {items[at]}" if 0 <= at < len(items) else ""
    return f"{len(items)} things{shown}; more behind them: {has_next}, before them: {has_prev}"


def _names(count: int) -> list[str]:
    """So many, in no order."""
    return [f"{number * 37 % 101} of {count}" for number in range(count)]


def _told(found: list[Snapshot | None]) -> str:
    return ", ".join(map(str, found))
