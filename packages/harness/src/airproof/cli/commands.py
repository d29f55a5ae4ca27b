"""The commands by name: those of the harness, and those that installed packages add (`airproof.commands`)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from importlib import import_module, metadata

from airproof.cli.parsing import Parser
from airproof.errors import ExitStatus, UsageError

GROUP = "airproof.commands"


@dataclass(frozen=True, slots=True)
class Command:
    """A command of the harness. Its module has `add_arguments(parser)` and `run(options) -> exit status`."""

    summary: str
    module: str


COMMANDS = {
    "up": Command("bring an environment up and leave it up", "airproof.cli.up"),
    "down": Command("end an environment that was left up", "airproof.cli.down"),
    "health": Command("a table of every node; status 1 when one is not healthy", "airproof.cli.health"),
    "logs": Command("what the nodes write", "airproof.cli.logs"),
    "inspect": Command("endpoints, versions and sources, secrets masked", "airproof.cli.inspect"),
    "reset": Command("an environment back to empty; --cache clears the caches", "airproof.cli.reset"),
    "check": Command("judge old histories again; status 1 unless all are valid", "airproof.cli.check"),
    "shrink": Command("the fewest faults of a schedule with which a test still fails", "airproof.cli.shrink"),
    "validate-env": Command("what this machine lacks for an environment; changes nothing", "airproof.cli.validate"),
    "doctor": Command("what this machine has and where things are kept", "airproof.cli.doctor"),
    "environments": Command("the environments there are", "airproof.cli.environments"),
}


def run(arguments: Sequence[str]) -> int:
    """Runs the command that the first argument names with the others.

    Raises:
        UsageError: there is no such command or option; the message lists those there are.
    """
    if not arguments or arguments[0] in {"-h", "--help", "help"}:
        print(_overview())
        return ExitStatus.OK if arguments else ExitStatus.USAGE
    name, rest = arguments[0], arguments[1:]
    if name == "--version":
        print(f"airproof {metadata.version('airproof')}")
        return ExitStatus.OK
    if name in COMMANDS:
        return _run_own(name, rest)
    return _run_added(name, rest)


def _run_own(name: str, arguments: Sequence[str]) -> int:
    module = import_module(COMMANDS[name].module)
    parser = Parser(prog=f"airproof {name}", description=module.__doc__)
    module.add_arguments(parser)
    return int(module.run(parser.parse_args(arguments)))


def _run_added(name: str, arguments: Sequence[str]) -> int:
    added = {entry.name: entry for entry in metadata.entry_points(group=GROUP)}
    if name in added:
        return int(added[name].load()(arguments))
    known = [*COMMANDS, *added]
    close = get_close_matches(name, known, n=1)
    hint = f"; did you mean {close[0]!r}?" if close else ""
    raise UsageError(f"no command {name!r}; there are: {', '.join(known)}{hint}")


def _overview() -> str:
    lines = ["usage: airproof COMMAND [ENVIRONMENT] [options]", "", "commands:"]
    lines += [f"  {name:<14}{command.summary}" for name, command in COMMANDS.items()]
    lines += [f"  {entry.name:<14}from {entry.value.split('.')[0]}" for entry in metadata.entry_points(group=GROUP)]
    return "\n".join([*lines, "", "`airproof COMMAND --help` tells more."])
