from __future__ import annotations

import pytest

from airproof.platform.requests import Answer


@pytest.mark.parametrize(
    ("place", "seen"),
    [("page", 1), ("data.0.name", "a"), ("data.1.name", None), ("data.name", None), ("page.0", None), ("none", None)],
)
def test_what_stands_at_a_place_of_an_answer(place: str, seen: object) -> None:
    assert Answer(200, '{"page": 1, "data": [{"name": "a"}]}').at(place) == seen


def test_nothing_stands_in_an_answer_that_is_no_json() -> None:
    assert Answer(200, "<html>").at("page") is None


def test_what_is_an_answers_own_can_be_left_out() -> None:
    one = Answer(404, "there is no i1 (c1)", ("c1",)).without("i1")
    assert one == Answer(404, "there is no i2 (c2)", ("c2", "c2")).without("i2")
