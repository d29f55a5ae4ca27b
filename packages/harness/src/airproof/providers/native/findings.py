"""What an environment needs of this machine, found without changing anything."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

from airproof.environment.model import Environment, KafkaSource
from airproof.errors import ProviderUnavailable
from airproof.platform.driver import Driver
from airproof.providers.native import jars, jvm, postgres, redis, stand_in
from airproof.providers.native.kafka import HOME_VARIABLE, kafka_home
from airproof.providers.native.platform_processes import unsupported
from airproof.providers.native.prepared import Cache, cache_root
from airproof.providers.protocol import Finding
from airproof.supervision.kernel import has_name, user_namespaces_work

MEMORY = Path("/dev/shm")  # noqa: S108 - where data directories go; nothing is written here
CELL_MB = 300
BROKER_MB = 512


def find_all(environment: Environment, driver: Driver) -> list[Finding]:
    """One finding for each thing; the environment can come up if all are ok."""
    backing = environment.backing
    return [
        *(
            Finding("environment", ok=False, detail=f"{field} needs provider: hosts")
            for field in unsupported(environment)
        ),
        _source(
            "PostgreSQL", lambda: postgres.find_postgres(backing.postgres.source).source, postgres.REMEDY, "postgres"
        ),
        _source("Redis", lambda: redis.find_redis(backing.redis.source).source, redis.REMEDY, "redis"),
        *_kafka(backing.kafka.source),
        Finding("SMTP", ok=True, detail="aiosmtpd"),
        _platform(driver),
        _memory(environment),
        _user(),
        _disposable(environment),
    ]


def _source(what: str, find: Callable[[], str], remedy: str, extra: str) -> Finding:
    try:
        return Finding(what, ok=True, detail=find())
    except ProviderUnavailable as error:
        return Finding(what, ok=False, detail=str(error).partition(";")[0], remedy=remedy, extra=extra)


def _kafka(choice: KafkaSource) -> list[Finding]:
    if choice is KafkaSource.STAND_IN:
        return [_stand_in()]
    java = _source("Java", lambda: jvm.find_java().source, jvm.REMEDY, "jre")
    try:
        home = kafka_home()
    except ProviderUnavailable as error:
        return [java, Finding("Kafka", ok=False, detail=str(error), remedy=f"correct {HOME_VARIABLE}")]
    if home is not None and choice is not KafkaSource.JARS:
        return [java, Finding("Kafka", ok=True, detail=f"Apache Kafka {home[0]} of {HOME_VARIABLE}")]
    if choice is KafkaSource.INSTALLED:
        return [java, Finding("Kafka", ok=False, detail="none is installed", remedy=f"set {HOME_VARIABLE}")]
    named = f"Apache Kafka {jars.KAFKA_VERSION}"
    if jars.jars_cached(Cache(cache_root(), cache_root())):
        return [java, Finding("Kafka", ok=True, detail=f"{named}, jars in the cache")]
    address = jars.repository_answers()
    if address:
        return [java, Finding("Kafka", ok=True, detail=f"{named}, jars to be downloaded from {address}")]
    if choice is KafkaSource.AUTO:
        instead = _stand_in()
        if instead.ok:
            return [instead]
    detail = f"the jars of {named} are not in the cache and {jars.repository()} does not answer"
    remedy = f"set {jars.REPOSITORY_VARIABLE} to a mirror of Maven Central or {HOME_VARIABLE}; or {stand_in.REMEDY}"
    return [java, Finding("Kafka", ok=False, detail=detail, remedy=remedy, extra="stand-in")]


def _stand_in() -> Finding:
    return _source("Kafka", lambda: stand_in.find_stand_in()[1], stand_in.REMEDY, "stand-in")


def _platform(driver: Driver) -> Finding:
    missing = sorted({name for name in driver.preload if not _importable(name)})
    what = f"platform {driver.manifest.name}"
    if missing:
        return Finding(
            what, ok=False, detail=f"cannot import {', '.join(missing)}", remedy="install the platform's package"
        )
    return Finding(what, ok=True, detail=f"{len(driver.manifest.services)} services")


def _importable(module: str) -> bool:
    import importlib.util

    return importlib.util.find_spec(module.partition(".")[0]) is not None


def _memory(environment: Environment) -> Finding:
    needed_mb = BROKER_MB + CELL_MB * environment.workers
    free_mb = shutil.disk_usage(MEMORY).free // 2**20 if MEMORY.is_dir() else 0
    if free_mb >= needed_mb:
        return Finding(str(MEMORY), ok=True, detail=f"{free_mb} MB free")
    slow = f"{free_mb} MB free of {needed_mb} MB for {environment.workers} worker(s); what does not fit goes to disk"
    return Finding(str(MEMORY), ok=True, detail=slow, remedy=f"enlarge it (Docker: --shm-size {needed_mb}m)")


def _user() -> Finding:
    if os.getuid() != 0 and not has_name(os.getuid()):
        return _nameless()
    if os.getuid() != 0:
        return Finding("user", ok=True, detail=f"uid {os.getuid()}, nothing special needed")
    if user_namespaces_work():
        return Finding("user", ok=True, detail="root; PostgreSQL runs in a user namespace")
    return Finding("user", ok=True, detail="root without user namespaces; PostgreSQL runs as nobody")


def _nameless() -> Finding:
    what = f"uid {os.getuid()} has no name in /etc/passwd"
    if user_namespaces_work():
        return Finding("user", ok=True, detail=f"{what}; PostgreSQL runs in a user namespace, where it has one")
    return Finding("user", ok=False, detail=f"{what}, which PostgreSQL wants", remedy="add it to /etc/passwd")


def _disposable(environment: Environment) -> Finding:
    if environment.disposable:
        return Finding("disposable", ok=True, detail="everything in it may be broken and lost")
    return Finding(
        "disposable", ok=True, detail="not said, so destructive suites will refuse it", remedy="disposable: true"
    )
