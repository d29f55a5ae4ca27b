"""Resolves Apache Kafka's jars anew and prints the lock.

`python -m airproof.providers.native.relock 4.4.0 > …/kafka.lock`

Only for the maintainer who moves to another version; a run never resolves, it downloads what the lock names.
Needs `jgo`, which does in pure Python what Maven does.
"""

from __future__ import annotations

import hashlib
import sys
import tempfile
from pathlib import Path

SLF4J_SIMPLE = "org.slf4j:slf4j-simple:1.7.36"


def resolve(version: str, repository: Path) -> list[tuple[str, Path]]:
    """Coordinates and files of everything a broker of that version needs, in class path order."""
    from jgo.maven import MavenContext

    context = MavenContext(repo_cache=repository)
    wanted = [context.create_dependency(name) for name in (f"org.apache.kafka:kafka_2.13:{version}", SLF4J_SIMPLE)]
    roots, transitive = context.resolver.resolve(wanted)
    dependencies = roots + sorted(transitive, key=lambda found: (found.groupId, found.artifactId))
    return [
        (f"{found.groupId}:{found.artifactId}:{found.version}", Path(found.artifact.resolve()))
        for found in dependencies
    ]


def main() -> None:
    """Prints one line per jar: SHA-256, size in bytes, coordinates."""
    version = sys.argv[1]
    with tempfile.TemporaryDirectory() as repository:
        for coordinates, path in resolve(version, Path(repository)):
            content = path.read_bytes()
            sys.stdout.write(f"{hashlib.sha256(content).hexdigest()} {len(content)} {coordinates}\n")


if __name__ == "__main__":
    main()
