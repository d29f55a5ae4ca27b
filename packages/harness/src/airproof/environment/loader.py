"""Reads an environment: a file, those it extends, overrides; then the typed model, or one line about what is wrong."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Any, get_args, get_origin

from pydantic import BaseModel, ValidationError

from airproof.environment.files import Layered, Location, available, find, nearest, override, read, shown
from airproof.environment.model import Environment
from airproof.errors import EnvironmentFileError
from airproof.platform.driver import Driver
from airproof.platform.manifest import Manifest
from airproof.platform.registry import load_driver

__all__ = ["available", "load", "select"]


def load(
    name: str,
    settings: Sequence[str] = (),
    *,
    variables: Mapping[str, str] | None = None,
    start: Path | None = None,
) -> Environment:
    """The environment of that name, or of that file.

    Args:
        name: `local`, or a path such as `my/own.yml`.
        settings: overrides `timeouts.ready_s=20`, the last word.
        variables: the process environment; `AIRPROOF__timeouts__ready_s=20` overrides the file.
        start: the folder from which `environments/` is looked for upwards; the current one if None.

    Raises:
        EnvironmentFileError: one line: who said it, the field, what was found, what is allowed, the nearest match.
    """
    path = find(name, start=start or Path.cwd())
    layered = read(path)
    override(layered, settings, os.environ if variables is None else variables)
    if "name" in layered.values:
        raise EnvironmentFileError(f"{layered.origin(('name',), shown(path))}: name: the file's own name is the name")
    layered.values["name"] = path.stem
    try:
        environment = Environment.model_validate_json(json.dumps(layered.values, default=str))
    except ValidationError as error:
        raise EnvironmentFileError(_describe(error, layered, shown(path))) from error
    overlay = environment.platform_path
    if overlay is not None and not overlay.is_dir():
        origin = layered.origin(("platform_path",), shown(path))
        raise EnvironmentFileError(f"{origin}: platform_path: found {str(overlay)!r}; allowed: a directory that exists")
    return environment


def select(name: str, settings: Sequence[str] = ()) -> tuple[Environment, Driver]:
    """The environment, and the driver of its platform, which knows every service that the environment names.

    Raises:
        EnvironmentFileError: the environment is wrong, or names a service that the platform does not have.
        UsageError: no driver for its platform is installed.
    """
    environment = load(name, settings)
    driver = load_driver(environment.platform)
    _check_services(environment, driver.manifest)
    return environment, driver


def _check_services(environment: Environment, manifest: Manifest) -> None:
    known = [service.name for service in manifest.services]
    for name in environment.services:
        if name not in known and name != "default":
            raise EnvironmentFileError(
                f"environment {environment.name!r}: services: found {name!r}, which platform {manifest.name!r} does not"
                f" have; allowed: default, {', '.join(known)}{nearest(name, known)}"
            )


def _describe(error: ValidationError, layered: Layered, path: str) -> str:
    problems = error.errors(include_url=False)
    first = problems[0]
    location = tuple(str(part) for part in first["loc"] if part != "[key]")
    line = f"{layered.origin(location, path)}: {'.'.join(location) or 'the file'}: {_problem(first, location)}"
    return line if len(problems) == 1 else f"{line} (and {len(problems) - 1} more)"


def _problem(details: Mapping[str, Any], location: Location) -> str:
    if details["type"] == "extra_forbidden":
        known = _names_at(location[:-1])
        return f"found a field that is not known; allowed: {', '.join(known)}{nearest(location[-1], known)}"
    if details["type"] == "missing":
        return f"found nothing; allowed: {_names_or_type(location)}"
    found = details["input"]
    if details["type"] == "enum":
        known = _names_at(location)
        return f"found {found!r}; allowed: {', '.join(known)}{nearest(str(found), known)}"
    return f"found {found!r}; allowed: {details['msg'].removeprefix('Input should be ')}"


def _names_or_type(location: Location) -> str:
    annotation = _annotation_at(location)
    return ", ".join(_names_at(location)) or getattr(annotation, "__name__", str(annotation))


def _names_at(location: Location) -> list[str]:
    """The field names of the section there, or the values of the choice there."""
    annotation = _annotation_at(location)
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [name for name in annotation.model_fields if (annotation, name) != (Environment, "name")]
    if isinstance(annotation, type) and issubclass(annotation, StrEnum):
        return [member.value for member in annotation]
    return []


def _annotation_at(location: Location) -> Any:
    annotation: Any = Environment
    for key in location:
        if get_origin(annotation) is dict:
            annotation = get_args(annotation)[1]
        elif isinstance(annotation, type) and issubclass(annotation, BaseModel):
            annotation = annotation.model_fields[key].annotation
    return annotation
