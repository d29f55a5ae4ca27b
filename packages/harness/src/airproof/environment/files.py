"""Environment files: where they are found, how they are read and laid over each other. No meaning yet, only text.

Every value remembers who said it, so that an error can name the file, the variable or the option.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import yaml

from airproof.errors import EnvironmentFileError

FOLDER = "environments"
VARIABLE_PREFIX = "AIRPROOF__"
STANDARD = Path(__file__).parent / "standard"
NOT_INHERITED = ("extends", "disposable")

Location = tuple[str, ...]

_FIELDS = ("tag:yaml.org,2002:str", "tag:yaml.org,2002:merge")
"""What YAML may take a key for: a text, or `<<`."""


@dataclass(slots=True)
class Layered:
    """Values laid over each other, and who said each."""

    values: dict[str, Any] = field(default_factory=dict)
    origins: dict[Location, str] = field(default_factory=dict)

    def lay(self, values: Mapping[str, Any], origin: str, at: Location = ()) -> None:
        """Puts `values` over what is there, key by key; a mapping joins a mapping, all else replaces."""
        target = self.values
        for key in at:
            target = target[key]
        for key, value in values.items():
            here = (*at, str(key))
            if isinstance(value, Mapping):
                if not isinstance(target.get(key), dict):
                    target[key] = {}
                    self.origins[here] = origin
                self.lay(value, origin, here)
            else:
                target[key] = value
                self.origins[here] = origin

    def origin(self, location: Location, default: str) -> str:
        """Who said the value there, or the nearest thing around it."""
        for end in range(len(location), 0, -1):
            if location[:end] in self.origins:
                return self.origins[location[:end]]
        return default


def nearest(word: str, known: Sequence[str]) -> str:
    """A clause that names the known word most like this one; empty where none is like it."""
    close = get_close_matches(word, known, n=1)
    return f"; did you mean {close[0]!r}?" if close else ""


def available(start: Path) -> dict[str, Path]:
    """The environments by name: of the nearest folder `environments/` from `start` upwards, then the standard ones."""
    found: dict[str, Path] = {}
    project = (folder / FOLDER for folder in (start, *start.parents))
    nearest_folder = next((folder for folder in project if any(folder.glob("*.yml"))), STANDARD)
    for folder in (nearest_folder, STANDARD):
        for path in sorted(folder.glob("*.yml")):
            found.setdefault(path.stem, path)
    return found


def find(name: str, *, start: Path) -> Path:
    """The file of an environment that is given by name or by path.

    Raises:
        EnvironmentFileError: there is none; the message lists those there are.
    """
    if name.endswith((".yml", ".yaml")) or "/" in name:
        path = Path(name)
        if not path.is_file():
            raise EnvironmentFileError(f"{name}: no such environment file")
        return path
    known = available(start)
    if name not in known:
        raise EnvironmentFileError(
            f"no environment {name!r}; there are: {', '.join(sorted(known))}{nearest(name, list(known))}"
        )
    return known[name]


def read(path: Path, *, inherited_by: tuple[Path, ...] = ()) -> Layered:
    """The content of a file over that of the file it extends.

    Raises:
        EnvironmentFileError: a file is not YAML, not a mapping, or extends itself.
    """
    origin = shown(path)
    if path.resolve() in inherited_by:
        raise EnvironmentFileError(f"{origin}: extends: the file extends itself")
    content = _parse(path, origin)
    layered = Layered()
    parent = content.pop("extends", None)
    if parent is not None:
        if not isinstance(parent, str):
            raise EnvironmentFileError(f"{origin}: extends: found {parent!r}; allowed: the name of an environment")
        layered = read(_find_parent(parent, path, origin), inherited_by=(*inherited_by, path.resolve()))
        for key in NOT_INHERITED:
            layered.values.pop(key, None)
            layered.origins.pop((key,), None)
    layered.lay(content, origin)
    return layered


def override(layered: Layered, settings: Sequence[str], variables: Mapping[str, str]) -> None:
    """Lays the environment variables `AIRPROOF__a__b=value`, then settings `a.b=value`, over the files.

    Raises:
        EnvironmentFileError: a setting is not `FIELD=VALUE`.
    """
    for variable in sorted(variables):
        if variable.startswith(VARIABLE_PREFIX):
            location = tuple(variable.removeprefix(VARIABLE_PREFIX).split("__"))
            _set(layered, location, variables[variable], variable)
    for setting in settings:
        name, equals, value = setting.partition("=")
        if not equals or not name:
            raise EnvironmentFileError(
                f"--set {setting}: found no value; allowed: FIELD=VALUE, as in timeouts.ready_s=20"
            )
        _set(layered, tuple(name.split(".")), value, f"--set {setting}")


def shown(path: Path) -> str:
    """The path as a person would type it from here."""
    absolute = path.absolute()
    return str(absolute.relative_to(Path.cwd())) if absolute.is_relative_to(Path.cwd()) else str(path)


def _set(layered: Layered, location: Location, text: str, origin: str) -> None:
    try:
        value: Any = yaml.load(text, Loader=_PlainFields)  # noqa: S506 - a SafeLoader
    except yaml.YAMLError as error:
        raise EnvironmentFileError(f"{origin}: found {text!r}; allowed: a YAML value") from error
    for key in reversed(location):
        value = {key: value}
    layered.lay(value, origin)


def _find_parent(name: str, child: Path, origin: str) -> Path:
    beside = child.parent / f"{name}.yml"
    if beside.is_file():
        return beside
    try:
        return find(name, start=Path.cwd())
    except EnvironmentFileError as error:
        raise EnvironmentFileError(f"{origin}: extends: {error}") from error


def _parse(path: Path, origin: str) -> dict[str, Any]:
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), Loader=_PlainFields)  # noqa: S506 - a SafeLoader
    except yaml.YAMLError as error:
        raise EnvironmentFileError(f"{origin}{_place(error)}: not YAML: {_problem(error)}") from error
    except (OSError, UnicodeDecodeError) as error:
        raise EnvironmentFileError(f"{origin}: cannot be read: {error}") from error
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise EnvironmentFileError(f"{origin}: found {content!r}; allowed: fields with values")
    return content


def _place(error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    return f":{mark.line + 1}:{mark.column + 1}" if mark else ""


def _problem(error: yaml.YAMLError) -> str:
    return str(getattr(error, "problem", None) or error).splitlines()[0]


class _PlainFields(yaml.SafeLoader):
    """Reads plain data, and refuses a key that is no text or is written twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if key.tag not in _FIELDS:
                raise _refused(key, "the name of a field is no text; write it in quotes if it is meant")
            if key.value in seen:
                raise _refused(key, f"{key.value!r} is written twice")
            seen.add(key.value)
        return super().construct_mapping(node, deep)


def _refused(key: yaml.Node, problem: str) -> yaml.YAMLError:
    return yaml.constructor.ConstructorError(None, None, problem, key.start_mark)
