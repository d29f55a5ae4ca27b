"""The schemas: every API in every version can be read and written, and it is known which replies hold addresses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airproof.wire.protocols.kafka import apis as apis_module
from airproof.wire.protocols.kafka.apis import ADDRESSED, ADDRESSED_SINCE, Api, api_named, apis
from airproof.wire.protocols.kafka.primitives import MalformedMessage, read_signed
from airproof.wire.protocols.kafka.schema import Codec, versions

from .batches import write_signed

DESCRIPTIONS = json.loads(Path(apis_module.__file__).with_name("messages.json").read_text())
APPLICATIONS_OWN = {"StreamsGroupHeartbeat", "StreamsGroupDescribe"}


def codecs() -> list[tuple[str, Codec]]:
    return [
        (f"{api.name} {version}", codec)
        for api in apis().values()
        for version in range(api.oldest, api.newest + 1)
        for codec in (api.request(version), api.response(version))
    ]


def test_what_is_written_is_read_again_in_every_version() -> None:
    for name, codec in codecs():
        written = codec.encode({})
        assert codec.encode(codec.decode(written)) == written, name


def test_a_message_with_everything_in_it_comes_out_as_it_went_in() -> None:
    message = {
        "TransactionalId": None,
        "Acks": -1,
        "TimeoutMs": 30_000,
        "TopicData": [{"TopicId": bytes(range(16)), "PartitionData": [{"Index": 3, "Records": b"x" * 300}]}],
        "": {77: b"from the future"},
    }
    codec = api_named("Produce").request(13)
    assert codec.decode(codec.encode(message)) == message


def test_every_reply_that_holds_addresses_is_known() -> None:
    found = {
        api["name"]
        for api in DESCRIPTIONS
        for version in range(apis()[api["key"]].oldest, apis()[api["key"]].newest + 1)
        if holds_addresses([*api["response"]["fields"], *structs(api)], version)
    }
    assert found - APPLICATIONS_OWN == set(ADDRESSED)
    assert first_with_addresses("Produce") == ADDRESSED_SINCE["Produce"]


def structs(api: dict[str, Any]) -> list[dict[str, Any]]:
    return [field for fields in api["response"].get("structs", {}).values() for field in fields]


def first_with_addresses(name: str) -> int:
    fields = next(api["response"]["fields"] for api in DESCRIPTIONS if api["name"] == name)
    return next(version for version in range(100) if holds_addresses(fields, version))


def holds_addresses(fields: list[dict[str, Any]], version: int) -> bool:
    present = [field for field in fields if version in versions(field["versions"])]
    return any(field["name"] == "Port" or holds_addresses(field.get("fields", []), version) for field in present)


@given(st.data(), st.binary(max_size=200))
def test_garbage_is_refused_or_read(data: st.DataObject, garbage: bytes) -> None:
    api: Api = data.draw(st.sampled_from(list(apis().values())))
    version = data.draw(st.integers(api.oldest, api.newest))
    for codec in (api.request(version), api.response(version)):
        try:
            codec.decode(garbage)
        except MalformedMessage:
            continue


def test_a_count_that_is_claimed_allocates_nothing() -> None:
    with pytest.raises(MalformedMessage, match="2147483647 items in 0 bytes"):
        api_named("Metadata").request(1).decode(b"\x7f\xff\xff\xff")


@given(st.integers(-(2**63), 2**63 - 1))
def test_signed_numbers_survive(number: int) -> None:
    out = bytearray()
    write_signed(out, number)
    assert read_signed(bytes(out), 0) == (number, len(out))


def test_a_connection_waits_for_no_schema_but_its_own() -> None:
    apis.cache_clear()
    api_named.__wrapped__("Produce").request(13)
    assert {api.name: list(api._codecs) for api in apis().values() if api._codecs} == {"Produce": [("request", 13)]}
