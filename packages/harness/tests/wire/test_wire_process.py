"""The wire as a process of its own: its start, its control, its end, and what a restart keeps."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from airproof.errors import UsageError
from airproof.wire import LinkSpec, Wire, WireGone, on, passing

HERE = on("client", "server")


class Process:
    """A running wire."""

    def __init__(self, configuration: dict[str, Any]) -> None:
        self.popen = subprocess.Popen(
            [sys.executable, "-m", "airproof.wire"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self.popen.stdin
        assert self.popen.stdout
        self.popen.stdin.write(json.dumps(configuration) + "\n")
        self.popen.stdin.flush()
        self.ready = json.loads(self.popen.stdout.readline() or "{}")

    @property
    def wire(self) -> Wire:
        host, port = self.ready["control"]
        return Wire(host, port, "secret-token")

    def end(self) -> None:
        if self.popen.poll() is None:
            self.popen.kill()
        with self.popen:
            pass


@pytest.fixture
def start() -> Iterator[Callable[..., Process]]:
    with ExitStack() as ends:

        def start(**configuration: Any) -> Process:
            process = Process({"token": "secret-token", **configuration})
            ends.callback(process.end)
            return process

        yield start


def link_to(port: int, own_port: int = 0) -> dict[str, Any]:
    return {
        "name": "link",
        "source": "client",
        "target": "server",
        "protocol": "opaque",
        "port": own_port,
        "upstream_host": "127.0.0.1",
        "upstream_port": port,
    }


def test_it_is_ready_when_it_says_so(start: Callable[..., Process], server: Any, connect: Any) -> None:
    process = start(links=[link_to(server.port)])
    assert connect(process.ready["links"]["link"]).ask("a") == "OK a"
    assert process.wire.health()["links"] == 1


def test_it_ends_in_good_order_when_told(start: Callable[..., Process]) -> None:
    process = start()
    process.popen.send_signal(signal.SIGTERM)
    assert process.popen.wait(10) == 0


def test_it_ends_with_its_standard_input_if_asked(start: Callable[..., Process]) -> None:
    process = start(end_with_stdin=True)
    assert process.popen.stdin
    process.popen.stdin.close()
    assert process.popen.wait(10) == 0


def test_a_wrong_configuration_is_one_clean_line() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "airproof.wire"],
        input=json.dumps({"token": "t", "links": [{"name": "x"}]}),
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert done.returncode == 4
    assert done.stderr.count("\n") == 1
    assert "upstream_host" in done.stderr


def test_a_wrong_token_is_refused(start: Callable[..., Process]) -> None:
    host, port = start().ready["control"]
    with pytest.raises(UsageError, match="token"):
        Wire(host, port, "wrong").health()


def test_garbage_on_the_control_port_is_refused_and_it_goes_on(start: Callable[..., Process]) -> None:
    process = start()
    with socket.create_connection(process.ready["control"], timeout=10) as client:
        client.sendall(b"\x00\xff garbage\r\n\r\n")
        assert client.recv(12) in {b"HTTP/1.1 400", b""}
    assert process.wire.health()["links"] == 0


def test_nobody_answers_after_the_end(start: Callable[..., Process]) -> None:
    process = start()
    process.end()
    with pytest.raises(WireGone, match="read the log"):
        process.wire.health()


def test_a_restart_keeps_rules_their_counts_and_links(
    start: Callable[..., Process], server: Any, connect: Any, tmp_path: Path
) -> None:
    state = str(tmp_path / "state.json")
    first = start(state=state)
    port = first.wire.add_link(LinkSpec(**link_to(server.port)))["port"]
    rule = first.wire.apply(HERE.when(passing(containing="PUT")).times(2).reset())
    with pytest.raises(ConnectionResetError):
        connect(port).ask("PUT 1")
    first.popen.send_signal(signal.SIGTERM)
    first.popen.wait(10)
    second = start(state=state)
    assert second.ready["links"] == {"link": port}
    assert second.wire.status(rule.rule.id)["fired"] == 1
    with pytest.raises(ConnectionResetError):
        connect(port).ask("PUT 2")
    assert connect(port).ask("PUT 3") == "OK PUT 3"


def test_unknown_links_and_rules_are_named(start: Callable[..., Process], server: Any) -> None:
    wire = start(links=[link_to(server.port)]).wire
    with pytest.raises(UsageError, match=r"no link 'other'; there are link"):
        wire.remove_link("other")
    with pytest.raises(UsageError, match="no rule 'abc'"):
        wire.release("abc")
    with pytest.raises(UsageError, match="there is a link 'link' already"):
        wire.add_link(LinkSpec(**link_to(server.port)))
