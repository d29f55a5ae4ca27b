"""Requests of those who may make them, each with one thing in it that is not right."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from uuid import uuid4

from airproof.platform.manifest import Route
from airproof.platform.requests import Request
from airproof_service.stage import Stage

NO_BODIES = (b"", b"{", b"[]", b"null", b'"text"', b"\xff\xfe", b'{"x": "\\ud800"}', b"[" * 2000)
NO_IDS = ("x", "0", "-1", "x" * 36, "x" * 300, "%00", "%e9", "..", "1e9")
OTHER_METHODS = ("PUT", "DELETE", "PATCH", "GET")


def wrong_bodies(stage: Stage, route: Route) -> Iterator[Request]:
    """The request with a body, or a field of it, that may not be there, or without one that must."""
    rightful = stage.rightful(route)
    for name, values in route.invalid.items():
        for value in values:
            yield replace(rightful, fields={name: value})
    if route.body is None:
        return
    for raw in NO_BODIES:
        yield replace(rightful, raw=raw)
    for name in route.body:
        yield replace(rightful, left_out=name)


def wrong_queries(stage: Stage, route: Route) -> Iterator[Request]:
    """The request with a parameter behind its path that may not be there."""
    rightful = stage.rightful(route)
    path = stage.cell.platform.requests.path(route, stage.about)
    for name, values in route.invalid_query.items():
        for value in values:
            yield replace(rightful, path=f"{path}{'&' if '?' in path else '?'}{name}={value}")


def wrong_keys(stage: Stage, route: Route) -> Iterator[Request]:
    """The change under an idempotency key that is none."""
    keys = dict.fromkeys(key for saga in stage.cell.platform.manifest.sagas for key in saga.invalid_keys if key)
    for key in keys if route.changes else ():
        yield replace(stage.rightful(route), key=key)


def unknown_ids(stage: Stage, route: Route) -> Iterator[Request]:
    """The request about something that is not there."""
    nowhere = replace(stage.about, id=str(uuid4()), owner=str(uuid4()))
    path = stage.cell.platform.requests.path(route, nowhere)
    if path != stage.cell.platform.requests.path(route, stage.about):
        yield replace(stage.rightful(route), path=path)


def wrong_ids(stage: Stage, route: Route) -> Iterator[Request]:
    """The request about something whose id is none."""
    rightful = stage.rightful(route)
    for no_id in NO_IDS:
        named = replace(stage.about, id=no_id, owner=no_id)
        path = stage.cell.platform.requests.path(route, named)
        if path != stage.cell.platform.requests.path(route, stage.about):
            yield replace(rightful, path=path)


def wrong_places(stage: Stage, route: Route) -> Iterator[Request]:
    """The request by another method than there is, or one below its path."""
    rightful = stage.rightful(route)
    path, query, parameters = stage.cell.platform.requests.path(route, stage.about).partition("?")
    known = {one.method for one in stage.routes if _shape(one) == _shape(route)}
    for method in OTHER_METHODS:
        if method not in known:
            yield replace(rightful, method=method)
    yield replace(rightful, path=f"{path}/nothing/there{query}{parameters}")


def near_secrets(stage: Stage, route: Route) -> Iterator[Request]:
    """The request with a password that is nearly the right one, or with an address that is so only as a pattern."""
    rightful = stage.rightful(route)
    body = stage.cell.platform.requests.body(route, stage.about)
    for name in (name for name, text in (route.body or {}).items() if text == "{email}"):
        right = str(body[name])
        for near in (f"_{right[1:]}", f"%{right[1:]}", f"{right[0]}%", right.replace(".", "_"), f".*{right[1:]}"):
            yield replace(rightful, fields={name: near})
    for name in (name for name, text in (route.body or {}).items() if text == "{password}"):
        right = str(body[name])
        other = "x" if right[-1] != "x" else "y"
        for near in (right[:-1] + other, other + right[1:], right[:-1], right + other, f" {right}", f"{right} "):
            yield replace(rightful, fields={name: near})
        yield replace(rightful, fields={name: right.swapcase()})


def _shape(route: Route) -> str:
    return route.path.partition("?")[0]
