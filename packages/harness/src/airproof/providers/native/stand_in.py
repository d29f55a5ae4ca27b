"""The stand-in for Kafka, a single binary from the wheel `noida-db`: the last resort where the jars cannot be reached.

It is not Apache Kafka and every report says so. A kill right after a write loses the write.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
from pathlib import Path

from airproof.environment.topology import Endpoint
from airproof.errors import ProviderUnavailable

REMEDY = "install the extra airproof[stand-in]"


def find_stand_in() -> tuple[Path, str]:
    """The program, and where it comes from for the reader.

    Raises:
        ProviderUnavailable: the wheel is not installed.
    """
    package = importlib.util.find_spec("noida_db")
    executable = Path(package.origin).parent / "noida-db" if package and package.origin else None
    if executable is None or not executable.is_file():
        raise ProviderUnavailable(f"the stand-in for Kafka is not installed; {REMEDY}")
    return executable, f"stand-in noida-db {importlib.metadata.version('noida-db')}, not Apache Kafka"


def stand_in_argv(executable: str, directory: Path, endpoint: Endpoint) -> tuple[str, ...]:
    """The command that runs it in the foreground."""
    places = ("--data-dir", str(directory), "--host", endpoint.host, "--kafka-port", str(endpoint.port))
    return (executable, "start", "--only", "kafka", *places)
