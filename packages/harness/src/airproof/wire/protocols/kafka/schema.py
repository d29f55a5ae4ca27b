"""Reading and writing Kafka's messages by their schemas: every version from one description, as Kafka itself does it.

A message is a dict with the schema's own names: `{"Acks": -1, "TopicData": [{"Name": "orders", …}]}`. What was read is
written again byte for byte, also tagged fields that the schema does not know.

Why not kafka-python's own definitions, made from the same schemas: importing them takes 0.45 s, and a wire has to be
there in 0.25 s. Here only what a connection really says is made ready, in about 50 µs per API and version.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Any, NamedTuple

from airproof.wire.protocols.kafka.primitives import (
    FIXED,
    SIZED,
    MalformedMessage,
    Reader,
    Writer,
    length_of,
    read_varint,
    sized,
    take,
    write_varint,
)

Message = dict[str, Any]
UNKNOWN_TAGS = ""
"""Under this name a message keeps its tagged fields that the schema does not know, by their tags."""

NEWEST = 32767
"""What `3+` ends with."""


class Codec(NamedTuple):
    """One message in one version."""

    read_at: Reader
    write_to: Writer

    def decode(self, data: bytes, at: int = 0) -> Message:
        """The message that begins at `at` and ends with the bytes.

        Raises:
            MalformedMessage: it does not.
        """
        try:
            message, end = self.read_at(data, at)
        except (struct.error, IndexError) as error:
            raise MalformedMessage(str(error)) from error
        if end != len(data):
            raise MalformedMessage(f"{len(data) - end} bytes more than the schema says")
        decoded: Message = message
        return decoded

    def encode(self, message: Mapping[str, Any]) -> bytes:
        """Its bytes; fields that are missing get their defaults, tagged ones are left out."""
        out = bytearray()
        self.write_to(out, message)
        return bytes(out)


class Field(NamedTuple):
    """One field in one version.

    Attributes:
        tag: None, or the number under which it stands among the tagged fields.
    """

    name: str
    read: Reader
    write: Writer
    default: Any
    tag: int | None


def versions(span: str) -> range:
    """The versions of `3`, `3-5`, `3+` or `none`."""
    if span == "none":
        return range(0)
    first, _, last = span.rstrip("+").partition("-")
    return range(int(first), NEWEST if span.endswith("+") else int(last or first) + 1)


def compile_message(description: Mapping[str, Any], version: int, *, flexible: bool) -> Codec:
    """The codec of a message, `fields` and common `structs`, in one version.

    Args:
        flexible: whether in this version lengths are compact and structs end with tagged fields.
    """
    return _Compiler(description.get("structs", {}), version, flexible).struct(description["fields"])


class _Compiler:
    def __init__(self, structs: Mapping[str, Any], version: int, flexible: bool) -> None:
        self.structs = structs
        self.version = version
        self.flexible = flexible

    def struct(self, descriptions: list[dict[str, Any]]) -> Codec:
        present = [self.field(each) for each in descriptions if self.version in versions(each["versions"])]
        fields = [each for each in present if each.tag is None]
        tagged = {each.tag: each for each in present if each.tag is not None}
        return Codec(_struct_reader(fields, tagged, self.flexible), _struct_writer(fields, tagged, self.flexible))

    def field(self, description: Mapping[str, Any]) -> Field:
        nullable = self.version in versions(description.get("nullableVersions", "none"))
        tagged = self.version in versions(description.get("taggedVersions", "none"))
        kind = description["type"]
        read, write = self.type(kind, description.get("fields"), nullable=nullable)
        default = _default(kind, description.get("default"))
        return Field(description["name"], read, write, default, description["tag"] if tagged else None)

    def type(self, kind: str, fields: list[dict[str, Any]] | None, *, nullable: bool) -> tuple[Reader, Writer]:
        if kind in FIXED:
            return FIXED[kind]
        if kind in SIZED:
            return sized(kind, compact=self.flexible, nullable=nullable)
        if kind.startswith("[]"):
            return self.array(*self.type(kind[2:], fields, nullable=False), nullable)
        codec = self.struct(self.structs[kind] if fields is None else fields)
        return _nullable(codec) if nullable else codec

    def array(self, read_item: Reader, write_item: Writer, nullable: bool) -> tuple[Reader, Writer]:
        read_length, write_length = length_of("array", compact=self.flexible)

        def read(data: bytes, at: int) -> tuple[list[Any] | None, int]:
            count, at = read_length(data, at)
            if count == -1 and nullable:
                return None, at
            if not 0 <= count <= len(data) - at:
                raise MalformedMessage(f"{count} items in {len(data) - at} bytes")
            items = []
            for _ in range(count):
                item, at = read_item(data, at)
                items.append(item)
            return items, at

        def write(out: bytearray, items: list[Any] | None) -> None:
            write_length(out, -1 if items is None else len(items))
            for item in items or ():
                write_item(out, item)

        return read, write


def _struct_reader(fields: list[Field], tagged: Mapping[int, Field], flexible: bool) -> Reader:
    readers = [(field.name, field.read) for field in fields]

    def read(data: bytes, at: int) -> tuple[Message, int]:
        message: Message = {}
        for name, read_field in readers:
            message[name], at = read_field(data, at)
        if not flexible:
            return message, at
        if data[at] == 0:
            return message, at + 1
        return message, _read_tagged(data, at, message, tagged)

    return read


def _read_tagged(data: bytes, at: int, message: Message, tagged: Mapping[int, Field]) -> int:
    count, at = read_varint(data, at)
    for _ in range(count):
        tag, at = read_varint(data, at)
        size, at = read_varint(data, at)
        content, at = take(data, at, size)
        if tag in tagged:
            field = tagged[tag]
            message[field.name], end = field.read(content, 0)
            if end != size:
                raise MalformedMessage(f"{field.name} has {size} bytes instead of {end}")
        else:
            message.setdefault(UNKNOWN_TAGS, {})[tag] = content
    return at


def _struct_writer(fields: list[Field], tagged: Mapping[int, Field], flexible: bool) -> Writer:
    def write(out: bytearray, message: Mapping[str, Any]) -> None:
        for field in fields:
            field.write(out, message.get(field.name, field.default))
        if flexible:
            _write_tagged(out, message, tagged)

    return write


def _write_tagged(out: bytearray, message: Mapping[str, Any], tagged: Mapping[int, Field]) -> None:
    contents: dict[int, bytes] = dict(message.get(UNKNOWN_TAGS, {}))
    for tag, field in tagged.items():
        if field.name in message:
            content = bytearray()
            field.write(content, message[field.name])
            contents[tag] = bytes(content)
    write_varint(out, len(contents))
    for tag, written in sorted(contents.items()):
        write_varint(out, tag)
        write_varint(out, len(written))
        out += written


def _nullable(codec: Codec) -> tuple[Reader, Writer]:
    def read(data: bytes, at: int) -> tuple[Message | None, int]:
        return (None, at + 1) if data[at] == 0xFF else codec.read_at(data, at + 1)

    def write(out: bytearray, message: Mapping[str, Any] | None) -> None:
        if message is None:
            out.append(0xFF)
        else:
            out.append(1)
            codec.write_to(out, message)

    return read, write


def _default(kind: str, text: str | int | None) -> Any:
    if text == "null":
        return None
    if kind == "string":
        return text or ""
    if kind in SIZED:
        return b""
    if kind == "bool":
        return text in {"true", True}
    if kind == "uuid":
        return bytes(16)
    if kind.startswith("[]"):
        return []
    return int(str(text or 0), 0) if kind in FIXED else {}
