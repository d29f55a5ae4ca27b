"""How long a login is good for something, and for whom no longer."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import replace

import pytest

from airproof.cells import Cell
from airproof.checkers.verdict import Anomaly
from airproof.environment.topology import Role
from airproof.errors import PlatformError
from airproof.faults.wire import applied
from airproof.platform.driver import Tenant
from airproof.platform.entities import EntityRef
from airproof.platform.manifest import Access
from airproof.platform.requests import Request
from airproof.platform.sessions import Login, SessionAccess
from airproof.wire import Rule, Wire, on, postgres, redis
from airproof.wire.holding import Hold, outcome_of
from airproof_service.stage import FULL, PERSONAL, WAIT_S, Stage, replica_held

COMMANDS = 12
"""More than keep a login, and open a connection for it."""
MARGIN_S = 30.0
SHORTEST_TOKEN = 22
"""Letters that say 128 bits, as nobody guesses them."""
SAID, IN_TURN = "[!CH]*", 6
"""Commands that are no greeting, and more than an exchange takes."""


@pytest.mark.covers("GW-2", "SEC-1")
def test_a_login_is_good_as_long_as_it_is_said(stage: Stage) -> None:
    """What somebody gets at a login is good until it was said to end, no longer, and is told so meanwhile."""
    sessions = stage.cell.platform.sessions
    login = _logged_in(stage)
    told = sessions.ends_in_s(login)
    alike = told is not None and abs(told - login.lasts_s) < MARGIN_S
    _demand(stage, alike, "told-otherwise", "whoever is logged in is told how long", f"{login.lasts_s:g} s", told)
    for near in (login.token.swapcase(), login.token[:-1], f"{login.token}x"):
        let_in = sessions.ends_in_s(replace(login, token=near)) is not None
        promise = "a token is right as a whole only"
        _demand(stage, not let_in, "near-token", promise, "a refusal", "let in with one that is nearly right")
    for near in (login.exchange.swapcase(), login.exchange[:-1], f"{login.exchange}x", login.token):
        got, promise = sessions.exchange(replace(login, exchange=near)), "what is exchanged is right as a whole only"
        _demand(stage, got is None, "near-token", promise, "a refusal", "another login for one that is nearly right")
    for by_s, good in ((login.lasts_s - MARGIN_S, True), (2 * MARGIN_S, False)):
        sessions.pass_time(login, by_s)
        seen = "refused" if sessions.ends_in_s(login) is None else "served"
        expected = f"{'served' if good else 'refused'} {MARGIN_S:g} s {'before' if good else 'after'} its end"
        right = seen == expected.partition(" ")[0]
        _demand(stage, right, "ends-otherwise", "a login is good as long as it is said", expected, seen)
    stage.judge()


@pytest.mark.covers("GW-2", "SEC-1")
def test_a_login_can_be_exchanged_as_long_as_it_is_said(stage: Stage) -> None:
    """What somebody gets at a login can be exchanged for another one as long as the platform says, and no longer."""
    sessions, longest = stage.cell.platform.sessions, stage.cell.platform.manifest.exchangeable_s
    if not longest:
        pytest.skip("the manifest does not say how long a login can be exchanged")
    for left_s, good in ((MARGIN_S, True), (-MARGIN_S, False)):
        login = _logged_in(stage)
        sessions.pass_time(login, longest - left_s)
        got = sessions.exchange(login)
        expected = "another login" if good else "a refusal"
        seen = "a refusal" if got is None else "another login"
        promise = f"a login can be exchanged for {longest:g} s, and no longer"
        _demand(stage, seen == expected, "exchanged-otherwise", promise, expected, seen)
        if got is not None:
            served = sessions.ends_in_s(got) is not None
            _demand(stage, served, "exchanged-for-nothing", promise, "a login that is good", "one that is not")
    stage.judge()


@pytest.mark.covers("GW-2", "XS-4")
def test_a_login_outlives_an_upgrade(stage: Stage) -> None:
    """A login that another version has left, the one before or a newer one, is good, and can be exchanged."""
    sessions, expected = stage.cell.platform.sessions, "a login that is good, and so is what it is exchanged for"
    for newer in (False, True):
        login, got = sessions.left_by_another_version(stage.about, newer=newer), None
        try:
            good = sessions.ends_in_s(login) is not None
            got = sessions.exchange(login)
            seen = f"{'served' if good else 'refused'}, and {'exchanged' if got else 'not exchanged'}"
            good = good and got is not None and sessions.ends_in_s(got) is not None
        except PlatformError as error:
            good, seen = False, str(error)
        promise = f"a login that {'a newer version' if newer else 'the version before'} has left is good"
        if not good:
            stage.anomalies.append(Anomaly("CACHE", "of-another-version", promise, expected, seen))
    stage.judge()


@pytest.mark.destructive
@pytest.mark.covers("GW-2", "XS-4")
def test_an_exchange_that_failed_can_be_tried_again(stage: Stage, wire: Wire) -> None:
    """Whoever is told that a login cannot be exchanged now can exchange it later, wherever that broke."""
    del wire
    sessions = stage.cell.platform.sessions
    asked = on(stage.cell.platform.manifest.identity, "postgres-*").when(postgres.query(containing=stage.about.owner))
    for what, breaks in {"a look at the account": asked.reset(), **_breaks(stage)}.items():
        login, got = _logged_in(stage), None
        with applied(stage.cell, breaks.preventable()), suppress(PlatformError):
            got = sessions.exchange(login)
        got = got or sessions.exchange(login)
        good = got is not None and sessions.ends_in_s(got) is not None
        promise, seen = "what cannot be exchanged now can be exchanged later", f"a refusal, after {what} was broken off"
        _demand(stage, good, "used-up-in-vain", promise, "another login", seen)
    stage.judge()


@pytest.mark.destructive
@pytest.mark.covers("GW-2", "XS-4")
def test_a_logout_that_failed_can_be_tried_again(stage: Stage, wire: Wire) -> None:
    """Whoever is told that they are logged out is, of all; who cannot be now, wherever that breaks, can ask again."""
    del wire
    sessions = stage.cell.platform.sessions
    for what, breaks in _breaks(stage).items():
        login = _logged_in(stage)
        try:
            with applied(stage.cell, breaks.preventable()):
                sessions.log_out(login)
        except PlatformError:
            # Whoever is logged out already may be told that there is nothing to end.
            with suppress(PlatformError):
                sessions.log_out(login)
        for means, attempt in (("its token", sessions.ends_in_s), ("a login in exchange", sessions.exchange)):
            promise, seen = "whoever is told that they are logged out is", f"let in with {means}"
            out, seen = attempt(login) is None, f"{seen}, after {what} was broken off"
            _demand(stage, out, "not-logged-out", promise, "a refusal", seen)
    stage.judge()


@pytest.mark.destructive
@pytest.mark.covers("GW-2", "SEC-1")
def test_a_logout_ends_what_is_just_being_exchanged(stage: Stage, wire: Wire) -> None:
    """Whoever logs out while their login is being exchanged, however far that is, is let in with neither of the two."""
    del wire
    sessions, asked = stage.cell.platform.sessions, on(stage.cell.platform.manifest.identity, Role.REDIS.value)
    for number in range(1, IN_TURN + 1):
        login, command = _logged_in(stage), asked.when(redis.command(SAID)).nth(number).hold().preventable()
        with ThreadPoolExecutor(1, thread_name_prefix="page") as pages, applied(stage.cell, command) as held:
            exchanging = pages.submit(sessions.exchange, login)
            if outcome_of(held, lambda: False, exchanging.done, WAIT_S) is not Hold.HELD:
                break
            sessions.log_out(login)
            held.release()
            got = exchanging.result(WAIT_S)
        for what, left in (("what it was exchanged for", got), ("its token", login)):
            out = left is None or sessions.ends_in_s(left) is None
            promise, seen = "whoever is told that they are logged out is", f"let in with {what}"
            seen += f", whose exchange was held at command {number}"
            _demand(stage, out, "not-logged-out", promise, "a refusal", seen)
    stage.judge()


@pytest.mark.destructive
@pytest.mark.covers("GW-2", "SEC-1")
def test_what_a_login_leaves_behind_has_an_end(stage: Stage, wire: Wire) -> None:
    """Nothing is kept of logins for ever, also of one of whose commands only the first few were heard."""
    del wire
    sessions, link = stage.cell.platform.sessions, on(stage.cell.platform.manifest.identity, Role.REDIS.value)
    for kept in range(COMMANDS):
        lost = link.when(redis.command()).skip(kept).reset().preventable()
        with applied(stage.cell, lost) as broken_off, suppress(PlatformError):
            sessions.log_in(stage.about)
        if not broken_off.fired:
            break
    endless = sessions.endless()
    promise, seen = "what is kept of a login has an end", f"of {', '.join(endless)} some without one"
    _demand(stage, not endless, "kept-for-ever", promise, "an end of each", seen)
    stage.judge()


@pytest.mark.covers("GW-2", "SEC-1")
def test_who_is_locked_out_does_not_get_in(stage: Stage) -> None:
    """While an account is locked its user is not served and not let in, with whatever they have; then they are."""
    sessions, routes = stage.cell.platform.sessions, [one for one in stage.reading if one.access in PERSONAL]
    held = [_logged_in(stage) for _ in range(2)]
    for route in routes:
        stage.demand_served(route)
    with sessions.locked(stage.about):
        for route in routes:
            request = Request(route, stage.about)
            answer = stage.ask(request)
            closed = answer is not None and answer.status in {401, 403}
            promise, told = "who is locked out is told so, and not served", answer is not None and answer.status < 500
            blames, name = ("SECURITY", "served-to-nobody") if told else ("GATEWAY", "not-told")
            stage.demand(closed, blames, name, promise, "401 or 403", answer, request)
        _demand_untold(stage)
        _demand_outside(stage, sessions, stage.about, held)
        _demand_taken(stage)
    _logged_in(stage)
    for route in routes:
        stage.demand_served(route, "CACHE")
    stage.judge()


def _demand_taken(stage: Stage) -> None:
    entities = stage.cell.platform.entities(stage.cell.platform.manifest.routes[0].entity)
    with suppress(PlatformError):
        other = entities.create(stage.about.tenant, called=stage.about)
        promise, seen = "the name of who is locked out is given to nobody else", f"a user called so, {other.owner}"
        stage.anomalies.append(Anomaly("DBTX", "given-away", promise, "a refusal", seen))
        stage.judge()


@pytest.mark.destructive
@pytest.mark.covers("GW-2", "SEC-1")
def test_who_is_gone_does_not_get_in(cell: Cell, tenant: Tenant, wire: Wire) -> None:
    """Whoever was removed does not get in, even if the database is away, its copy behind, or their name given away."""
    del wire
    entities = cell.platform.entities(cell.platform.manifest.routes[0].entity)
    with ExitStack() as late:
        with entities.passing(tenant) as ref:
            stage = Stage(cell, ref)
            held = [_logged_in(stage) for _ in range(3)]
            for route in (one for one in stage.reading if one.access is Access.SELF):
                stage.demand_served(route)
            late.enter_context(replica_held(cell, entities))
        link = on(cell.platform.manifest.identity, Role.POSTGRES_PRIMARY.value)
        with applied(cell, link.when(postgres.query(containing=ref.owner)).reset().preventable()):
            _demand_outside(stage, cell.platform.sessions, ref, held[:1], by_password=False)
    entities.create(Tenant(f"{tenant.id}-other"), called=ref)
    _demand_outside(stage, cell.platform.sessions, ref, held[1:])
    stage.judge()


def _breaks(stage: Stage) -> dict[str, Rule]:
    """That what keeps the sessions refuses a command that it gets, or its answer is lost, by which command that is."""
    asked, numbers = on(stage.cell.platform.manifest.identity, Role.REDIS.value).when(redis.command(SAID)), IN_TURN + 1
    refused = {f"command {number}": asked.nth(number).respond(error=FULL) for number in range(1, numbers)}
    return refused | {f"the answer to command {number}": asked.nth(number).lose_reply() for number in range(1, numbers)}


def _logged_in(stage: Stage) -> Login:
    login = stage.cell.platform.sessions.log_in(stage.about)
    if login is None or stage.cell.platform.sessions.ends_in_s(login) is None:
        _demand(stage, False, "not-let-in", "whoever has an account gets in", "a login that is good", "none")
        stage.judge()
    assert login
    shortest = min(len(login.token), len(login.exchange))
    expected = f"at least {SHORTEST_TOKEN} letters"
    _demand(stage, shortest >= SHORTEST_TOKEN, "guessable", "nobody guesses a token", expected, f"{shortest} letters")
    return login


def _demand_untold(stage: Stage) -> None:
    """Whoever does not know the password is told the same as if there were no such account."""
    for route in (one for one in stage.reading if one.access is Access.ANYBODY):
        meant = {text: name for name, text in (route.body or {}).items()}
        wrong = {meant["{password}"]: f"wrong-{stage.about.id}"}
        nobody = {**wrong, meant["{email}"]: f"nobody@{stage.about.tenant.id}.example"}
        requests = [replace(stage.rightful(route), fields=fields) for fields in (wrong, nobody)]
        theirs, expected = (one.without() if one else "no answer" for one in map(stage.ask, requests))
        promise = "that an account is locked is told to nobody else"
        stage.demand(theirs == expected, "SECURITY", "enumeration", promise, expected, theirs, requests[0])


def _demand_outside(
    stage: Stage, sessions: SessionAccess, user: EntityRef, held: list[Login], *, by_password: bool = True
) -> None:
    """Nothing of the user lets them in: a token, what it is exchanged with, or the password."""
    tried: dict[str, Callable[[], object]] = {"the token of a login": lambda: sessions.ends_in_s(held[0])}
    tried |= {"a login in exchange": lambda: sessions.exchange(held[-1])}
    tried |= {"the password": lambda: sessions.log_in(user)} if by_password else {}
    for what, attempt in tried.items():
        try:
            let_in = attempt() is not None
        except PlatformError:
            let_in = False
        promise = "who has no account, or one that is locked, does not get in"
        _demand(stage, not let_in, "let-in", promise, "a refusal", f"let in with {what}")


def _demand(stage: Stage, good: bool, name: str, promise: str, expected: str, seen: object) -> None:
    if not good:
        witness = (f"the user {stage.about.owner} of {stage.about.tenant.id}",)
        stage.anomalies.append(Anomaly("SECURITY", name, promise, expected, str(seen), witness))
