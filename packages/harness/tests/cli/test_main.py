"""The command line as a whole: unknown words, errors, interrupts, start-up."""

from __future__ import annotations

import subprocess
import sys
from types import ModuleType

import pytest

from airproof.cli import main
from airproof.cli.commands import COMMANDS
from airproof.errors import ExitStatus, ProviderUnavailable


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["uo"], "airproof: no command 'uo'; there are: up, down, health,"),
        (
            ["up", "--sett"],
            "airproof: up: unrecognized arguments: --sett; did you mean '--set'?; see airproof up --help",
        ),
        (["up", "a", "b"], "airproof: up: unrecognized arguments: b; see airproof up --help"),
        (["health", "loca"], "airproof: no environment 'loca'; there are:"),
        (
            ["up", "local", "--set", "workers=x"],
            "airproof: --set workers=x: workers: found 'x'; allowed: a valid integer",
        ),
    ],
)
def test_bad_input_is_one_line_and_status_4(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == ExitStatus.USAGE

    printed = capsys.readouterr()
    assert printed.err.startswith(message)
    assert printed.err.count("\n") == 1
    assert printed.out == ""


def test_no_command_prints_what_there_is(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == ExitStatus.USAGE
    assert main(["--help"]) == ExitStatus.OK

    printed = capsys.readouterr().out
    assert [name for name in COMMANDS if name not in printed] == []


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([name, "--help"])

    assert ended.value.code == 0
    assert f"usage: airproof {name}" in capsys.readouterr().out


def test_an_error_ends_with_its_own_status(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def unavailable(_: object) -> int:
        raise ProviderUnavailable("no Java here; install Java 17")

    monkeypatch.setattr("airproof.cli.environments.run", unavailable)

    assert main(["environments"]) == ExitStatus.UNAVAILABLE
    assert capsys.readouterr().err == "airproof: no Java here; install Java 17\n"


def test_an_interrupt_is_quiet(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def interrupted(_: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr("airproof.cli.environments.run", interrupted)

    assert main(["environments"]) == ExitStatus.INTERRUPTED
    assert capsys.readouterr().err == "airproof: interrupted\n"


def test_installed_packages_add_commands(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    class Added:
        name, value = "prove", "airproof_defects.command:main"

        def load(self) -> object:
            return lambda arguments: 7 if arguments == ["--patch", "x"] else 1

    monkeypatch.setattr("airproof.cli.commands.metadata.entry_points", lambda **_: [Added()])

    assert main(["prove", "--patch", "x"]) == 7
    assert main(["--help"]) == 0
    assert "prove" in capsys.readouterr().out


def test_starting_loads_nothing_heavy() -> None:
    heavy = "{'pydantic', 'rich', 'yaml', 'psycopg', 'jinja2', 'pytest'}"
    program = f"import sys; from airproof.cli import main; main(['--help']); sys.exit(len({heavy} & set(sys.modules)))"

    assert subprocess.run([sys.executable, "-c", program], check=False, stdout=subprocess.DEVNULL).returncode == 0


def test_a_reader_that_goes_away_is_no_error() -> None:
    program = f"{sys.executable} -m airproof.cli environments | head -c 1; echo ${{PIPESTATUS[0]}}"

    ended = subprocess.run(["bash", "-c", program], check=True, capture_output=True, text=True)

    assert ended.stderr == ""
    assert ended.stdout.endswith("0\n")


class Interrupted(ModuleType):
    """A module in the import of which Ctrl-C comes."""

    def __getattr__(self, name: str) -> object:
        raise KeyboardInterrupt


def test_an_interrupt_while_the_command_is_still_being_imported_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "airproof.cli.commands", Interrupted("commands"))
    assert main(["environments"]) == ExitStatus.INTERRUPTED
    assert capsys.readouterr().err == "airproof: interrupted\n"
