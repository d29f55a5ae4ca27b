"""The start archive of the JVM: halves the time a broker takes to come up, made once per machine in the background.

Java 17 to 24 write a class-data archive, Java 25 and newer an AOT cache, both from a training run that starts, works
a little and exits cleanly. The training run is a process of the supervisor at the lowest priority; nothing waits
for it until the environment closes, and then not for long.
"""

from __future__ import annotations

import signal
import threading
from pathlib import Path

from airproof.environment.topology import Endpoint
from airproof.errors import AirproofError
from airproof.platform.driver import Topic
from airproof.providers.native import kafka
from airproof.providers.native.jvm import FIRST_WITH_AOT_CACHE, Java
from airproof.providers.native.kafka import Broker
from airproof.providers.native.prepared import Cache, content_key
from airproof.providers.native.readiness import await_ready, kafka_probe
from airproof.providers.native.topics import create_topics
from airproof.supervision import ProcessSpec, Supervisor

KIND = "kafka-start-archives"
FORMAT = "1"
FILE = "kafka.archive"
GROUP = "start-archive"
NEEDS_BYTES = 200 * 2**20
TRAINING_TIMEOUT_S = 120.0
LOOPBACK = "127.0.0.1"
ONE_COMPILER = "-XX:CICompilerCount=1"
"""With an archive little is left to compile; a second compiler would only compete with the rest that starts."""
LOWEST_PRIORITY = ("nice", "-n", "19")


def archive_flags(cache: Cache, broker: Broker) -> tuple[str, ...]:
    """The flags that start the broker from its archive, or none if there is no archive."""
    if broker.java is None:
        return ()
    found = cache.find(KIND, archive_key(broker))
    if found is None:
        return ()
    reads, _ = _names(broker.java)
    # Where the archive cannot be used, Java starts without it; that is `-Xshare:auto` by another name since Java 25.
    unless_unusable = "-XX:AOTMode=auto" if broker.java.major >= FIRST_WITH_AOT_CACHE else "-Xshare:auto"
    return (f"-XX:{reads}={found / FILE}", unless_unusable, ONE_COMPILER, "-Xlog:disable", "-Xlog:all=error:stderr")


def archive_key(broker: Broker) -> str:
    """An archive fits one Java, one class path with its time stamps, and one set of flags."""
    if broker.java is None:
        raise ValueError(f"{broker.source} runs on no Java")
    java = broker.java.executable
    stamps = [f"{path}:{path.stat().st_mtime_ns}:{path.stat().st_size}" for path in (java, *broker.class_path)]
    return content_key(FORMAT, broker.java.version, *kafka.JVM_FLAGS, *stamps)


def _names(java: Java) -> tuple[str, str]:
    """The options that read and that write the archive."""
    if java.major >= FIRST_WITH_AOT_CACHE:
        return "AOTCache", "AOTCacheOutput"
    return "SharedArchiveFile", "ArchiveClassesAtExit"


class Training:
    """Makes the archive in the background, if it is missing.

    Attributes:
        failure: why there is no archive after all; a run does not fail for it.
    """

    def __init__(self, cache: Cache, supervisor: Supervisor, broker: Broker, *, after: str) -> None:
        """`after` is the fact that is waited for: the run has come up."""
        self._cache = cache
        self._supervisor = supervisor
        self._broker = broker
        self._after = after
        self._thread: threading.Thread | None = None
        self._begun = threading.Event()
        self.failure: AirproofError | None = None

    def start(self) -> None:
        """Begins when the run has come up, unless the archive is there or the broker has none."""
        if self._broker.java is not None and self._cache.find(KIND, archive_key(self._broker)) is None:
            self._thread = threading.Thread(target=self._provide, name="airproof-start-archive", daemon=True)
            self._thread.start()

    @property
    def running(self) -> bool:
        """Whether it has begun and not ended."""
        return self._begun.is_set() and self._thread is not None and self._thread.is_alive()

    def finish(self, timeout_s: float) -> None:
        """Waits for the archive that long if it is being made, then gives it up: the next run will make it."""
        if self._thread is None or not self._begun.is_set():
            return
        self._thread.join(timeout_s)
        if self._thread.is_alive() and any(group.name == GROUP for group in self._supervisor.groups()):
            self._supervisor.remove(GROUP)
            self._thread.join(timeout_s)

    def _provide(self) -> None:
        try:
            self._supervisor.get(self._after, timeout_s=TRAINING_TIMEOUT_S)
            self._begun.set()
            self._cache.provide(KIND, archive_key(self._broker), self._train, needs_bytes=NEEDS_BYTES)
        except AirproofError as error:
            self.failure = error

    def _train(self, target: Path) -> None:
        supervisor = self._supervisor
        supervisor.lease(GROUP)
        try:
            endpoint, controller = (Endpoint(LOOPBACK, port) for port in supervisor.take_ports(GROUP, 2))
            spec = self._training_spec(endpoint, controller, target / FILE)
            supervisor.spawn(spec)
            await_ready(supervisor, GROUP, {spec.name: kafka_probe(endpoint)}, timeout_s=TRAINING_TIMEOUT_S)
            create_topics(str(endpoint), "training.", [Topic("one"), Topic("two", 3)])
            supervisor.signal(spec.name, signal.SIGTERM)
            supervisor.wait_exit(spec.name, TRAINING_TIMEOUT_S)
            if not (target / FILE).is_file():
                raise AirproofError(f"{spec.name} wrote no archive")
        finally:
            supervisor.remove(GROUP)

    def _training_spec(self, endpoint: Endpoint, controller: Endpoint, output: Path) -> ProcessSpec:
        java = self._broker.java
        if java is None:
            raise ValueError(f"{self._broker.source} runs on no Java")
        flags = (f"-XX:{_names(java)[1]}={output}",)
        spec = kafka.broker_spec(
            self._broker, self._supervisor, GROUP, endpoint, controller, expendable=False, java_flags=flags
        )
        argv = (*LOWEST_PRIORITY, *spec.argv)
        return ProcessSpec(spec.name, spec.group, argv, spec.environment, spec.directory)
