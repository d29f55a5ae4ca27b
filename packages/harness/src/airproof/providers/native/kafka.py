"""Apache Kafka (KRaft, one node): the class path, the settings, the formatted log directory, the process.

Kafka is started once per run and shared by its cells, or once more in a cell that asks for a broker of its own.
"""

from __future__ import annotations

import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from airproof.environment.model import KafkaSource
from airproof.environment.topology import Endpoint
from airproof.errors import ProviderUnavailable
from airproof.providers.native.commands import PLAIN_ENVIRONMENT, run_to_end
from airproof.providers.native.jars import KAFKA_VERSION, JarsUnreachable, provide_jars
from airproof.providers.native.jvm import Java, find_java
from airproof.providers.native.prepared import Cache, content_key
from airproof.providers.native.stand_in import find_stand_in, stand_in_argv
from airproof.providers.protocol import Progress
from airproof.supervision import ProcessSpec, Supervisor

NODE = "kafka"
HOME_VARIABLE = "KAFKA_HOME"
KIND = "kafka-formatted"
FORMAT = "1"
GROUP = "prepare-kafka"
ROOM_MB = 512
CLUSTER_ID = "QWlycHJvb2ZBaXJwcm9vZg"
FORMAT_TIMEOUT_S = 60.0
FORMATTED_BYTES = 2**20
SEALED = ("meta.properties",)
ENVIRONMENT = {**PLAIN_ENVIRONMENT, "LC_ALL": "C.UTF-8"}
"""Java takes a path whose letters its locale does not know for one that is not there."""

SETTINGS = {
    "process.roles": "broker,controller",
    "node.id": "1",
    "listener.security.protocol.map": "BROKER:PLAINTEXT,CONTROLLER:PLAINTEXT",
    "inter.broker.listener.name": "BROKER",
    "controller.listener.names": "CONTROLLER",
    "auto.create.topics.enable": "false",
    "num.partitions": "1",
    "default.replication.factor": "1",
    "min.insync.replicas": "1",
    "offsets.topic.replication.factor": "1",
    "offsets.topic.num.partitions": "4",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "transaction.state.log.num.partitions": "2",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    "share.coordinator.state.topic.num.partitions": "1",
    "group.initial.rebalance.delay.ms": "0",
    "group.min.session.timeout.ms": "500",
    "broker.heartbeat.interval.ms": "200",
    "file.delete.delay.ms": "100",
    "log.index.size.max.bytes": "1048576",
    "log.cleaner.dedupe.buffer.size": "4194304",
    "num.network.threads": "1",
    "num.io.threads": "2",
    "metric.reporters": "",
}

UNUSED_ENDPOINTS = (Endpoint("127.0.0.1", 1), Endpoint("127.0.0.1", 2))
"""Formatting wants addresses and uses none."""

SESSION_MS = "9000"
"""Of a broker that nobody kills: on a machine that is short of cores it is not taken for dead."""
EXPENDABLE_SESSION_MS = "1500"
"""Of a broker that tests kill: it comes back only when its old registration has expired."""

