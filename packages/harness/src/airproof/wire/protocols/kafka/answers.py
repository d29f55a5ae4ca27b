"""Replies of the wire's own: the request's topics and partitions, each with the error that a test wants."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from airproof.wire.protocols.kafka.apis import Api
from airproof.wire.protocols.kafka.schema import Message

Part = Callable[[Any, int], Message]


def error_reply(api: Api, version: int, request: Message, error: int, cluster: Message) -> Message | None:
    """The body of a reply in which everything failed with `error`; None where this API has no such reply.

    Args:
        cluster: what the last reply to Metadata said of it, for a client takes what it is told for all there is.
    """
    if api.name in {"ApiVersions", "SaslHandshake", "SaslAuthenticate"}:
        return None
    reply: Message = ANSWERS[api.name](request, error) if api.name in ANSWERS else {"ErrorCode": error}
    if api.name == "Metadata":
        reply = {**cluster, **reply}
    said = api.response(version).encode(reply)
    # An error for which this version of the reply has no place would be a success.
    return reply if said != api.response(version).encode(_without_errors(reply)) else None


def _without_errors(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: 0 if name.endswith("ErrorCode") else _without_errors(part) for name, part in value.items()}
    return [_without_errors(item) for item in value] if isinstance(value, list) else value


def _per_partition(
    topics: str, partitions: str, index: str, reply: tuple[str, str, str], extra: Mapping[str, Any]
) -> Callable[[Message, int], Message]:
    replied_topics, replied_partitions, replied_index = reply

    def answer(request: Message, error: int) -> Message:
        return {
            replied_topics: [
                {
                    **_names(topic),
                    replied_partitions: [
                        {replied_index: item if isinstance(item, int) else item[index], "ErrorCode": error, **extra}
                        for item in topic[partitions]
                    ],
                }
                for topic in request.get(topics) or ()
            ]
        }

    return answer


def _names(topic: Message) -> Message:
    return {name: topic[name] for name in ("Name", "Topic", "TopicId") if name in topic}


COMMITTED = _per_partition("Topics", "Partitions", "PartitionIndex", ("Topics", "Partitions", "PartitionIndex"), {})
FETCHED = _per_partition(
    "Topics", "Partitions", "Partition", ("Responses", "Partitions", "PartitionIndex"), {"HighWatermark": -1}
)
REBOOTSTRAP_REQUIRED = 129
SESSION_ERRORS = frozenset({70, 71, 106})
"""FETCH_SESSION_ID_NOT_FOUND, INVALID_FETCH_SESSION_EPOCH, FETCH_SESSION_TOPIC_ID_ERROR: of a whole reply."""


def _fetch(request: Message, error: int) -> Message:
    # A session's request names only what has changed; where nothing is named, the whole reply has the error.
    if error in SESSION_ERRORS or not request["Topics"]:
        return {"ErrorCode": error}
    return {**FETCHED(request, error), "SessionId": request.get("SessionId", 0)}


def _offset_fetch(request: Message, error: int) -> Message:
    if "Groups" in request:
        return {"Groups": [{"GroupId": group["GroupId"], "ErrorCode": error} for group in request["Groups"]]}
    return {"ErrorCode": error, **_offsets(request, error)}


_offsets = _per_partition(
    "Topics", "PartitionIndexes", "", ("Topics", "Partitions", "PartitionIndex"), {"CommittedOffset": -1}
)


def _find_coordinator(request: Message, error: int) -> Message:
    keys = request.get("CoordinatorKeys") or ()
    nobody = {"NodeId": -1, "Host": "", "Port": -1, "ErrorCode": error}
    return {**nobody, "Coordinators": [{"Key": key, **nobody} for key in keys]}


def _topics(request: Message, error: int) -> Message:
    if error == REBOOTSTRAP_REQUIRED or not request["Topics"]:
        return {"ErrorCode": error}
    return _created(request, error)


def _created(request: Message, error: int) -> Message:
    return {"Topics": [{**_names(topic), "ErrorCode": error} for topic in request["Topics"]]}


def _deleted(request: Message, error: int) -> Message:
    named = [{"Name": name} for name in request.get("TopicNames") or ()]
    topics = [_names(topic) for topic in request.get("Topics") or ()]
    return {"Responses": [{**topic, "ErrorCode": error} for topic in named + topics]}


def _added(request: Message, error: int) -> Message:
    topics = [
        {
            "Name": topic["Name"],
            "ResultsByPartition": [
                {"PartitionIndex": number, "PartitionErrorCode": error} for number in topic["Partitions"]
            ],
        }
        for topic in request.get("V3AndBelowTopics") or ()
    ]
    return {"ErrorCode": error, "ResultsByTopicV3AndBelow": topics}


ANSWERS: dict[str, Callable[[Message, int], Message]] = {
    "Produce": _per_partition(
        "TopicData", "PartitionData", "Index", ("Responses", "PartitionResponses", "Index"), {"BaseOffset": -1}
    ),
    "Fetch": _fetch,
    "ListOffsets": _per_partition(
        "Topics", "Partitions", "PartitionIndex", ("Topics", "Partitions", "PartitionIndex"), {"Offset": -1}
    ),
    "OffsetCommit": COMMITTED,
    "TxnOffsetCommit": COMMITTED,
    "OffsetFetch": _offset_fetch,
    "FindCoordinator": _find_coordinator,
    "Metadata": _topics,
    "CreateTopics": _created,
    "DeleteTopics": _deleted,
    "AddPartitionsToTxn": _added,
}
"""Those whose errors are not at the top of the reply."""
