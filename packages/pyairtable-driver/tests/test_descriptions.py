"""Answers against what a service says that it answers, with a document told by hand."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from airproof.platform.manifest import Access, Route
from airproof.platform.requests import Answer
from airproof_pyairtable.descriptions import Descriptions
from airproof_pyairtable.manifest import AUTH

THING = {"type": "object", "required": ["id"], "properties": {"id": {"type": "string", "format": "uuid"}}}
DOCUMENT: dict[str, Any] = {
    "paths": {
        "/things/{thing_id}": {
            "get": {
                "responses": {
                    "200": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Thing"}}}},
                    "204": {"description": "nothing"},
                }
            }
        }
    },
    "components": {"schemas": {"Thing": THING}},
}
ROUTE = Route("thing", "GET", "/things/{id}?limit=1", "thing", AUTH, Access.USER)
ID = "2f0c4c0e-2c5b-4a53-9b0f-0f7f3b8a5a11"


class OneDocument:
    """Stands in for the cell's HTTP: whatever is asked for, this is the answer."""

    def __init__(self, document: dict[str, Any] | None) -> None:
        self._answer = httpx.Response(404) if document is None else httpx.Response(200, json=document)

    def ask(self, *_: object, **__: object) -> httpx.Response:
        return self._answer


@pytest.mark.parametrize(
    ("answer", "wrong"),
    [
        (Answer(200, f'{{"id": "{ID}", "more": 1}}'), ""),
        (Answer(200, "{}"), "$: 'id' is a required property"),
        (Answer(200, '{"id": 5}'), "$.id: 5 is not of type 'string'"),
        (Answer(200, '{"id": "none"}'), "$.id: 'none' is not a 'uuid'"),
        (Answer(204, ""), ""),
        (Answer(202, "{}"), "an answer with status 202; described are 200, 204"),
    ],
)
def test_an_answer_is_compared_with_the_schema_of_its_route(answer: Answer, wrong: str) -> None:
    assert Descriptions(OneDocument(DOCUMENT)).differs(ROUTE, answer) == wrong  # type: ignore[arg-type]


def test_who_describes_nothing_describes_no_answer() -> None:
    silent = Descriptions(OneDocument(None))  # type: ignore[arg-type]
    assert silent.operations(AUTH) == set()
    assert silent.differs(ROUTE, Answer(200, "{}")) == "an answer with status 200; described are none"


def test_operations_are_named_by_method_and_path() -> None:
    assert Descriptions(OneDocument(DOCUMENT)).operations(AUTH) == {"GET /things/{thing_id}"}  # type: ignore[arg-type]
