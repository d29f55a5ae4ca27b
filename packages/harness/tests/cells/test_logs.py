from __future__ import annotations

import json

from airproof.cells import LogReader, by_time, parse
from airproof.environment.capabilities import LogLine


class Log:
    """A log in memory; `between` is written after the end was taken and before the lines are read."""

    def __init__(self) -> None:
        self.lines: list[LogLine] = []
        self.between: list[LogLine] = []

    def mark(self) -> dict[str, int]:
        here = {"all": len(self.lines)}
        self.lines += self.between
        self.between = []
        return here

    def since(self, mark: dict[str, int]) -> list[LogLine]:
        return self.lines[mark["all"] :]


def line(text: str, node: str = "a") -> LogLine:
    return LogLine(node, text)


def test_a_reader_gives_each_line_once() -> None:
    log = Log()
    log.lines.append(line("before"))
    reader = LogReader(log)
    log.lines += [line("1"), line("2", "b")]
    assert [one.text for one in reader.read()] == ["1", "2"]
    log.lines.append(line("3"))
    assert [one.text for one in reader.read()] == ["3"]
    assert reader.read() == []


def test_a_reader_may_begin_with_what_is_there() -> None:
    log = Log()
    log.lines.append(line("before"))
    reader = LogReader(log, whole=True)
    log.lines.append(line("1"))
    assert [one.text for one in reader.read()] == ["before", "1"]
    assert reader.read() == []


def test_a_line_written_while_the_end_is_taken_is_given_once() -> None:
    log = Log()
    reader = LogReader(log)
    log.lines.append(line("1"))
    log.between = [line("2"), line("3", "b")]
    assert [one.text for one in reader.read()] == ["1", "2", "3"]
    log.lines.append(line("4"))
    assert [one.text for one in reader.read()] == ["4"]


def test_a_json_line_is_taken_apart() -> None:
    fields = {"ts": "2026-01-02T03:04:05.5+00:00", "level": "ERROR", "logger": "app", "message": "no", "tenant_id": "t"}
    entry = parse(line(json.dumps(fields)))
    assert (entry.level, entry.logger, entry.message, entry.details) == ("error", "app", "no", "tenant_id=t")
    assert entry.written_at == 1767323045.5
    assert entry.is_error


def test_a_traceback_outside_of_the_log_is_an_error() -> None:
    assert parse(line("Traceback (most recent call last):")).is_error
    assert not parse(line("LOG:  checkpoint complete")).is_error
    assert not parse(line("{broken")).is_error


def test_a_line_of_postgresql_says_when_it_was_written() -> None:
    entry = parse(line("2026-01-02 03:04:05.500 UTC [4579] airproof@users ERROR:  duplicate key"))
    assert (entry.written_at, entry.is_error) == (1767323045.5, False)


def test_lines_without_a_time_stay_behind_the_one_before_them() -> None:
    def at(second: int, node: str) -> LogLine:
        return line(json.dumps({"ts": second, "message": f"{node}{second}"}), node)

    lines = [at(1, "a"), line("more of a1"), at(5, "a"), at(3, "b")]
    assert [entry.message for entry in by_time(map(parse, lines))] == ["a1", "more of a1", "b3", "a5"]
