"""What PyAirtable promises, as data."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from airproof.platform.manifest import (
    Access,
    Cached,
    Compensation,
    Entity,
    Manifest,
    Paged,
    Refusal,
    Route,
    Saga,
    Service,
    Step,
    Subscription,
)

GATEWAY, AUTH, ORCHESTRATOR = "api-gateway", "auth-service", "saga-orchestrator"
USERS, WORKSPACES, PERMISSIONS, NOTIFICATIONS = (
    "user-service",
    "workspace-service",
    "permission-service",
    "notification-service",
)
DEAD_LETTERS, REPLIES = "pyairtable.dlq.events", "pyairtable.sagas.replies"
KEY_REUSED = "idempotency-key-reused"
LONGEST_DEADLINE_S = 3600
TOO_LONG, NO_ADDRESS = f"{'x' * 250}@c.example", "a" * 250
"""A pattern that goes back over what it has seen would take ages to find out that the latter is no address."""

_HELD = Refusal("legal-hold", "a legal hold forbids to delete anything of the tenant")
_ROLE = ("user_id", "resource_type", "resource_id")

REGISTRATION = Saga(
    name="user_registration",
    orchestrator=ORCHESTRATOR,
    steps=(
        Step(
            name="create_credentials",
            participant=AUTH,
            effect="credential",
            event="credential.created",
            refusal=Refusal("email-taken", "the e-mail belongs to another account", lasts=True),
            compensation=Compensation("credential.removed", _HELD, tells=("user_id", "email")),
            tells=("user_id", "email"),
        ),
        Step(
            name="create_profile",
            participant=USERS,
            effect="profile",
            event="user.created",
            refusal=Refusal("seat-limit", "the tenant has no seat left", limit=100),
            compensation=Compensation("user.removed", _HELD, tells=("user_id", "email")),
            tells=("user_id", "email", "first_name", "last_name"),
            holds={"first_name": "{first_name}", "last_name": "{last_name}"},
        ),
        Step(
            name="create_workspace",
            participant=WORKSPACES,
            effect="workspace",
            event="workspace.created",
            refusal=Refusal("workspace-limit", "the tenant may have no more workspaces", limit=50),
            compensation=Compensation("workspace.removed", _HELD, tells=("workspace_id", "owner_id")),
            tells=("workspace_id", "owner_id", "name"),
            holds={"name": "{first_name}'s workspace"},
        ),
        Step(
            name="assign_permissions",
            participant=PERMISSIONS,
            effect="role_assignment",
            event="permissions.assigned",
            refusal=Refusal("role-limit", "the tenant may assign no more roles", limit=100),
            compensation=Compensation("permissions.revoked", _HELD, tells=_ROLE),
            tells=(*_ROLE, "role", "permissions"),
        ),
        Step(
            name="send_welcome_mail",
            participant=NOTIFICATIONS,
            effect="mail",
            event="welcome.email.sent",
            refusal=Refusal("mailbox-rejected", "the mail server rejects the recipient for good"),
            tells=("user_id", "recipient", "message_id"),
        ),
    ),
    pivot="send_welcome_mail",
    started="user.registration.started",
    completed="user.registration.completed",
    failed="user.registration.failed",
    compensated="user.registration.compensated",
    entrance=AUTH,
    needs_attention="user.registration.needs_attention",
    tells=("saga_id", "saga_type", "reason"),
    sends_mail_in="send_welcome_mail",
    sends_within_s=10,
    sends_at_once=8,
    invalid={
        "email": (
            *("", "nobody", "a b@c.example", "a@b", "a\x00b@c.example", "a@c.example\n", TOO_LONG, NO_ADDRESS),
            *("=?utf-8?q?=0A?=@c.example", "=?utf-8?q?a=40b.example?=@c.example"),
        ),
        "password": ("", "short", "x" * 257, "nul\x00nul"),
        "first_name": ("", "x" * 101, "a\nb", "a\n", "\x00"),
        "last_name": ("", "x" * 101, "a\n"),
        "tenant_id": ("", "a/b", "a\n", "x" * 65),
        "role": ("admin",),
        "deadline_s": (0, -1, LONGEST_DEADLINE_S + 1, "x", 1e300, [1]),
    },
    invalid_keys=("", "a b", "x" * 201, "é"),
    unusual={
        "email": (
            *(f"{name}@{{domain}}.example" for name in ("a+b", "a", "a.b", "a_b", "axb", "ab", "a%b", "o'neil-x=1")),
            f"{'x' * 64}@{'y' * 60}.{'z' * 60}.{{domain}}.example",
        ),
        "password": (
            *(" 8 chars", "pässwörter", '"quoted"\'', "x" * 256, "пароль-пароль", "密码密码密码密码", "😀" * 8),
            *("e\u0301 and \ufb01 8", "blanks  "),
        ),
        "first_name": (
            "O'Brien",
            "Zoë 😀",
            "x" * 100,
            "Robert'); DROP TABLE profiles;--",
            "<b>Ann</b>",
            "%s {0} \\n",
            " x  y ",
            "e\u0301",
            "\ufb01",
            "Ann,\u2028Bob\x85 <x>",
        ),
        "last_name": ("x", "de la Cruz-Müller, Jr.", "名前"),
        "tenant_id": ("{tenant}_A.b-C", f"{{tenant}}-{'x' * 48}"),
    },
    deadline_s=120,
    longest_deadline_s=LONGEST_DEADLINE_S,
)

WORKSPACE = Entity(
    "workspace",
    WORKSPACES,
    created="workspace.created",
    changed="workspace.renamed",
    removed="workspace.removed",
    unusual=(
        " ",
        " x ",
        "e\u0301 is not é",
        "Zoë 😀",
        "x" * 100,
        "Robert'); DROP TABLE x;--",
        "<b>&amp;</b>",
        "%s {0} \\n",
        "null",
    ),
    granted=(
        *("read", "view", "list", "download", "write", "update", "delete", "manage"),
        *("create project", "create base", "create airtable_base"),
    ),
    tells=("workspace_id", "owner_id", "name"),
    denied=(
        *("create", "own", "read project", "delete project", "update base", "write airtable_base", "create record"),
        *("%", "'", "rea_", "read %", "read '", 'read "', "read workspac_", "read x') OR ('1'='1"),
        *("read space", "read ace", "create ase", "write airtable"),
        *("*", "rea?", "read *", "read work*", "read .*", "read [a-z]*", "read Workspace"),
    ),
)

WORKSPACES_PATH = "/api/v1/workspaces"
_CHECK = {
    "user_id": "{owner}",
    "resource_type": "workspace",
    "resource_id": "{id}",
    "action": "read",
    "tenant_id": "{tenant}",
}
_RENAMING = {"name": "renamed", "expected_version": 1}
_LOGIN = {"email": "{email}", "password": "{password}"}
_NO_TEXT: tuple[object, ...] = (None, 5, True, ["x"], {"x": "y"})
_NO_WORD = (*_NO_TEXT, "", "a\x00b", "a\n", "x" * 101)
_INVALID_CHECK = {
    "user_id": (*_NO_TEXT, "", "nobody"),
    **dict.fromkeys(("resource_type", "resource_id", "action", "tenant_id"), _NO_WORD),
    "role": ("owner",),
}
_INVALID_RENAMING = {
    "name": (*_NO_TEXT, "", "x" * 101, "a\x00b", "a\nb", "a\n"),
    "expected_version": (None, "one", "", 0, -1, 1.5, 2**31 - 1, 2**31, 2**63, 2**70, [1]),
    "tenant_id": ("{tenant}-other",),
    "owner_id": ("{owner}",),
    "version": (7,),
}
_INVALID_LOGIN = {
    "email": (*_NO_TEXT, "", "nobody@nowhere.example", "' OR '1'='1' --", "%", "a\x00b", "x" * 300, NO_ADDRESS),
    "password": (*_NO_TEXT, "", "wrong", "' OR '1'='1' --", "nul\x00nul", "x" * 300),
    "role": ("admin",),
}
_INVALID_EXCHANGE = {"refresh_token": (*_NO_TEXT, "", "a\x00b", "é" * 43, "x" * 300), "role": ("admin",)}
_INVALID_PAGE = {
    "page": ("0", "-1", "x", "", "1000001", "1" + "0" * 19, "%00", "%e9"),
    "limit": ("0", "-1", "x", "101", "1" + "0" * 19),
}
_NO_TENANT = ("", "a%20b", "a%0a", "x" * 65, "%00", "%e9")
_SHOWN = {"id": "{id}", "owner_id": "{owner}", "tenant_id": "{tenant}"}
_KINDS = {"name": str, "version": int}
_SHOWN_PAGE = {
    **{f"data.0.{name}": value for name, value in _SHOWN.items()},
    "success": True,
    "page": 1,
    "limit": 1,
    "has_next": False,
}
_PAGE_KINDS: dict[str, type] = {"message": str, **{f"data.0.{name}": kind for name, kind in _KINDS.items()}}
_SAGA_KINDS: dict[str, type] = {
    "saga_type": str,
    "correlation_id": str,
    **{f"steps.{number}.attempts": int for number in range(len(REGISTRATION.steps))},
}
_SHOWN_USER = {
    "id": "{owner}",
    "tenant_id": "{tenant}",
    "email": "{email}",
    "first_name": "{first_name}",
    "last_name": "{last_name}",
}
_SHOWN_SELF = {"user_id": "{owner}", "tenant_id": "{tenant}", "email": "{email}", "role": "owner"}
_SELF_KINDS = {"exp": int, "iat": int}
_SHOWN_SAGAS = {"sagas.0.tenant_id": "{tenant}", "page": 1, "limit": 1, "has_prev": False}
PERMISSION_CHECK = "/api/v1/permissions/check"


def _route(name: str, request: str, service: str, access: Access, **more: Any) -> Route:
    method, _, path = request.partition(" ")
    return Route(name, method, path, WORKSPACE.name, service, access, **more)


ROUTES = (
    _route("read", f"GET {WORKSPACES_PATH}/{{id}}", WORKSPACES, Access.OWNER, shows=_SHOWN, kinds=_KINDS),
    _route(
        "list",
        f"GET {WORKSPACES_PATH}?limit=1",
        WORKSPACES,
        Access.USER,
        invalid_query=_INVALID_PAGE,
        shows=_SHOWN_PAGE,
        kinds=_PAGE_KINDS,
        queries={
            "": {**_SHOWN_PAGE, "limit": 20},
            "limit=1&page=2": {"data": [], "page": 2, "has_next": False, "has_prev": True},
            "limit=1&page=1000000": {"data": [], "page": 1_000_000, "has_next": False, "has_prev": True},
        },
        paged=Paged("page={page}&limit={limit}", "data", "id", "version", "name", "has_next", "has_prev"),
        from_replica=True,
    ),
    _route(
        "user",
        "GET /api/v1/users/{owner}",
        USERS,
        Access.TENANT,
        shows=_SHOWN_USER,
        kinds={"workspaces": int},
        settled={"workspaces": 1},
    ),
    _route(
        "check",
        f"POST {PERMISSION_CHECK}",
        PERMISSIONS,
        Access.TENANT,
        body=_CHECK,
        invalid=_INVALID_CHECK,
        shows={"allowed": True, "reason": "workspace.read is granted"},
    ),
    _route(
        "sagas",
        "GET /sagas?tenant_id={tenant}&limit=1",
        ORCHESTRATOR,
        Access.OPERATOR,
        invalid_query={**_INVALID_PAGE, "tenant_id": _NO_TENANT},
        shows=_SHOWN_SAGAS,
        kinds={f"sagas.0.{name}": kind for name, kind in _SAGA_KINDS.items()},
        queries={
            "tenant_id=nobody": {"sagas": []},
            "tenant_id={tenant}": {**_SHOWN_SAGAS, "limit": 20, "has_next": False},
            "tenant_id={tenant}&limit=1&page=2": {"sagas": [], "page": 2, "has_next": False, "has_prev": True},
        },
    ),
    _route(
        "saga",
        "GET /sagas/{saga}",
        ORCHESTRATOR,
        Access.OPERATOR,
        shows={"saga_id": "{saga}", "state": "completed"},
        kinds=_SAGA_KINDS,
    ),
    _route("me", "GET /auth/me", AUTH, Access.SELF, shows=_SHOWN_SELF, kinds=_SELF_KINDS),
    _route("validate", "POST /auth/validate", AUTH, Access.SELF, shows=_SHOWN_SELF, kinds=_SELF_KINDS),
    _route(
        "login",
        "POST /auth/login",
        AUTH,
        Access.ANYBODY,
        body=_LOGIN,
        invalid=_INVALID_LOGIN,
        alike=("email",),
        shows={"token_type": "Bearer"},
        kinds={"access_token": str, "refresh_token": str, "expires_in": int},
    ),
    _route(
        "rename",
        f"PATCH {WORKSPACES_PATH}/{{id}}",
        WORKSPACES,
        Access.OWNER,
        body=_RENAMING,
        changes=True,
        invalid=_INVALID_RENAMING,
        shows=_SHOWN,
        kinds=_KINDS,
    ),
)


def _operators(step: Step) -> Iterator[Route]:
    """What the step's participant does for operators alone."""
    asked: dict[str, dict[str, Any]] = {"POST /api/v1/outbox/{id}/retry": {"answered": 404}}
    if step.refusal and step.refusal.limit:
        limit = {"value": 10**9}
        asked[f"PUT {_RULES}/limits"] = {"body": limit, "invalid": _INVALID_LIMIT, "shows": limit}
        asked[f"DELETE {_RULES}/limits"] = {"answered": 204}
    if step.compensation:
        asked |= {f"{method} {_RULES}/legal-hold": {"answered": 204} for method in ("PUT", "DELETE")}
    for request, more in asked.items():
        yield _route(f"{request} of {step.participant}", request, step.participant, Access.OPERATOR, **more)


