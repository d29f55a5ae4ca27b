"""Seeded defects of what a service takes, and of the form of what it says."""

from __future__ import annotations

from airproof_defects.defect import Defect, Edit

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
                "services/saga_orchestrator/domain/registration.py",
                'volatile_input=frozenset({"password_hash"})',
                'volatile_input=frozenset({"password_hash", "first_name", "last_name"})',
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
)
