"""Real supervisors, each test in a runtime directory of its own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from airproof.supervision import ProcessSpec, Supervisor
from airproof.supervision.kernel import children, process_table
from airproof.supervision.sweeping import sweep
from airproof.waiting import wait_until

TIMEOUT_S = 20.0


@pytest.fixture
def runtime(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    # pytest's tmp_path is too long for a socket.
    directory = Path(tempfile.mkdtemp(prefix="airproof-test-"))
    monkeypatch.setenv("AIRPROOF_RUNTIME_DIR", str(directory))
    yield directory
    sweep()
    shutil.rmtree(directory)


@pytest.fixture
def supervisor(runtime: Path) -> Iterator[Supervisor]:
    with Supervisor.start(label="test") as started:
        yield started


@pytest.fixture
def environment() -> dict[str, str]:
    return {"PATH": os.environ["PATH"]}


@pytest.fixture
def make_spec(environment: dict[str, str]) -> Callable[..., ProcessSpec]:
    def make(name: str, *argv: str, **more: object) -> ProcessSpec:
        return ProcessSpec(name, name.partition("/")[0], argv or ("sleep", "1000"), environment, **more)  # type: ignore[arg-type]

    return make


@pytest.fixture
def make_python(make_spec: Callable[..., ProcessSpec]) -> Callable[..., ProcessSpec]:
    def make(name: str, source: str, **more: object) -> ProcessSpec:
        return make_spec(name, sys.executable, "-c", source, **more)

    return make


@pytest.fixture
def zygote(supervisor: Supervisor, environment: dict[str, str]) -> str:
    """A zygote whose preloaded module `entries` holds the functions below."""
    directory = supervisor.make_directory("zygotes", "modules")
    (directory / "entries.py").write_text(ENTRIES)
    supervisor.spawn_zygote("zygotes/main", "zygotes", ["entries"], {**environment, "PYTHONPATH": str(directory)})
    return "zygotes/main"


ENTRIES = """
import os, signal, sys, threading

def wait():
    print("waiting", os.environ.get("GREETING"), flush=True)
    threading.Event().wait()

def graceful():
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    print("ready", flush=True)
    while not stop.wait(0.01):
        pass
    sys.exit(7)

def fails():
    raise RuntimeError("the entry failed")

def returns():
    return 3
"""


@pytest.fixture
def alive() -> Callable[[list[int]], list[int]]:
    """Which of these processes live; a zombie does not."""

    def those(pids: list[int]) -> list[int]:
        states = {pid: state for pid, _, state in process_table()}
        return [pid for pid in pids if states.get(pid, "Z") != "Z"]

    return those


@pytest.fixture
def wait_for_line() -> Callable[[Path, str], str]:
    """Waits until a log has a line that begins so, and returns the rest of it."""

    def wait(log: Path, start: str) -> str:
        def found() -> list[str]:
            lines = log.read_text().splitlines() if log.exists() else []
            return [line.removeprefix(start) for line in lines if line.startswith(start)]

        return wait_until(found, timeout_s=TIMEOUT_S, describe=f"a line {start!r} in {log}")[0].strip()

    return wait


@dataclass(slots=True)
class Runner:
    """A process that has started a supervisor, which owns one of everything."""

    process: subprocess.Popen[str]
    supervisor: int
    guard: int
    owned: dict[str, int]
    run_directory: Path
    data: Path
    undone: Path

    @property
    def everything(self) -> list[int]:
        return [self.process.pid, self.supervisor, self.guard, *self.owned.values()]


@pytest.fixture
def make_runner(
    runtime: Path, tmp_path: Path, wait_for_line: Callable[[Path, str], str]
) -> Iterator[Callable[..., Runner]]:
    with ExitStack() as cleanup:

        def make(variant: str = "") -> Runner:
            undone = tmp_path / "undone"
            process = cleanup.enter_context(
                subprocess.Popen(
                    [sys.executable, "-c", RUNNER, variant, str(undone)],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                )
            )
            cleanup.callback(process.kill)
            assert process.stdout
            line = process.stdout.readline()
            assert line, "the runner failed"
            facts = json.loads(line)
            [guard] = [pid for pid in children(facts["supervisor"]) if pid not in facts["owned"].values()]
            run_directory = Path(facts["run_directory"])
            family = wait_for_line(run_directory / "logs/cell/family.log", "family").split()
            owned = {**facts["owned"], "child": int(family[0]), "grandchild": int(family[1])}
            return Runner(process, facts["supervisor"], guard, owned, run_directory, Path(facts["data"]), undone)

        yield make


# The family of cell/family is suspended: nobody but SIGKILL gets rid of it. Its grandchild hides its environment.
RUNNER = """
import json, os, signal, sys
from airproof.environment.capabilities import ProcessStatus
from airproof.supervision import ForkSpec, ProcessSpec, Supervisor
from airproof.waiting import wait_until

FAMILY = '''
import os, signal
if os.fork() == 0:
    os.setsid()
    if child := os.fork():
        print("family", os.getpid(), child, flush=True)
    else:
        os.execve("/bin/sleep", ["sleep", "1000"], {})
while True:
    signal.pause()
'''

variant, undone = sys.argv[1:]
supervisor = Supervisor.start(label="runner", keep=variant == "keep")
data = supervisor.make_directory("cell", "data")
supervisor.on_release("cell", ["touch", undone])
environment = dict(os.environ)
def spawn(name, *argv, **more):
    supervisor.spawn(ProcessSpec(name, "cell", argv, environment, str(data), **more))
spawn("cell/plain", "sleep", "1000")
spawn("cell/unprivileged", "sleep", "1000", unprivileged=True)
spawn("cell/family", sys.executable, "-c", FAMILY)
log = supervisor.log_path("cell/family")
wait_until(lambda: log.read_text().endswith(os.linesep), timeout_s=20, describe="the family")
child = int(log.read_text().split()[2])
wait_until(lambda: os.readlink(f"/proc/{child}/exe").endswith("sleep"), timeout_s=20, describe="the grandchild")
supervisor.signal("cell/family", signal.SIGSTOP)
supervisor.wait_state("cell/family", ProcessStatus.SUSPENDED, 20)
supervisor.spawn_zygote("zygotes/main", "zygotes", ["json"], environment)
supervisor.fork(ForkSpec("cell/forked", "cell", "zygotes/main", "signal:pause", environment))
if variant == "forks" and os.fork() == 0:
    sys.stdin.read()
    os._exit(0)
print(json.dumps({
    "supervisor": supervisor._launched.process.pid,
    "owned": {state.node: supervisor.pid(state.node) for state in supervisor.states()},
    "run_directory": str(supervisor.run_directory),
    "data": str(data),
}), flush=True)
sys.stdin.read()
"""
