"""Bringing a native environment up: the supervisor first, then everything that its cells share, at once."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path

from airproof.environment.capabilities import ProcessStatus
from airproof.environment.model import Environment
from airproof.environment.topology import Endpoint
from airproof.errors import NotReady, SupervisorGone, UsageError
from airproof.platform.driver import Driver
from airproof.providers.native import kafka
from airproof.providers.native.description import DATABASE_USER, LOOPBACK, SHARED, ZYGOTE
from airproof.providers.native.findings import MEMORY
from airproof.providers.native.identity import fingerprint_of, label_of
from airproof.providers.native.kafka import Broker, provide_broker
from airproof.providers.native.plan import Plan
from airproof.providers.native.platform_processes import base_environment, demand_supported, spawn_zygote
from airproof.providers.native.postgres import find_postgres
from airproof.providers.native.postgres_cluster import provide_cluster
from airproof.providers.native.prepared import Cache, cache_root
from airproof.providers.native.provision import FIRST_CELL, NativeProvision
from airproof.providers.native.redis import find_redis
from airproof.providers.native.run_limits import limit_run
from airproof.providers.native.start_archive import Training, archive_flags
from airproof.providers.native.together import together
from airproof.providers.protocol import Progress
from airproof.supervision import Supervisor
from airproof.supervision.runs import one_at_a_time
from airproof.waiting import wait_until

PLAN = "plan"
FINGERPRINT = "fingerprint"
OPENING = "opening"
PRIVATE_CACHE = "private-cache"
OPENING_TIMEOUT_S = 300.0


def open_environment(environment: Environment, driver: Driver, *, keep: bool, progress: Progress) -> NativeProvision:
    """The environment, up: a kept one if there is one that is still the same, else a new one.

    Kafka and the zygote may still be starting; who leases a cell waits for them.
    """
    demand_supported(environment)
    keep = keep or environment.keep
    with ExitStack() as alone:
        if keep:
            alone.enter_context(one_at_a_time(label_of(environment)))
        kept = find_kept(environment, driver, replace=keep, progress=progress)
        if kept is not None:
            return NativeProvision(kept[0], kept[1], environment, driver, progress)
        supervisor = Supervisor.start(label=label_of(environment), keep=keep)
        try:
            supervisor.lease(OPENING, vital=True)
            alone.close()
            notes = limit_run(environment.limits, supervisor.process_id, supervisor.run_directory.name)
            plan, training = Opening(supervisor, environment, driver, progress, notes).run()
            supervisor.put(FINGERPRINT, fingerprint_of(environment, driver))
            supervisor.put(PLAN, plan.to_json())
            supervisor.remove(OPENING)
        except BaseException:
            supervisor.stop()
            raise
    training.start()
    return NativeProvision(supervisor, plan, environment, driver, progress, training=training, ends_with_us=not keep)


def attach_environment(environment: Environment, driver: Driver, progress: Progress) -> NativeProvision | None:
    """The kept environment, whatever has changed since it was opened; None if there is none that is up.

    What is left of one whose opening was killed is removed.
    """
    with one_at_a_time(label_of(environment)):
        supervisor = Supervisor.find(label_of(environment))
        if supervisor is None:
            return None
        try:
            plan = _plan(supervisor, progress)
            if plan is None:
                supervisor.stop()
                return None
        except SupervisorGone:
            # Whoever was bringing it up has failed or was killed.
            supervisor.close()
            return None
    return NativeProvision(supervisor, plan, environment, driver, progress)


def join_environment(environment: Environment, driver: Driver, handle: str, progress: Progress) -> NativeProvision:
    """The environment that the first process of the run has opened."""
    supervisor = Supervisor.attach(Path(handle))
    plan = Plan.from_json(supervisor.get(PLAN, timeout_s=OPENING_TIMEOUT_S))
    return NativeProvision(supervisor, plan, environment, driver, progress)


def find_kept(
    environment: Environment, driver: Driver, *, replace: bool, progress: Progress
) -> tuple[Supervisor, Plan] | None:
    """The kept environment if it is healthy and the same; another one of that label makes room if `replace`.

    Raises:
        UsageError: it would have to make room, and somebody is using it.
    """
    supervisor = Supervisor.find(label_of(environment))
    if supervisor is None:
        return None
    try:
        plan = _plan(supervisor, progress)
        if plan is not None and plan.is_whole and _is_the_same(supervisor, environment, driver):
            return supervisor, plan
        if replace:
            if any(group.leased for group in supervisor.groups()):
                supervisor.close()
                name = environment.name
                raise UsageError(
                    f"the environment {name!r} that is up is not the same any more, and somebody is using it;"
                    f" wait for them, or end it: airproof down {name}"
                )
            with progress.step("ending the kept environment, which is not the same any more"):
                supervisor.stop()
    except SupervisorGone:
        # Whoever was bringing it up has failed, and has said why, or was killed.
        pass
    supervisor.close()
    return None


def _plan(supervisor: Supervisor, progress: Progress) -> Plan | None:
    """The plan of a kept environment; None if the process that opened it did not live to the end."""
    if _is_being_opened(supervisor):
        with progress.step("waiting for another process, which is bringing the environment up"):
            wait_until(
                lambda: not _is_being_opened(supervisor),
                timeout_s=OPENING_TIMEOUT_S,
                describe="the other process to bring the environment up",
            )
    found = supervisor.get(PLAN)
    return Plan.from_json(found) if found else None


def _is_being_opened(supervisor: Supervisor) -> bool:
    return any(group.name == OPENING and group.leased for group in supervisor.groups())


def _is_the_same(supervisor: Supervisor, environment: Environment, driver: Driver) -> bool:
    return _shared_run(supervisor) and supervisor.get(FINGERPRINT) == fingerprint_of(environment, driver)


def _shared_run(supervisor: Supervisor) -> bool:
    return all(state.status is ProcessStatus.RUNNING for state in supervisor.states(SHARED))


class Opening:
    """Starts what the cells of a run share and prepares what they are made from."""

    def __init__(
        self,
        supervisor: Supervisor,
        environment: Environment,
        driver: Driver,
        progress: Progress,
        notes: Iterable[str] = (),
    ) -> None:
        self._supervisor = supervisor
        self._environment = environment
        self._driver = driver
        self._progress = progress
        self._postgres = find_postgres(environment.backing.postgres.source)
        self._redis = find_redis(environment.backing.redis.source)
        self._cache = Cache(cache_root(), supervisor.make_directory(PRIVATE_CACHE, "cache"))
        self._notes = list(notes)
        self._cluster: Path | None = None
        self._shared: tuple[Broker, Endpoint, tuple[str, ...]] | None = None

    def run(self) -> tuple[Plan, Training]:
        """Returns when Kafka and the zygote have been started and the cluster is prepared."""
        together(self._start_zygote, self._start_kafka, self._prepare_cluster, give_up=self._give_up)
        if self._cluster is None or self._shared is None:
            raise NotReady("the environment was given up while it was coming up")
        broker, endpoint, flags = self._shared
        plan = Plan(
            self._postgres, self._cluster, self._redis, broker, endpoint, flags, (*self._cache.notes, *self._notes)
        )
        return plan, Training(self._cache, self._supervisor, broker, after=FIRST_CELL)

    def _give_up(self) -> None:
        """Whatever the other tasks have running ends, and so do they."""
        for group in self._supervisor.groups():
            self._supervisor.remove(group.name)

    def _start_zygote(self) -> None:
        spawn_zygote(self._supervisor, ZYGOTE, SHARED, self._driver, self._environment)

    def _start_kafka(self) -> None:
        choice = self._environment.backing.kafka.source
        broker = provide_broker(self._cache, self._supervisor, choice, self._progress)
        flags = archive_flags(self._cache, broker)
        endpoint, controller = (Endpoint(LOOPBACK, port) for port in self._supervisor.take_ports(SHARED, 2))
        spec = kafka.broker_spec(
            broker, self._supervisor, SHARED, endpoint, controller, expendable=False, java_flags=flags
        )
        self._supervisor.spawn(spec)
        self._shared = (broker, endpoint, flags)
        if MEMORY.is_dir() and not Path(spec.directory or "").is_relative_to(MEMORY):
            self._notes.append(f"{MEMORY} is too small for the data directories; they lie on disk, which is slower")

    def _prepare_cluster(self) -> None:
        self._cluster = provide_cluster(
            self._cache,
            self._supervisor,
            self._postgres,
            self._driver,
            user=DATABASE_USER,
            platform_environment=base_environment(self._environment),
            platform_path=self._environment.platform_path,
            progress=self._progress,
        )