JVM_FLAGS = ("-Xms96m", "-Xmx384m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")
QUIET_FLAGS = ("-XX:-UsePerfData", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-Dlog4j2.level=WARN")


@dataclass(frozen=True, slots=True)
class Broker:
    """How to run a broker: Apache Kafka on Java, or the stand-in.

    Attributes:
        source: for the reader: `Apache Kafka 4.4.0 from jars, installed Java 17.0.15`.
        java: None for the stand-in, as are the fields that follow.
        class_path: every jar, in one order; start archives depend on it.
        formatted: the prepared log directory.
    """

    source: str
    stand_in: str | None = None
    java: Java | None = None
    class_path: tuple[Path, ...] = ()
    formatted: Path | None = None


def provide_broker(cache: Cache, supervisor: Supervisor, choice: KafkaSource, progress: Progress) -> Broker:
    """The first broker there is: KAFKA_HOME, the jars, the stand-in; or what the environment insists on.

    Raises:
        ProviderUnavailable: there is none, or there is no Java for it.
        CacheError: the jars are not what the lock names, or cannot be kept.
    """
    if choice is KafkaSource.STAND_IN:
        return _stand_in()
    home = kafka_home()
    if choice is KafkaSource.INSTALLED and home is None:
        raise ProviderUnavailable(
            f"the environment insists on an installed Kafka; set {HOME_VARIABLE} to its directory"
        )
    java = find_java()
    if home is not None and choice is not KafkaSource.JARS:
        version, class_path = home
        return _formatted(cache, supervisor, progress, java, class_path, f"Apache Kafka {version} of {HOME_VARIABLE}")
    try:
        jars = provide_jars(cache, progress)
    except JarsUnreachable as error:
        if choice is KafkaSource.JARS:
            raise
        try:
            return _stand_in()
        except ProviderUnavailable as missing:
            raise ProviderUnavailable(f"{error}; {missing}") from error
    return _formatted(cache, supervisor, progress, java, tuple(jars), f"Apache Kafka {KAFKA_VERSION} from jars")


def kafka_home() -> tuple[str, tuple[Path, ...]] | None:
    """Version and class path of the installation that KAFKA_HOME names, if it is set.

    Raises:
        ProviderUnavailable: it names something else.
    """
    chosen = os.environ.get(HOME_VARIABLE)
    if not chosen:
        return None
    jars = tuple(sorted((Path(chosen).expanduser().resolve() / "libs").glob("*.jar")))
    versions = [found[1] for jar in jars if (found := re.fullmatch(r"kafka_2\.\d+-([0-9.]+)\.jar", jar.name))]
    if not versions:
        raise ProviderUnavailable(f"{HOME_VARIABLE}={chosen} holds no libs/kafka_2.13-….jar; unset it or correct it")
    return versions[0], jars


def _stand_in() -> Broker:
    executable, source = find_stand_in()
    return Broker(source=source, stand_in=str(executable))


def _formatted(
    cache: Cache, supervisor: Supervisor, progress: Progress, java: Java, class_path: tuple[Path, ...], source: str
) -> Broker:
    key = content_key(FORMAT, repr(sorted(SETTINGS.items())), *(jar.name for jar in class_path))

    def build(target: Path) -> None:
        try:
            with progress.step("formatting Kafka's log directory, once"):
                _format(supervisor, java, class_path, target)
        finally:
            supervisor.remove(GROUP)

    formatted = cache.provide(KIND, key, build, hashed=SEALED, needs_bytes=FORMATTED_BYTES)
    return Broker(f"{source}, {java.source}", java=java, class_path=class_path, formatted=formatted)


def _format(supervisor: Supervisor, java: Java, class_path: tuple[Path, ...], target: Path) -> None:
    directory = supervisor.make_directory(GROUP, "format")
    logs = directory / "logs"
    properties = _write_properties(directory, logs, *UNUSED_ENDPOINTS, SESSION_MS)
    argv = (*_java_argv(java, class_path), "kafka.tools.StorageTool", "format", "-t", CLUSTER_ID, "-c", str(properties))
    spec = ProcessSpec(f"{GROUP}/format", GROUP, argv, dict(ENVIRONMENT), directory=str(directory))
    run_to_end(supervisor, spec, timeout_s=FORMAT_TIMEOUT_S)
    shutil.copytree(logs, target, dirs_exist_ok=True)


def broker_spec(
    broker: Broker,
    supervisor: Supervisor,
    group: str,
    endpoint: Endpoint,
    controller: Endpoint,
    *,
    expendable: bool,
    java_flags: tuple[str, ...] = (),
) -> ProcessSpec:
    """A broker process with a new log directory in memory.

    Args:
        expendable: whether tests may kill it.
    """
    directory = supervisor.make_directory(group, NODE, room_mb=ROOM_MB)
    if broker.stand_in is not None:
        argv = stand_in_argv(broker.stand_in, directory, endpoint)
    else:
        if broker.java is None or broker.formatted is None:
            raise ValueError(f"{broker} is neither Kafka nor the stand-in")
        logs = directory / "logs"
        shutil.copytree(broker.formatted, logs)
        session_ms = EXPENDABLE_SESSION_MS if expendable else SESSION_MS
        properties = _write_properties(directory, logs, endpoint, controller, session_ms)
        temporary = f"-Djava.io.tmpdir={directory}"
        argv = (*_java_argv(broker.java, broker.class_path, *java_flags, temporary), "kafka.Kafka", str(properties))
    return ProcessSpec(f"{group}/{NODE}", group, argv, dict(ENVIRONMENT), directory=str(directory))


def _java_argv(java: Java, class_path: tuple[Path, ...], *flags: str) -> tuple[str, ...]:
    path = os.pathsep.join(str(jar) for jar in class_path)
    return (str(java.executable), *JVM_FLAGS, *QUIET_FLAGS, *flags, "-cp", path)


def _write_properties(directory: Path, logs: Path, endpoint: Endpoint, controller: Endpoint, session_ms: str) -> Path:
    settings = {
        **SETTINGS,
        "broker.session.timeout.ms": session_ms,
        "log.dirs": str(logs),
        "listeners": f"BROKER://{endpoint},CONTROLLER://{controller}",
        "advertised.listeners": f"BROKER://{endpoint}",
        "controller.quorum.voters": f"1@{controller}",
    }
    properties = directory / "server.properties"
    text = "".join(f"{name}={value}\n" for name, value in settings.items())
    properties.write_text(text, encoding="latin-1", errors="backslashreplace")
    return properties
