from __future__ import annotations

import hashlib
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from airproof.environment.topology import Endpoint
from airproof.errors import CacheError
from airproof.providers.native import jars
from airproof.providers.native.jars import JarsUnreachable, LockedJar, provide_jars
from airproof.providers.native.prepared import Cache
from airproof.providers.native.together import Silence

Listening = Callable[[bytes], AbstractContextManager[Endpoint]]

CONTENT = {"org.example:one:1.0": b"the first jar", "org.example:two:2.0": b"the second jar"}


class Handler(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


@pytest.fixture
def locked() -> list[LockedJar]:
    return [LockedJar(hashlib.sha256(data).hexdigest(), len(data), name) for name, data in CONTENT.items()]


@pytest.fixture
def served(tmp_path: Path, locked: list[LockedJar]) -> Path:
    """The root of a Maven repository that holds the jars."""
    root = tmp_path / "served"
    for jar in locked:
        (root / jar.path).parent.mkdir(parents=True)
        (root / jar.path).write_bytes(CONTENT[jar.coordinates])
    return root


@pytest.fixture(autouse=True)
def repository(served: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[str]:
    """Autouse: no test of this module may reach Maven Central, or the user's own repository."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(served)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    address = f"http://127.0.0.1:{server.server_address[1]}"
    monkeypatch.setenv(jars.REPOSITORY_VARIABLE, address)
    monkeypatch.setenv("M2_REPO", str(tmp_path / "m2"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    yield address
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "cache", tmp_path / "private")


@pytest.fixture
def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def test_the_lock_names_every_jar_once() -> None:
    found = jars.locked_jars()
    assert found[0].coordinates == f"org.apache.kafka:kafka_2.13:{jars.KAFKA_VERSION}"
    assert len({jar.file_name for jar in found}) == len(found) > 40
    assert all(len(jar.sha256) == 64 and jar.size_bytes > 0 for jar in found)


def test_jars_are_downloaded_in_class_path_order(cache: Cache, locked: list[LockedJar]) -> None:
    paths = provide_jars(cache, Silence(), jars=locked)
    assert [path.name for path in paths] == ["one-1.0.jar", "two-2.0.jar"]
    assert [path.read_bytes() for path in paths] == list(CONTENT.values())


def test_warm_jars_need_no_repository(
    cache: Cache, locked: list[LockedJar], monkeypatch: pytest.MonkeyPatch, closed_port: int
) -> None:
    first = provide_jars(cache, Silence(), jars=locked)
    monkeypatch.setenv(jars.REPOSITORY_VARIABLE, f"http://127.0.0.1:{closed_port}")
    assert provide_jars(cache, Silence(), jars=locked) == first


def test_a_truncated_jar_in_the_cache_is_fetched_again(cache: Cache, locked: list[LockedJar]) -> None:
    first = provide_jars(cache, Silence(), jars=locked)
    first[0].write_bytes(b"the fir")
    assert provide_jars(cache, Silence(), jars=locked)[0].read_bytes() == b"the first jar"


def test_out_of_reach_says_what_was_tried_and_what_to_do(
    cache: Cache, locked: list[LockedJar], monkeypatch: pytest.MonkeyPatch, closed_port: int
) -> None:
    monkeypatch.setenv(jars.REPOSITORY_VARIABLE, f"http://127.0.0.1:{closed_port}")
    with pytest.raises(JarsUnreachable) as raised:
        provide_jars(cache, Silence(), jars=locked)
    message = str(raised.value)
    assert f"http://127.0.0.1:{closed_port}/org/example/" in message
    assert "Connection refused" in message
    assert "AIRPROOF_MAVEN_REPOSITORY" in message
    assert "\n" not in message


@pytest.fixture
def no_web_server(listening: Listening) -> Iterator[str]:
    """The address of one who speaks no HTTP."""
    with listening(b"SSH-2.0-OpenSSH_9.2\r\n") as server:
        yield f"http://{server}"


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("repo.example.com/maven2", "unknown url type"),
        ("http://localhost:abc/maven2", "nonnumeric port: 'abc'"),
        ("http://.example/maven2", "label empty or too long"),
        (None, "BadStatusLine.*SSH-2"),
    ],
)
def test_an_address_that_is_no_repository_is_out_of_reach(
    cache: Cache,
    locked: list[LockedJar],
    monkeypatch: pytest.MonkeyPatch,
    no_web_server: str,
    address: str | None,
    reason: str,
) -> None:
    monkeypatch.setenv(jars.REPOSITORY_VARIABLE, address or no_web_server)
    assert jars.repository_answers() is None
    with pytest.raises(JarsUnreachable, match=rf"^cannot download .*: .*{reason}.*; connect") as raised:
        provide_jars(cache, Silence(), jars=locked)
    assert "\n" not in str(raised.value)


def test_a_jar_that_the_repository_lacks_is_out_of_reach(cache: Cache, locked: list[LockedJar], served: Path) -> None:
    (served / locked[1].path).unlink()
    with pytest.raises(JarsUnreachable, match=r"two-2\.0\.jar: .*not found"):
        provide_jars(cache, Silence(), jars=locked)


def test_a_wrong_checksum_is_one_clear_line_and_nothing_is_kept(
    cache: Cache, locked: list[LockedJar], served: Path
) -> None:
    (served / locked[0].path).write_bytes(b"something else")
    with pytest.raises(CacheError) as raised:
        provide_jars(cache, Silence(), jars=locked)
    message = str(raised.value)
    assert message.startswith("one-1.0.jar from http://127.0.0.1:")
    assert f"expected SHA-256 {locked[0].sha256}" in message
    assert hashlib.sha256(b"something else").hexdigest() in message
    assert "\n" not in message
    assert cache.find(jars.KIND, jars.jars_key(locked)) is None


def test_the_machines_own_maven_repository_serves_what_is_right_in_it(
    cache: Cache, locked: list[LockedJar], served: Path, tmp_path: Path
) -> None:
    for jar, content in zip(locked, [b"the first jar", b"wrong"], strict=True):
        local = tmp_path / "m2" / jar.path
        local.parent.mkdir(parents=True)
        local.write_bytes(content)
    (served / locked[0].path).unlink()
    paths = provide_jars(cache, Silence(), jars=locked)
    assert [path.read_bytes() for path in paths] == list(CONTENT.values())


def test_a_mirror_of_central_is_read_from_mavens_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(jars.REPOSITORY_VARIABLE)
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    assert jars.repository() == jars.MAVEN_CENTRAL
    settings = tmp_path / ".m2" / "settings.xml"
    settings.parent.mkdir()
    settings.write_text(
        '<settings xmlns="http://maven.apache.org/SETTINGS/1.0.0"><mirrors><mirror><id>ours</id>'
        "<mirrorOf>central</mirrorOf><url>https://mirror.example/maven/</url></mirror></mirrors></settings>"
    )
    assert jars.repository() == "https://mirror.example/maven"
