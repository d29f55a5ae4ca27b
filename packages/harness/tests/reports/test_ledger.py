from __future__ import annotations

import json
from pathlib import Path

from airproof.reports.ledger import Coverage, Promise, build, promises, read_proof
from airproof.reports.results import Outcome, TestResult

ROWS = [Promise("A-1", "first", "really", "S"), Promise("A-2", "second", "really", "S"), Promise("B-1", "x", "y", "T")]


def test_of(name: str, outcome: Outcome, *rows: str) -> TestResult:
    return TestResult(f"test_x.py::{name}", outcome, properties={"covers": list(rows)})


test_of.__test__ = False  # type: ignore[attr-defined]


def test_the_packaged_ledger_is_read() -> None:
    rows = promises()
    assert len(rows) == len({row.id for row in rows}) == 100
    saga = rows[0]
    assert (saga.id, saga.section) == ("SAGA-1", "Architectural patterns (suites-e2e)")
    assert saga.promise.startswith("User registration saga")


def test_one_red_test_makes_its_rows_red_and_a_skipped_one_proves_nothing() -> None:
    tests = [
        test_of("a", Outcome.PASSED, "A-1", "A-2"),
        test_of("b", Outcome.FAILED, "A-2"),
        test_of("c", Outcome.SKIPPED, "B-1"),
    ]
    ledger = build(tests, rows=ROWS)
    assert [row.coverage for row in ledger.rows] == [Coverage.GREEN, Coverage.RED, Coverage.NONE]
    assert ledger.count(Coverage.NONE) == 1


def test_rows_that_the_ledger_does_not_have_are_named() -> None:
    assert build([test_of("a", Outcome.PASSED, "Z-9")], rows=ROWS).unknown == ("Z-9",)


def test_a_suite_whose_tests_name_no_row_has_no_ledger_to_show() -> None:
    assert not build([test_of("a", Outcome.PASSED)], rows=ROWS).is_named
    assert build([test_of("a", Outcome.SKIPPED, "A-1")], rows=ROWS).is_named
    assert build([test_of("a", Outcome.PASSED, "Z-9")], rows=ROWS).is_named


def test_defects_are_counted_where_a_test_of_the_row_caught_them(tmp_path: Path) -> None:
    path = tmp_path / "proof.json"
    rows = [
        {"subject": "SG01", "outcome": "caught", "scenarios": ["a"]},
        {"subject": "SG02", "outcome": "missed", "scenarios": []},
    ]
    path.write_text(json.dumps(rows), encoding="utf-8")
    ledger = build([test_of("a", Outcome.PASSED, "A-1")], rows=ROWS, proof=read_proof(path))
    assert [row.defects for row in ledger.rows] == [("SG01",), (), ()]


def test_without_a_proof_nothing_is_said_about_defects(tmp_path: Path) -> None:
    (tmp_path / "torn.json").write_text('[{"subject"', encoding="utf-8")
    assert [read_proof(tmp_path / name) for name in ("none.json", "torn.json")] == [None, None]
    assert build([], rows=ROWS).rows[0].defects is None


def test_it_is_written_as_json(tmp_path: Path) -> None:
    path = tmp_path / "ledger.json"
    build([test_of("a", Outcome.PASSED, "A-1")], rows=ROWS).write(path)
    content = json.loads(path.read_text(encoding="utf-8"))
    assert content["counts"] == {"green": 1, "red": 0, "none": 2}
    assert content["rows"][0]["tests"] == [{"nodeid": "test_x.py::a", "outcome": "passed"}]
