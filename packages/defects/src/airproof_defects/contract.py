"""Seeded defects of what a service takes, and of the form of what it says."""

from __future__ import annotations

from airproof_defects.defect import Defect, Edit

AUTH_HTTP = "services/auth_service/entrypoints/http.py"

DEFECTS: tuple[Defect, ...] = (
    Defect(
        id="CT06",
        category="CONTRACT",
        what="a field that an answer was given later is not filled in",
        trigger="somebody asks for a user",
        edits=(
            Edit(
                "services/user_service/entrypoints/http.py",
                "    last_name: str\n",
                "    last_name: str | None = None\n",
            ),
            Edit(
                "services/user_service/entrypoints/http.py",
                "    return ProfileAnswer.model_validate(profile, from_attributes=True)",
                '    known = set(ProfileAnswer.model_fields) - {"last_name"}\n'
                "    told = {name: getattr(profile, name) for name in known}\n"
                "    return ProfileAnswer.model_validate(told)",
            ),
        ),
    ),
    Defect(
        id="CT13",
        category="CONTRACT",
        what="blanks round a name are taken off",
        trigger="somebody gives a name that begins or ends with one",
        edits=(
            Edit(
                "services/workspace_service/entrypoints/http.py",
                "user, workspace_id, body.name, expected",
                "user, workspace_id, body.name.strip() or body.name, expected",
            ),
        ),
    ),
    Defect(
        id="CT08",
        category="CONTRACT",
        what="a number that no column holds reaches the database",
        trigger="a workspace is renamed at version 2^70",
        edits=(
            Edit(
                "services/workspace_service/entrypoints/http.py",
                "expected_version: int = Field(ge=1, lt=2**31 - 1)",
                "expected_version: int = Field(ge=1)",
            ),
        ),
    ),
    Defect(
        id="CT09",
        category="CONTRACT",
        what="a workspace may have any name, and the gateway takes a request of any size",
        trigger="a workspace gets a name with a line break, or one of a million letters",
        edits=(
            Edit(
                "services/workspace_service/entrypoints/http.py",
                'name: str = Field(min_length=1, max_length=100, pattern=r"^[^\\x00-\\x1f\\x7f]+$")',
                "name: str",
            ),
            Edit(
                "services/api_gateway/entrypoints/http.py",
                "        if len(body) > MAX_BODY_BYTES:\n",
                "        if len(body) > 1000 * MAX_BODY_BYTES:\n",
            ),
        ),
    ),
    Defect(
        id="CT12",
        category="CONTRACT",
        what="an invalid request is told as such in a shape of its own",
        trigger="a field is missing",
        edits=(
            Edit(
                "kit/http/errors.py",
                "        RequestValidationError: _invalid,\n",
                "",
            ),
        ),
    ),
    Defect(
        id="CT11",
        category="CONTRACT",
        what="a start under a known key is compared by its e-mail alone",
        trigger="the key of a start is used again for somebody of another name",
        edits=(
            Edit(
                "kit/saga/orchestrator.py",
                "saga.input != start.input",
                'saga.input["email"] != start.input["email"]',
            ),
        ),
    ),
    Defect(
        id="CT14",
        category="CONTRACT",
        what="of the key of a start the first 64 letters count",
        trigger="two starts under long keys that differ at the end",
        edits=(
            Edit(
                "services/auth_service/entrypoints/http.py",
                "Registration(**body.model_dump()), idempotency_key)",
                "Registration(**body.model_dump()), idempotency_key[:64])",
            ),
        ),
    ),
    Defect(
        id="CT15",
        category="CONTRACT",
        what="an update that is asked for again is known only as long as it is the last one",
        trigger="an update is asked for again when another one has followed it",
        edits=(
            Edit(
                "services/workspace_service/application/directory.py",
                "            event = await work.events.find(str(renamed.id), renamed.version)\n",
                "            if await work.events.version(str(renamed.id)) != renamed.version:\n"
                "                return False\n"
                "            event = await work.events.find(str(renamed.id), renamed.version)\n",
            ),
        ),
    ),
    Defect(
        id="CT20",
        category="CONTRACT",
        what="addresses that differ behind a plus are one",
        trigger="somebody registers with an address and then with the same one and a plus",
        edits=(
            Edit(
                "services/auth_service/domain/credential.py",
                "    return email.strip().lower()\n",
                (
                    '    local, _, domain = email.strip().lower().rpartition("@")\n'
                    "    return f\"{local.partition('+')[0]}@{domain}\"\n"
                ),
            ),
        ),
    ),
    Defect(
        id="CT21",
        category="CONTRACT",
        what="blanks in a name are put in order",
        trigger="somebody registers with a name that has two of them in a row",
        edits=(
            Edit(
                "services/auth_service/application/accounts.py",
                '"first_name": registration.first_name,',
                '"first_name": " ".join(registration.first_name.split()),',
            ),
        ),
    ),
    Defect(
        id="CT04",
        category="CONTRACT",
        what="an unknown saga is told as null",
        trigger="somebody asks for a saga that there is not",
        edits=(
            Edit(
                "services/saga_orchestrator/entrypoints/http.py",
                "async def get_saga(saga_id: UUID, orchestrator: Application) -> SagaAnswer:",
                "async def get_saga(saga_id: UUID, orchestrator: Application) -> SagaAnswer | None:",
            ),
            Edit(
                "services/saga_orchestrator/entrypoints/http.py",
                (
                    "    if saga is None:\n"
                    '        raise ApiError(404, "not-found", f"there is no saga {saga_id}")\n'
                    "    return SagaAnswer.of(saga)\n"
                ),
                "    return SagaAnswer.of(saga) if saga else None\n",
            ),
        ),
    ),
    Defect(
        id="CT03",
        category="CONTRACT",
        what="a page has no usual size any more",
        trigger="somebody asks for a list without saying how long it may be",
        edits=(
            Edit(
                "services/workspace_service/entrypoints/http.py",
                ("    user: User,\n    directory: Application,\n    page: "),
                (
                    "    user: User,\n"
                    "    directory: Application,\n"
                    "    limit: Annotated[int, Query(ge=1, le=100)],\n"
                    "    page: "
                ),
            ),
            Edit(
                "services/workspace_service/entrypoints/http.py",
                "    limit: Annotated[int, Query(ge=1, le=100)] = 20,\n",
                "",
            ),
        ),
    ),
    Defect(
        id="CT22",
        category="CONTRACT",
        what="that the database is away is told in plain text",
        trigger="the database is away",
        edits=(
            Edit(
                "kit/http/errors.py",
                '    return error_response(503, "database-unavailable", "try again")\n',
                (
                    "    from fastapi.responses import PlainTextResponse\n"
                    "\n"
                    '    return PlainTextResponse("try again", 503)  # type: ignore[return-value]\n'
                ),
            ),
        ),
    ),
    Defect(
        id="CT23",
        category="CONTRACT",
        what="a limit may be any number",
        trigger="an operator sets a limit below zero",
        edits=(
            Edit(
                "kit/http/tenancy.py",
                "    value: int = Field(ge=0, le=1_000_000_000)\n",
                "    value: int\n",
            ),
        ),
    ),
    Defect(
        id="CT24",
        category="CONTRACT",
        what="a mail greets a placeholder",
        trigger="somebody registers",
        edits=(
            Edit(
                "services/notification_service/domain/mail.py",
                'f"Hello {first_name}',
                '"Hello {first_name}',
            ),
        ),
    ),
    Defect(
        id="CT25",
        category="CONTRACT",
        what="a page past the end of a list is an error",
        trigger="somebody asks for the page after the last",
        edits=(
            Edit(
                "services/workspace_service/entrypoints/http.py",
                "    data = [WorkspaceAnswer",
                (
                    "    if page > 1 and not found:\n"
                    '        raise ApiError(404, "not-found", f"there is no page {page}")\n'
                    "    data = [WorkspaceAnswer"
                ),
            ),
        ),
    ),
    Defect(
        id="CT26",
        category="CONTRACT",
        what="any text is a key of a change",
        trigger="a workspace is renamed under a key with a blank in it",
        edits=(
            Edit(
                "services/workspace_service/entrypoints/http.py",
                "    if idempotency_key and not is_identifier(idempotency_key):\n",
                "    if len(idempotency_key) > 10_000:\n",
            ),
        ),
    ),
    Defect(
        id="CT65",
        category="CONTRACT",
        what="a legal hold that is there already is an error",
        trigger="an operator sets a legal hold twice",
        edits=(
            Edit(
                "kit/tenancy.py",
                "values(tenant_id=tenant_id).on_conflict_do_nothing()",
                "values(tenant_id=tenant_id)",
            ),
        ),
    ),
    Defect(
        id="CT90",
        category="CONTRACT",
        what="a list never says that there is more",
        trigger="somebody has more than a page holds",
        edits=(Edit("services/workspace_service/entrypoints/http.py", "limit=limit + 1)", "limit=limit)"),),
    ),
    Defect(
        id="CT91",
        category="CONTRACT",
        what="a user is shown without how many workspaces they have",
        trigger="somebody asks for a user when their workspace has been counted",
        edits=(
            Edit(
                "services/user_service/entrypoints/http.py",
                "    return ProfileAnswer.model_validate(profile, from_attributes=True)\n",
                '    return ProfileAnswer.model_validate({**asdict(profile), "workspaces": 0})\n',
            ),
            Edit(
                "services/user_service/entrypoints/http.py",
                "from uuid import UUID\n",
                "from dataclasses import asdict\nfrom uuid import UUID\n",
            ),
        ),
    ),
    Defect(
        id="CT60",
        category="CONTRACT",
        what="a workspace is named after its owner's family",
        trigger="a saga",
        edits=(
            Edit(
                "services/saga_orchestrator/domain/registration.py",
                "f\"{given['first_name']}'s workspace\"",
                "f\"{given['last_name']}'s workspace\"",
            ),
        ),
    ),
    Defect(
        id="CT61",
        category="CONTRACT",
        what="an event that a role is taken away does not tell of what",
        trigger="somebody is removed",
        edits=(
            Edit(
                "services/permission_service/application/steps.py",
                '    lambda row: {"user_id": str(row.user_id), "resource_type": row.resource_type, '
                '"resource_id": row.resource_id},\n',
                '    lambda row: {"user_id": str(row.user_id), "role": row.role},\n',
            ),
        ),
    ),
    Defect(
        id="CT120",
        category="CONTRACT",
        what="an address with an apostrophe is refused",
        trigger="somebody registers with one",
        edits=(
            Edit(
                "services/auth_service/entrypoints/http.py",
                '_ATOM = r"[A-Za-z0-9!#$%&\'*+/=^_`{|}~-]+"',
                '_ATOM = r"[A-Za-z0-9%+_-]+"',
            ),
        ),
    ),
    Defect(
        id="CT122",
        category="CONTRACT",
        what="the event of a renaming does not tell whose workspace it is",
        trigger="a workspace is renamed",
        edits=(
            Edit(
                "services/workspace_service/application/directory.py",
                '"owner_id": str(before.owner_id), "name": name}',
                '"name": name}',
            ),
        ),
    ),
    Defect(
        id="CT123",
        category="CONTRACT",
        what="an id that is none is looked up all the same",
        trigger="an operator has a message sent again whose id is none",
        edits=(Edit("kit/http/app.py", "async def retry(message_id: UUID, ", "async def retry(message_id: str, "),),
    ),
    Defect(
        id="CT130",
        category="CONTRACT",
        what="the list of a tenant's sagas is cut off, and does not say so",
        trigger="a tenant has more than a page of them",
        edits=(
            Edit(
                "services/saga_orchestrator/entrypoints/http.py",
                "offset=(page - 1) * limit, limit=limit + 1)",
                "offset=(page - 1) * limit, limit=limit)",
            ),
        ),
    ),
    Defect(
        id="CT131",
        category="CONTRACT",
        what="who uses a key for another renaming is told that somebody else was faster",
        trigger="a key is used again at the last version",
        edits=(
            Edit(
                "services/workspace_service/application/directory.py",
                'ApiError(409, "idempotency-key-reused", ',
                'ApiError(409, "version-conflict", ',
            ),
        ),
    ),
    Defect(
        id="CT132",
        category="CONTRACT",
        what="a registration may take less long than is promised",
        trigger="somebody gives one as long as any may take",
        edits=(
            Edit(
                "services/auth_service/entrypoints/http.py",
                "deadline_s: float | None = Field(default=None, gt=0, le=3600)",
                "deadline_s: float | None = Field(default=None, gt=0, le=600)",
            ),
        ),
    ),
    Defect(
        id="CT02",
        category="CONTRACT",
        what="the version of an event is told as text",
        trigger="an event",
        edits=(
            Edit(
                "kit/envelope.py",
                "        return value\n",
                "        return {name: str(told) if isinstance(told, int) else told for name, told in value.items()}\n",
            ),
        ),
    ),
    Defect(
        id="CT230",
        category="CONTRACT",
        what="how often a step was asked for is told of none that has ended",
        trigger="an operator looks at a saga",
        edits=(
            Edit(
                "services/saga_orchestrator/entrypoints/http.py",
                "    attempts: int\n",
                "    attempts: int | None = None\n",
            ),
            Edit(
                "services/saga_orchestrator/entrypoints/http.py",
                "attempts=step.attempts, reason",
                "attempts=step.attempts if step.resend_at else None, reason",
            ),
        ),
    ),
    Defect(
        id="CT231",
        category="CONTRACT",
        what="services do not describe any more what they can be asked for",
        trigger="somebody reads a service's OpenAPI document",
        edits=(Edit("kit/http/app.py", "redoc_url=None, lifespan", "redoc_url=None, openapi_url=None, lifespan"),),
    ),
    Defect(
        id="CT310",
        category="CONTRACT",
        what="a name that is not blank may end with a line feed, which the end of a pattern lets through",
        trigger="somebody registers under such a name",
        edits=(
            Edit(
                "services/auth_service/entrypoints/http.py",
                'Name = Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[^',
                'Name = Annotated[str, Field(min_length=1, max_length=100, pattern=r"^(?!\\s*$)[^',
            ),
            Edit(
                "services/auth_service/entrypoints/http.py",
                'ConfigDict(extra="forbid")',
                'ConfigDict(extra="forbid", regex_engine="python-re")',
            ),
        ),
    ),
    Defect(
        id="CT350",
        category="CONTRACT",
        what="that a saga is completed is told without the fields that are empty then",
        trigger="somebody registers",
        edits=(
            Edit(
                "kit/saga/orchestrator.py",
                '"saga_type": saga.saga_type, "reason": saga.reason}\n',
                '"saga_type": saga.saga_type} | ({"reason": saga.reason} if saga.reason else {})\n',
            ),
        ),
    ),
    Defect(
        id="CT320",
        category="CONTRACT",
        what="the column of a limit holds less than a limit may be",
        trigger="an operator sets a limit of more than 32767",
        edits=(
            Edit("kit/schema.py", "    MetaData,\n    Table,", "    MetaData,\n    SmallInteger,\n    Table,"),
            Edit("kit/schema.py", 'Column("value", Integer,', 'Column("value", SmallInteger,'),
        ),
    ),
    Defect(
        id="CT340",
        category="CONTRACT",
        what="a mail's head names its user, and not every letter of a name may stand there",
        trigger="a name with a line separator",
        edits=(
            Edit(
                "services/notification_service/domain/mail.py",
                '    message["Subject"] = "Welcome to PyAirtable"\n',
                '    message["Subject"] = f"Welcome to PyAirtable, {first_name}"\n',
            ),
        ),
    ),
    Defect(
        id="CT410",
        category="CONTRACT",
        what="the letters of a password are put in order before it is kept, and not before it is compared",
        trigger="a password with a letter that can be written in two ways",
        edits=(
            Edit(
                "services/auth_service/domain/passwords.py",
                '    return f"scrypt$',
                '    password = unicodedata.normalize("NFKC", password)\n    return f"scrypt$',
            ),
            Edit("services/auth_service/domain/passwords.py", "import json\n", "import json\nimport unicodedata\n"),
        ),
    ),
    Defect(
        id="CT411",
        category="CONTRACT",
        what="only who says JSON and nothing more of it may send something",
        trigger="a client that says which letters it writes, too",
        edits=(
            Edit(
                "services/api_gateway/entrypoints/http.py",
                "    service = upstream(path)\n",
                '    if request.headers.get("content-type", "application/json") != "application/json":\n'
                '        raise ApiError(415, "unsupported-media-type", "only JSON is taken")\n'
                "    service = upstream(path)\n",
            ),
        ),
    ),
    Defect(
        id="CT412",
        category="CONTRACT",
        what="that a request is not right is told, and not where",
        trigger="a request with one field that is not right",
        edits=(
            Edit(
                "kit/http/errors.py",
                "    problems = \"; \".join(f\"{'.'.join(map(str, found['loc']))}: {found['msg']}\" "
                "for found in error.errors())\n"
                '    return error_response(422, "invalid-request", problems.encode("utf-8", "replace").decode())\n',
                '    return error_response(422, "invalid-request", f"problems: {len(error.errors())}")\n',
            ),
        ),
    ),
    Defect(
        id="CT450",
        category="CONTRACT",
        what="the key of a change is looked for in the last event only",
        trigger="a key is used again when something else has changed since",
        edits=(
            Edit(
                "kit/event_store.py",
                'domain_events.c.version <= bindparam("version")',
                'domain_events.c.version == bindparam("version")',
            ),
        ),
    ),
    Defect(
        id="CT451",
        category="CONTRACT",
        what="a field that other messages have always had must be in a message that has it lately",
        trigger="a command of the version before arrives",
        edits=(
            Edit(
                "services/permission_service/application/steps.py",
                '        resource_type="workspace",\n',
                '        resource_type=command.payload["resource_type"],\n',
            ),
            Edit(
                "services/saga_orchestrator/domain/registration.py",
                '"workspace_id": known["workspace_id"]}',
                '"workspace_id": known["workspace_id"], "resource_type": "workspace"}',
            ),
        ),
    ),
    Defect(
        id="CT430",
        category="CONTRACT",
        what="a field of a command is called otherwise, by who asks and by who does it",
        trigger="a saga",
        edits=(
            Edit(
                "services/saga_orchestrator/domain/registration.py",
                '    return {"owner_id": known["user_id"], "name"',
                '    return {"user_id": known["user_id"], "name"',
            ),
            Edit(
                "services/workspace_service/application/steps.py",
                'UUID(command.payload["owner_id"])',
                'UUID(command.payload["user_id"])',
            ),
        ),
    ),
    Defect(
        id="CT520",
        category="CONTRACT",
        what="whether somebody registers with an address is found out by a pattern that tries all ways to divide it",
        trigger="somebody registers with a long word that is no address",
        edits=(
            Edit(AUTH_HTTP, "from typing import Annotated\n\nfrom", "import re\nfrom typing import Annotated\n\nfrom"),
            Edit(AUTH_HTTP, "from pydantic import BaseModel,", "from pydantic import AfterValidator, BaseModel,"),
            Edit(
                AUTH_HTTP,
                "Email = Annotated[str, Field(max_length=254, pattern=EMAIL_PATTERN)]\n",
                '_EMAIL = re.compile(rf"(?:{_ATOM}\\.?)+(?<!\\.)@{_LABEL}(?:\\.{_LABEL})+")\n\n\n'
                "def _address(text: str) -> str:\n"
                "    if not _EMAIL.fullmatch(text):\n"
                '        raise ValueError("is no e-mail address")\n'
                "    return text\n\n\n"
                "Email = Annotated[str, Field(max_length=254), AfterValidator(_address)]\n",
            ),
        ),
    ),
    Defect(
        id="CT521",
        category="CONTRACT",
        what="what cannot be an address is told apart at a login by a pattern that tries all ways to divide it",
        trigger="somebody logs in with a long word that is no address",
        edits=(
            Edit(AUTH_HTTP, "from typing import Annotated\n\nfrom", "import re\nfrom typing import Annotated\n\nfrom"),
            Edit(AUTH_HTTP, "from pydantic import BaseModel,", "from pydantic import AfterValidator, BaseModel,"),
            Edit(
                AUTH_HTTP,
                "class LoginRequest(_Strict):\n",
                "def _stripped(text: str) -> str:\n"
                '    return text.strip() if re.match(r"\\s*(?:[^@\\s]+)+@\\S+\\s*$", text) else ""\n\n\n'
                "class LoginRequest(_Strict):\n",
            ),
            Edit(
                AUTH_HTTP,
                'email: Annotated[str, Field(max_length=254, pattern=r"^[^\\x00]*$")]',
                'email: Annotated[str, Field(max_length=254, pattern=r"^[^\\x00]*$"), AfterValidator(_stripped)]',
            ),
        ),
    ),
    Defect(
        id="CT522",
        category="CONTRACT",
        what="what is exchanged may be left out, for it may come in a cookie some day",
        trigger="somebody exchanges nothing",
        edits=(
            Edit(
                AUTH_HTTP,
                "    refresh_token: Annotated[str, Field(max_length=256, repr=False)]\n",
                "    refresh_token: Annotated[str | None, Field(max_length=256, repr=False)] = None\n",
            ),
        ),
    ),
    Defect(
        id="CT523",
        category="CONTRACT",
        what="whatever is exchanged is taken for ASCII, as tokens are",
        trigger="somebody exchanges what is none of ours, with other letters in it",
        edits=(
            Edit(
                AUTH_HTTP,
                "return await accounts.refresh(body.refresh_token)",
                'return await accounts.refresh(body.refresh_token.encode("ascii").decode())',
            ),
        ),
    ),
    Defect(
        id="CT560",
        category="CONTRACT",
        what="without a key the correlation id serves as one",
        trigger="a client does two things in one conversation",
        edits=(
            Edit(
                "services/workspace_service/application/directory.py",
                "                cause = Cause(owner.tenant_id, correlation_id, key or correlation_id, SERVICE)\n",
                "                key = key or correlation_id\n"
                "                cause = Cause(owner.tenant_id, correlation_id, key, SERVICE)\n",
            ),
            Edit(
                "services/workspace_service/application/directory.py",
                "                if key and await work.events.knows(",
                "                if await work.events.knows(",
            ),
            Edit(
                "services/workspace_service/application/directory.py",
                "            if key and await self._was_done(renamed, key):\n",
                "            if await self._was_done(renamed, key):\n",
            ),
        ),
    ),
    Defect(
        id="CT600",
        category="CONTRACT",
        what="an answer has the limits of the request to change it",
        trigger="what is shown was made longer than it may be changed to",
        edits=(
            Edit(
                "services/workspace_service/entrypoints/http.py",
                'router = APIRouter(prefix="/api/v1/workspaces", tags=["workspaces"])\n',
                'router = APIRouter(prefix="/api/v1/workspaces", tags=["workspaces"])\n'
                "\n"
                "\n"
                "Name = Annotated[str, Field(min_length=1, max_length=100, "
                'pattern=r"^[^\\x00-\\x1f\\x7f]+$")]\n',
            ),
            Edit(
                "services/workspace_service/entrypoints/http.py",
                "    name: str\n    version: int\n",
                "    name: Name\n    version: int = Field(ge=1)\n",
            ),
            Edit(
                "services/workspace_service/entrypoints/http.py",
                '    name: str = Field(min_length=1, max_length=100, pattern=r"^[^\\x00-\\x1f\\x7f]+$")\n',
                "    name: Name\n",
            ),
        ),
    ),
    Defect(
        id="CT601",
        category="CONTRACT",
        what="messages whose time stamp is not in the past are refused",
        trigger="the clock of whoever sends is ahead by less than a second",
        edits=(
            Edit(
                "kit/envelope.py",
                "from datetime import datetime\n",
                "",
            ),
            Edit(
                "kit/envelope.py",
                "from pydantic import TypeAdapter, ValidationError\n",
                "from pydantic import PastDatetime, TypeAdapter, ValidationError\n",
            ),
            Edit(
                "kit/envelope.py",
                "    version: int\n    timestamp: datetime\n",
                "    version: int\n    timestamp: PastDatetime\n",
            ),
            Edit(
                "kit/envelope.py",
                "    correlation_id: str\n    timestamp: datetime\n",
                "    correlation_id: str\n    timestamp: PastDatetime\n",
            ),
        ),
    ),
    Defect(
        id="CT602",
        category="CONTRACT",
        what="an address is normalised by who keeps it, and not before the saga starts",
        trigger="an address is spelled in capitals",
        edits=(
            Edit(
                "services/auth_service/application/accounts.py",
                '                "email": normalised(registration.email),\n',
                '                "email": registration.email,\n',
            ),
            Edit(
                "services/auth_service/application/steps.py",
                "from pyairtable_reference.services.auth_service.domain.credential import Credential\n",
                "from pyairtable_reference.services.auth_service.domain.credential import Credential, normalised\n",
            ),
            Edit(
                "services/auth_service/application/steps.py",
                '        email=command.payload["email"],\n',
                '        email=normalised(command.payload["email"]),\n',
            ),
        ),
    ),
    Defect(
        id="CT603",
        category="CONTRACT",
        what="two starts are compared by their values, written as one",
        trigger="a letter of one field stands in the next one",
        edits=(
            Edit(
                "kit/saga/orchestrator.py",
                "BATCH = 50\n",
                "BATCH = 50\n"
                "\n"
                "\n"
                "def _written_as_one(given: dict[str, object]) -> str:\n"
                '    return "".join(str(given[name]) for name in sorted(given))\n',
            ),
            Edit(
                "kit/saga/orchestrator.py",
                "saga.input != start.input",
                "_written_as_one(saga.input) != _written_as_one(start.input)",
            ),
        ),
    ),
    Defect(
        id="CT604",
        category="CONTRACT",
        what="the store gives out no more rows than a page may have, the one that tells of more included",
        trigger="list more sagas than fit on the largest page, in such pages",
        edits=(
            Edit(
                "kit/saga/store.py",
                '_STEP = ("state", "attempts", "command_id", "reason", "result", "resend_at")\n',
                '_STEP = ("state", "attempts", "command_id", "reason", "result", "resend_at")\nLARGEST_PAGE = 100\n',
            ),
            Edit(
                "kit/saga/store.py",
                "        return await self._all(_OF_TENANT, tenant=tenant_id, offset=offset, limit=limit)\n",
                "        return await self._all(_OF_TENANT, tenant=tenant_id, offset=offset, "
                "limit=min(limit, LARGEST_PAGE))\n",
            ),
        ),
    ),
    Defect(
        id="CT605",
        category="CONTRACT",
        what="whether there is another page follows from how much the whole tenant has",
        trigger="go through a list of one of two users of a tenant",
        edits=(
            Edit(
                "services/workspace_service/adapters/workspaces.py",
                "from sqlalchemy import insert, select, update\n",
                "from sqlalchemy import func, insert, select, update\n",
            ),
            Edit(
                "services/workspace_service/adapters/workspaces.py",
                "        return [Workspace(*row) for row in rows]\n",
                "        return [Workspace(*row) for row in rows]\n"
                "\n"
                "    async def count(self, tenant_id: str) -> int:\n"
                '        """How many workspaces there are."""\n'
                "        counted = "
                "select(func.count()).select_from(workspaces).where(workspaces.c.tenant_id == tenant_id)\n"
                "        return int((await self._connection.execute(counted)).scalar_one())\n",
            ),
            Edit(
                "services/workspace_service/application/directory.py",
                "    async def owned_by(self, owner: Identity, *, offset: int, limit: int) -> list[Workspace]:\n"
                '        """A user\'s workspaces, oldest first."""\n'
                "        async with self._replica.connect() as connection:\n"
                "            found = Workspaces(connection).owned_by(owner.tenant_id, owner.user_id, "
                "offset=offset, limit=limit)\n"
                "            return await found\n",
                "    async def owned_by(self, owner: Identity, *, offset: int, limit: int) -> "
                "tuple[list[Workspace], int]:\n"
                '        """A page of a user\'s workspaces, oldest first, and how many there are in '
                'all."""\n'
                "        async with self._replica.connect() as connection:\n"
                "            workspaces = Workspaces(connection)\n"
                "            found = await workspaces.owned_by(owner.tenant_id, owner.user_id, "
                "offset=offset, limit=limit)\n"
                "            return found, await workspaces.count(owner.tenant_id)\n",
            ),
            Edit(
                "services/workspace_service/entrypoints/http.py",
                "    found = await directory.owned_by(user, offset=(page - 1) * limit, limit=limit + 1)\n"
                "    data = [WorkspaceAnswer.model_validate(workspace, from_attributes=True) for workspace "
                "in found[:limit]]\n"
                "    return Page(data=data, page=page, limit=limit, has_next=len(found) > limit, "
                "has_prev=page > 1)\n",
                "    found, total = await directory.owned_by(user, offset=(page - 1) * limit, limit=limit)\n"
                "    data = [WorkspaceAnswer.model_validate(workspace, from_attributes=True) for workspace "
                "in found]\n"
                "    return Page(data=data, page=page, limit=limit, has_next=page * limit < total, "
                "has_prev=page > 1)\n",
            ),
        ),
    ),
    Defect(
        id="CT606",
        category="CONTRACT",
        what="sagas are listed by their last change",
        trigger="list the sagas of a tenant while they go on",
        edits=(
            Edit(
                "kit/saga/store.py",
                "    .order_by(saga_instances.c.created_at.desc(), saga_instances.c.id, saga_steps.c.position)\n",
                "    .order_by(saga_instances.c.updated_at.desc(), saga_instances.c.id, saga_steps.c.position)\n",
            ),
            Edit(
                "kit/saga/store.py",
                "        .order_by(saga_instances.c.created_at.desc(), saga_instances.c.id)\n",
                "        .order_by(saga_instances.c.updated_at.desc(), saga_instances.c.id)\n",
            ),
        ),
    ),
    Defect(
        id="CT607",
        category="CONTRACT",
        what="a list leaves out what is null",
        trigger="list sagas",
        edits=(
            Edit(
                "services/saga_orchestrator/entrypoints/http.py",
                '@router.get("", dependencies=[Depends(require_service_or_operator)])\n',
                "# A page is mostly steps without a reason: what is null is not sent.\n"
                '@router.get("", dependencies=[Depends(require_service_or_operator)], '
                "response_model_exclude_none=True)\n",
            ),
        ),
    ),
    Defect(
        id="CT608",
        category="CONTRACT",
        what="a login takes an address in one spelling only",
        trigger="somebody logs in with blanks around their address",
        edits=(
            Edit(
                "services/auth_service/entrypoints/http.py",
                '    email: Annotated[str, Field(max_length=254, pattern=r"^[^\\x00]*$")]\n',
                "    email: Email\n",
            ),
        ),
    ),
    Defect(
        id="CT609",
        category="CONTRACT",
        what="a mail has no subject",
        trigger="a mail is sent",
        edits=(
            Edit(
                "services/notification_service/domain/mail.py",
                '    message["Subject"] = "Welcome to PyAirtable"\n',
                "",
            ),
        ),
    ),
    Defect(
        id="CT610",
        category="CONTRACT",
        what="two starts are compared without what is secret in them",
        trigger="the key of a start is used again with another password",
        edits=(
            Edit(
                "kit/saga/orchestrator.py",
                "        if saga is None or saga.input != start.input:\n",
                '        if saga is None or {**saga.input, "password_hash": ""} != {**start.input, '
                '"password_hash": ""}:\n',
            ),
        ),
    ),
)
