"""Which APIs of Kafka the wire follows, in which versions, and which of their replies say where brokers are.

The schemas are those of Apache Kafka 4.4.0 (`messages.json`). What is not here, or is newer, the wire does not let
through: a reply that it cannot read might send the client to the broker itself, past the wire.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

from airproof.wire.protocols.kafka.schema import Codec, compile_message, versions

NEWEST_FOLLOWED = {"Fetch": 15, "DescribeQuorum": 1}
"""From 16 on Fetch tells consumers where a new leader is, at the end of replies that pass in pieces; otherwise it
differs for brokers only, and without it a client asks for Metadata. Newer DescribeQuorum names controllers."""

OLDEST_FOLLOWED = {"SaslHandshake": 1}
"""After the older one come bytes without headers."""

ADDRESSED = {
    "Produce": "NodeEndpoints",
    "Metadata": "Brokers",
    "FindCoordinator": "Coordinators",
    "DescribeCluster": "Brokers",
    "ShareFetch": "NodeEndpoints",
    "ShareAcknowledge": "NodeEndpoints",
}
"""The replies with addresses of brokers, and where in them. Streams groups tell each other addresses too; those are
the applications' own."""


ADDRESSED_SINCE = {"Produce": 10}
"""Where that is not so in all versions."""


class Api:
    """One API.

    Attributes:
        oldest, newest: the versions that are followed.
    """

    def __init__(self, description: dict[str, Any]) -> None:
        self.key: int = description["key"]
        self.name: str = description["name"]
        span = versions(description["versions"])
        self.oldest = OLDEST_FOLLOWED.get(self.name, span.start)
        self.newest = NEWEST_FOLLOWED.get(self.name, span.stop - 1)
        self._rewritten = self.name in ADDRESSED or self.name == "ApiVersions"
        self._addressed_since = ADDRESSED_SINCE.get(self.name, 0)
        self._flexible = versions(description["flexible"])
        self._description = description
        self._codecs: dict[tuple[str, int], Codec] = {}

    def __repr__(self) -> str:
        return f"Api({self.name} {self.oldest}-{self.newest})"

    def flexible(self, version: int) -> bool:
        """Whether in this version lengths are compact and structs end with tagged fields."""
        return version in self._flexible

    def reply_is_tagged(self, version: int) -> bool:
        """Whether a reply's header ends with tagged fields: that of ApiVersions never does."""
        return version in self._flexible and self.name != "ApiVersions"

    def rewritten(self, version: int) -> bool:
        """Whether replies must be read and written anew."""
        return self._rewritten and version >= self._addressed_since

    def request(self, version: int) -> Codec:
        """Its request's body."""
        return self._codec("request", version)

    def response(self, version: int) -> Codec:
        """Its reply's body."""
        return self._codec("response", version)

    def _codec(self, which: str, version: int) -> Codec:
        codec = self._codecs.get((which, version))
        if codec is None:
            codec = compile_message(self._description[which], version, flexible=self.flexible(version))
            self._codecs[which, version] = codec
        return codec


@cache
def apis() -> dict[int, Api]:
    """All that are followed, by their keys."""
    text = Path(__file__).with_name("messages.json").read_text()
    return {api["key"]: Api(api) for api in json.loads(text)}


@cache
def api_named(name: str) -> Api:
    """One of them."""
    return next(api for api in apis().values() if api.name == name)
