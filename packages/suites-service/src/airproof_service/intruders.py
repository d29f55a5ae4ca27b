"""Who asks for what is not theirs, and how they spell it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from airproof.platform.driver import Tenant
from airproof.platform.entities import EntityRef
from airproof.platform.manifest import Access, Route
from airproof.platform.requests import Request, Session
from airproof_service.stage import Stage

OTHER_METHODS = ("HEAD", "OPTIONS", "GET", "POST")
STRANGE = (Session.FORGED, Session.GARBLED, Session.LOGGED_OUT, Session.EXCHANGED, Session.EXPIRED, Session.REFRESH)


@dataclass(frozen=True, slots=True)
class Others:
    """Two users beside the owner: one of the same tenant, one of another, which is called alike but for its case."""

    colleague: EntityRef
    stranger: EntityRef

    @classmethod
    def of(cls, stage: Stage) -> Others:
        """Two new ones."""
        entities = stage.cell.platform.entities(stage.routes[0].entity)
        return cls(entities.create(stage.about.tenant), entities.create(Tenant(stage.about.tenant.id.upper())))


def intruders(stage: Stage, route: Route, others: Others) -> Iterator[Request]:
    """Requests of all those who may not make it."""
    if route.access is Access.ANYBODY:
        return
    nobody = Request(route, stage.about, Session.NONE)
    yield nobody
    yield replace(nobody, pretended=stage.about)
    yield replace(nobody, session=Session.NO_OPERATOR)
    yield replace(nobody, session=Session.NEARLY_OPERATOR)
    for method in OTHER_METHODS:
        yield replace(nobody, method=method)
    for session in STRANGE:
        yield replace(nobody, session=session)
    for user in logged_in(stage, route, others):
        yield replace(nobody, session=Session.USER, user=user)
        if user is not stage.about:
            yield replace(nobody, session=Session.USER, user=user, pretended=stage.about)


def logged_in(stage: Stage, route: Route, others: Others) -> tuple[EntityRef, ...]:
    """The users who may not make it."""
    match route.access:
        case Access.OWNER:
            return others.colleague, others.stranger
        case Access.TENANT:
            return (others.stranger,)
        case Access.OPERATOR | Access.SERVICE:
            return (stage.about,)
    return ()


def spellings(path: str) -> Iterator[str]:
    """Other ways to write a path."""
    yield path
    yield f"{path}/"
    yield path.upper()
    yield f"/{path}"
    yield path.replace("/", "//", 2)
    yield f"/auth/..{path}"
    yield f"/auth/login/..{path}"
    yield f"/health/..{path}"
    yield f"/.{path}"
    yield path[:2] + f"%{ord(path[2]):02x}" + path[3:]
    yield path[0] + path[1:].replace("/", "%2f", 1)
    yield f"{path};a=b"


def near_ids(id_: str) -> tuple[str, ...]:
    """Ids of nothing, for which the thing's own may be taken where they are no plain text: patterns, statements."""
    return "%", "*", f"_{id_[1:]}", f"?{id_[1:]}", id_[:-1], f"{id_}x", f"{id_}' OR '1'='1"
