"""Makes `messages.json` from Apache Kafka's own message schemas, which its client jar carries.

`python -m airproof.wire.protocols.kafka.remake …/kafka-clients-4.4.0.jar > …/messages.json`

Only for the maintainer who moves to another version of Kafka. Kept are the APIs that a broker offers to clients, and of
their fields what reading and writing needs. The schemas are Apache Kafka's, under the Apache License 2.0.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from zipfile import ZipFile

FOLDER = "common/message/"
KEPT = ("name", "type", "versions", "nullableVersions", "taggedVersions", "tag", "default")


def main() -> None:
    """Prints one line per API, in the order of their keys."""
    jar = Path(sys.argv[1])
    messages = {message["name"]: message for message in _messages(jar)}
    requests = [message for message in messages.values() if _is_for_clients(message)]
    lines = [
        json.dumps(_api(request, messages[request["name"].removesuffix("Request") + "Response"]))
        for request in sorted(requests, key=lambda request: int(request["apiKey"]))
    ]
    sys.stdout.write("[\n" + ",\n".join(lines) + "\n]\n")


def _messages(jar: Path) -> Iterator[dict[str, Any]]:
    with ZipFile(jar) as archive:
        for name in archive.namelist():
            if name.startswith(FOLDER) and name.endswith(".json"):
                yield json.loads(re.sub(r"^\s*//.*$", "", archive.read(name).decode(), flags=re.MULTILINE))


def _is_for_clients(message: dict[str, Any]) -> bool:
    return (
        message["type"] == "request" and "broker" in message.get("listeners", ()) and message["validVersions"] != "none"
    )


def _api(request: dict[str, Any], response: dict[str, Any]) -> dict[str, Any]:
    return {
        "key": request["apiKey"],
        "name": request["name"].removesuffix("Request"),
        "versions": request["validVersions"],
        "flexible": request["flexibleVersions"],
        "request": _struct(request),
        "response": _struct(response),
    }


def _struct(message: dict[str, Any]) -> dict[str, Any]:
    common = {struct["name"]: _fields(struct["fields"]) for struct in message.get("commonStructs", ())}
    return {"fields": _fields(message["fields"]), **({"structs": common} if common else {})}


def _fields(fields: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [
        {
            **{name: field[name] for name in KEPT if name in field},
            **({"fields": _fields(field["fields"])} if "fields" in field else {}),
        }
        for field in fields
    ]


if __name__ == "__main__":
    main()