_RULES = "/api/v1/tenants/{tenant}"
_INVALID_LIMIT = {"value": (None, "x", "", -1, 1.5, 10**9 + 1, 2**63, 2**70, [1]), "tenant_id": ("{tenant}",)}
_START = {"saga_type": REGISTRATION.name, "correlation_id": "{id}", "tenant_id": "{tenant}", "input_data": {}}
_NEEDED = dict.fromkeys(("email", "password_hash", "first_name", "last_name"), "x")
_LACKING = tuple({name: "x" for name in _NEEDED if name != one} for one in _NEEDED)
_INVALID_START: dict[str, tuple[object, ...]] = {
    "saga_type": (None, 5, "", "none"),
    "input_data": (None, "x", [], {**_NEEDED, "role": "admin"}, *_LACKING),
}
_ERRORS = {
    400: ("bad-request", "invalid-request", "idempotency-key-required", "invalid-idempotency-key"),
    401: ("unauthorized", "service-unauthorized", "invalid-token", "invalid-credentials"),
    403: ("forbidden", "inactive"),
    404: ("not-found",),
    405: ("method-not-allowed",),
    409: ("version-conflict", KEY_REUSED, "correlation-id-reused"),
    413: ("too-large",),
    422: ("invalid-request",),
    500: ("internal-error",),
    503: tuple(f"{what}-unavailable" for what in ("database", "identity", "registration", "sessions", "upstream")),
    504: ("upstream-timeout",),
}

