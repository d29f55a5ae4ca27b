"""Kept environments: the label one is found by, and the fingerprint that says whether it is still the same."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path

from airproof.environment.model import Environment
from airproof.platform.driver import Driver
from airproof.providers.native.prepared import content_key

OF_THE_RUN_ONLY = {"description", "workers", "timeouts", "cleanup", "keep", "disposable"}
"""Fields that may change while an environment is up."""


def label_of(environment: Environment) -> str:
    """What the environment is called. An overlay makes it another one."""
    overlay = environment.platform_path
    return f"{environment.name}+{content_key(str(overlay.resolve()))}" if overlay else environment.name


def fingerprint_of(environment: Environment, driver: Driver) -> str:
    """Changes with everything that running processes would not notice: settings, and the platform's and our code."""
    settings = environment.model_dump_json(exclude=OF_THE_RUN_ONLY)
    return content_key(settings, *_stamps(environment, driver))


def _stamps(environment: Environment, driver: Driver) -> Iterator[str]:
    packages = {driver.migration.schema_package.partition(".")[0], __name__.partition(".")[0]}
    packages |= {service_entry.partition(".")[0] for service_entry in driver.preload}
    roots = [root for package in sorted(packages) for root in _package_directories(package)]
    if environment.platform_path is not None:
        roots.append(environment.platform_path.resolve())
    for root in roots:
        for source in sorted(root.rglob("*.py")):
            try:
                found = source.stat()
            except FileNotFoundError:  # an editor's lock, which is a link to nothing, or deleted meanwhile
                continue
            yield f"{source} {found.st_mtime_ns} {found.st_size}"


def _package_directories(package: str) -> list[Path]:
    spec = importlib.util.find_spec(package)
    return [Path(place) for place in spec.submodule_search_locations or ()] if spec else []
