"""The engine on a real database."""

from __future__ import annotations

import asyncio
import traceback

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError

from pyairtable_reference.kit.database import is_transient, open_engine

EMAIL = "ann@who-is-it.example"
INSERT = "INSERT INTO people VALUES (:email, :number)"


async def failure_of(url: str, statement: str, **values: object) -> DBAPIError:
    engine = open_engine(url.replace("postgresql:", "postgresql+psycopg:"), "test")
    try:
        async with engine.connect() as connection:
            await connection.execute(
                text("CREATE TEMPORARY TABLE people (email text UNIQUE, number int CHECK (number > 0))")
            )
            await connection.execute(text(INSERT), {"email": EMAIL, "number": 1})
            with pytest.raises(DBAPIError) as caught:
                await connection.execute(text(statement), values)
            return caught.value
    finally:
        await engine.dispose()


@pytest.mark.parametrize(
    ("statement", "values", "kind", "kept"),
    [
        (INSERT, {"email": EMAIL, "number": 1}, IntegrityError, "people_email_key"),
        (INSERT, {"email": f"of {EMAIL}", "number": 0}, IntegrityError, "people_number_check"),
        ("SELECT CAST(CAST(:email AS text) AS int)", {"email": EMAIL}, DataError, "22P02"),
    ],
    ids=["taken", "forbidden", "unreadable"],
)
def test_a_failed_statement_tells_what_failed_and_no_value(
    workspaces_url: str, statement: str, values: dict[str, object], kind: type[DBAPIError], kept: str
) -> None:
    failure = asyncio.run(failure_of(workspaces_url, statement, **values))
    told = "".join(traceback.format_exception(failure)) + repr(failure)
    assert isinstance(failure, kind)
    assert kept in str(failure)
    assert EMAIL not in told
    assert not is_transient(failure)