REFUSED = (
    _route(
        "exchange",
        "POST /auth/refresh",
        AUTH,
        Access.ANYBODY,
        body={"refresh_token": "{id}"},
        invalid=_INVALID_EXCHANGE,
    ),
    # Without an idempotency key.
    _route(
        "register",
        "POST /auth/register",
        AUTH,
        Access.ANYBODY,
        body={**_LOGIN, "first_name": "Ann", "last_name": "Other", "tenant_id": "{tenant}"},
        invalid=REGISTRATION.invalid,
    ),
)
CACHE = Cached(
    WORKSPACE.name,
    "redis",
    (WORKSPACE.changed, WORKSPACE.removed),
    longest_s=900,
    shortest_s=60,
    keeper=f"{WORKSPACES}.cache",
)
_SENDS_AT_ONCE = 64

MANIFEST = Manifest(
    name="pyairtable",
    services=(
        Service(AUTH, "auth", 12, _SENDS_AT_ONCE, calls=(ORCHESTRATOR,)),
        Service(USERS, "users", 12, _SENDS_AT_ONCE),
        Service(WORKSPACES, "workspaces", 12, _SENDS_AT_ONCE),
        Service(PERMISSIONS, "permissions", 12, _SENDS_AT_ONCE),
        Service(NOTIFICATIONS, "notifications", 0, _SENDS_AT_ONCE, calls=("smtp",)),
        Service(ORCHESTRATOR, "sagas", 0, _SENDS_AT_ONCE),
        Service(GATEWAY, calls=(AUTH, ORCHESTRATOR, USERS, WORKSPACES, PERMISSIONS)),
    ),
    sagas=(REGISTRATION,),
    subscriptions=(
        Subscription(USERS, "workspace.created", "workspaces"),
        Subscription(USERS, "workspace.removed", "workspaces"),
    ),
    entities=(WORKSPACE,),
    caches=(CACHE,),
    routes=ROUTES,
    closed=(
        *(route for step in REGISTRATION.steps for route in _operators(step)),
        _route(
            "start",
            "POST /sagas/start",
            ORCHESTRATOR,
            Access.SERVICE,
            body=_START,
            answered=422,
            invalid=_INVALID_START,
        ),
    ),
    refused=REFUSED,
    gateway=GATEWAY,
    identity=AUTH,
    secrets=("service_secret", "admin_key"),
    tokens_last_s=10.0,
    token_header="X-Service-Token",
    largest_request=1_000_000,
    longest_key=200,
    exchangeable_s=7 * 24 * 3600,
    errors=_ERRORS,
    key_reused=KEY_REUSED,
)
