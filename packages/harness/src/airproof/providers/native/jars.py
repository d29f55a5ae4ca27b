"""Apache Kafka's jars: named and sealed by `kafka.lock`, fetched in pure Python, kept in the cache.

A jar is taken from the machine's own Maven repository if it lies there with the right checksum, else downloaded from
the repository that `AIRPROOF_MAVEN_REPOSITORY` names, the mirror of Maven Central in `~/.m2/settings.xml`, or Maven
Central itself.
Proxies and certificates are those of the environment (`HTTPS_PROXY`, `SSL_CERT_FILE`).
"""

from __future__ import annotations

import hashlib
import os
import urllib.error
import urllib.request
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from http.client import HTTPException
from importlib.resources import files
from pathlib import Path
from xml.etree import ElementTree

from airproof.errors import CacheError, ProviderUnavailable
from airproof.providers.native.prepared import Cache, content_key
from airproof.providers.native.together import together
from airproof.providers.protocol import Progress

KAFKA_VERSION = "4.4.0"
REPOSITORY_VARIABLE = "AIRPROOF_MAVEN_REPOSITORY"
MAVEN_CENTRAL = "https://repo.maven.apache.org/maven2"
KIND = "kafka-jars"
DOWNLOADS_AT_ONCE = 8
ATTEMPTS = 3
SOCKET_TIMEOUT_S = 20.0
REACHABLE_TIMEOUT_S = 5.0
NO_ANSWER = (OSError, HTTPException, ValueError)
"""Nobody there, one who speaks no HTTP, an address that is none."""


class JarsUnreachable(ProviderUnavailable):
    """No Maven repository answers: the stand-in may serve."""


@dataclass(frozen=True, slots=True)
class LockedJar:
    """One line of the lock.

    Attributes:
        coordinates: `group:artifact:version`.
    """

    sha256: str
    size_bytes: int
    coordinates: str

    @property
    def file_name(self) -> str:
        """As in a Maven repository: `artifact-version.jar`."""
        _, artifact, version = self.coordinates.split(":")
        return f"{artifact}-{version}.jar"

    @property
    def path(self) -> str:
        """The jar's path below the root of a Maven repository."""
        group, artifact, version = self.coordinates.split(":")
        return f"{group.replace('.', '/')}/{artifact}/{version}/{self.file_name}"


@cache
def locked_jars() -> tuple[LockedJar, ...]:
    """The jars of the lock, in class path order."""
    lines = files(__package__).joinpath("kafka.lock").read_text().splitlines()
    return tuple(LockedJar(sha256, int(size), coordinates) for sha256, size, coordinates in map(str.split, lines))


def jars_key(jars: Sequence[LockedJar]) -> str:
    """Names the set of jars in the cache."""
    return f"{KAFKA_VERSION}-{content_key(*(jar.sha256 for jar in jars))}"


def jars_cached(cache: Cache) -> bool:
    """Whether nothing has to be downloaded."""
    return cache.find(KIND, jars_key(locked_jars())) is not None


def provide_jars(cache: Cache, progress: Progress, *, jars: Sequence[LockedJar] | None = None) -> list[Path]:
    """The jars as files of the cache, in class path order.

    Raises:
        JarsUnreachable: they are not cached and no repository answers.
        CacheError: what was downloaded is not what the lock names, or the cache cannot be written.
    """
    jars = jars or locked_jars()
    needs_bytes = 2 * sum(jar.size_bytes for jar in jars)

    def build(target: Path) -> None:
        with progress.step(f"Apache Kafka {KAFKA_VERSION}: {len(jars)} jars, once"):
            _fetch_all(jars, target)

    directory = cache.provide(KIND, jars_key(jars), build, needs_bytes=needs_bytes)
    return [directory / jar.file_name for jar in jars]


def repository_answers() -> str | None:
    """The address of the repository that would be used if it answers."""
    jar = locked_jars()[0]
    address = repository()
    try:
        request = urllib.request.Request(f"{address}/{jar.path}", method="HEAD")
        with urllib.request.urlopen(request, timeout=REACHABLE_TIMEOUT_S):
            return address
    except urllib.error.HTTPError as error:
        error.close()
        return None
    except NO_ANSWER:
        return None


def repository() -> str:
    """The Maven repository that jars are downloaded from."""
    chosen = os.environ.get(REPOSITORY_VARIABLE) or _mirror_of_central(Path.home() / ".m2" / "settings.xml")
    return (chosen or MAVEN_CENTRAL).rstrip("/")


def _mirror_of_central(settings: Path) -> str | None:
    try:
        root = ElementTree.parse(settings).getroot()
    except (OSError, ElementTree.ParseError):
        return None
    for mirror in root.iterfind("{*}mirrors/{*}mirror"):
        if mirror.findtext("{*}mirrorOf", "").strip() in {"*", "central", "external:*"}:
            return mirror.findtext("{*}url", "").strip() or None
    return None


def _fetch_all(jars: Sequence[LockedJar], target: Path) -> None:
    address = repository()
    waiting = deque(jars)

    def fetch_some() -> None:
        while True:
            try:
                jar = waiting.popleft()
            except IndexError:
                return
            _fetch(jar, address, target / jar.file_name)

    together(*[fetch_some] * DOWNLOADS_AT_ONCE, give_up=waiting.clear)


def _fetch(jar: LockedJar, address: str, target: Path) -> None:
    local = _local_repository() / jar.path
    content = local.read_bytes() if local.is_file() else b""
    if hashlib.sha256(content).hexdigest() != jar.sha256:
        content = _download(f"{address}/{jar.path}")
        found = hashlib.sha256(content).hexdigest()
        if found != jar.sha256:
            raise CacheError(
                f"{jar.file_name} from {address} is not the one that is locked: expected SHA-256 {jar.sha256}, "
                f"found {found} ({len(content)} bytes, expected {jar.size_bytes}); use another repository "
                f"({REPOSITORY_VARIABLE}) or report it"
            )
    target.write_bytes(content)


def _local_repository() -> Path:
    return Path(os.environ.get("M2_REPO") or Path.home() / ".m2" / "repository")


def _download(url: str) -> bytes:
    last: Exception | None = None
    for _ in range(ATTEMPTS):
        try:
            with urllib.request.urlopen(url, timeout=SOCKET_TIMEOUT_S) as answer:
                content: bytes = answer.read()
                return content
        except urllib.error.HTTPError as error:
            error.close()
            last = error
            if error.code < 500:
                break
        except NO_ANSWER as error:
            last = error
    # What a server says that speaks no HTTP may have several lines, and means nothing without the name of the error.
    reason = repr(last) if isinstance(last, HTTPException) else getattr(last, "reason", last)
    raise JarsUnreachable(
        f"cannot download {url}: {reason}; connect the machine, set {REPOSITORY_VARIABLE} to a "
        f"mirror of Maven Central, or KAFKA_HOME to an installed Kafka"
    ) from last
