"""What every process of the platform runs with: its import path and little else of this process's environment."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from airproof.environment.model import Environment
from airproof.errors import ProviderUnavailable
from airproof.platform.driver import Driver
from airproof.providers.native.run_limits import unsupported_limits
from airproof.supervision import Supervisor

SINK_ENTRY = "airproof.providers.native.smtp_sink:main"
PASSED_ON = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "TZ", "LD_LIBRARY_PATH")


def base_environment(environment: Environment) -> dict[str, str]:
    """The environment of the zygote and the migration, and of every service before the driver adds to it.

    An overlay is imported before everything else, and leaves no byte code that could outlive a change of it.
    """
    passed = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    # Absolute, for processes of the platform work elsewhere.
    paths = [str(Path(path).absolute()) for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]
    if environment.platform_path is not None:
        paths.insert(0, str(environment.platform_path.resolve()))
        passed["PYTHONDONTWRITEBYTECODE"] = "1"
    if paths:
        passed["PYTHONPATH"] = os.pathsep.join(paths)
    return {"LANG": "C.UTF-8", **passed, "PYTHONUNBUFFERED": "1"}


def spawn_zygote(supervisor: Supervisor, name: str, group: str, driver: Driver, environment: Environment) -> None:
    """Starts the process that all services and mail sinks of the run are forked from."""
    sink = SINK_ENTRY.partition(":")[0]
    supervisor.spawn_zygote(name, group, [*driver.preload, sink], base_environment(environment))


def demand_supported(environment: Environment) -> None:
    """Refuses what native processes do not offer, with the field that asks for it.

    Raises:
        ProviderUnavailable: the environment asks for it.
    """
    asked = unsupported(environment)
    if asked:
        raise ProviderUnavailable(
            f"environment {environment.name!r} asks for what the native provider does not have: {'; '.join(asked)}; "
            "use provider: hosts, or correct the environment file"
        )


def unsupported(environment: Environment) -> Sequence[str]:
    """The fields that ask for what native processes do not offer."""
    backing = environment.backing
    asked = {
        f"backing.kafka.brokers: {backing.kafka.brokers}": backing.kafka.brokers > 1,
        f"backing.redis.replicas: {backing.redis.replicas}": backing.redis.replicas > 0,
        f"backing.redis.sentinels: {backing.redis.sentinels}": backing.redis.sentinels > 0,
        "security.tls: true": environment.security.tls,
        "security.encrypted_at_rest: true": environment.security.encrypted_at_rest,
        "monitoring: full": environment.monitoring.value != "none",
        **unsupported_limits(environment.limits),
    }
    several = [name for name, options in environment.services.items() if options.instances > 1]
    return [field for field, wanted in asked.items() if wanted] + [f"services.{name}.instances" for name in several]
