"""The names behind the topic ids that newer requests carry, as Metadata replies told them."""

from __future__ import annotations

from base64 import urlsafe_b64encode
from collections.abc import Mapping
from typing import Any

LIMIT = 10_000
"""So many are kept; of more, the oldest are forgotten."""


class TopicNames:
    """Names by ids. An id is unique and keeps its name for ever, so the connections of a process may share them."""

    def __init__(self) -> None:
        self._names: dict[bytes, str] = {}

    def learn(self, topics: list[dict[str, Any]]) -> None:
        """From the topics of a reply, as far as they have both."""
        for topic in topics:
            identifier, name = topic.get("TopicId"), topic.get("Name")
            if identifier and name and any(identifier) and identifier not in self._names:
                if len(self._names) >= LIMIT:
                    del self._names[next(iter(self._names))]
                self._names[identifier] = name

    def name_of(self, topic: Mapping[str, Any]) -> str:
        """The name of a topic in a message; the id as Kafka prints it, if that is all there is."""
        name = topic.get("Name") or topic.get("Topic") or topic.get("TopicName")
        if name:
            return str(name)
        identifier = topic.get("TopicId", b"")
        return self._names.get(identifier) or urlsafe_b64encode(identifier).decode().rstrip("=")


LEARNED = TopicNames()
"""What the sessions of this process share, for clients ask for Metadata on one connection and fetch on another."""
