"""What a saga is started with: what is not right, and what is right and looks odd."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any
from uuid import uuid4

from airproof.checkers.verdict import Anomaly
from airproof.errors import PlatformError, StartRefused
from airproof.platform.driver import SagaInput, Tenant
from airproof.platform.requests import NO_PLAIN_TEXT
from airproof_e2e.saga.stage import Stage

SHORT = 5
"""So long a secret may be that stands in other words by chance."""


def invalid_starts(stage: Stage) -> None:
    """The saga is started with every value and key that the manifest calls invalid, and without what it needs.

    One that may take as long as any is not refused.
    """
    for name, value, given in _inputs(stage, stage.saga.invalid):
        _demand_refused(stage, given, f"{name} {str(value)[:40]!r}")
        if stage.anomalies:
            # What one of them has stopped answers to none after it.
            return
    for missing in (given := stage.make_input()).fields:
        rest = {name: value for name, value in given.fields.items() if name != missing}
        _demand_refused(stage, replace(given, fields=rest), f"no {missing}")
    for key in stage.saga.invalid_keys:
        _demand_refused(stage, stage.make_input(), f"the key {key[:40]!r}", key=key)
    stage.start(deadline_s=stage.saga.longest_deadline_s)


def unusual_starts(stage: Stage) -> None:
    """The saga is started with every value that the manifest calls unusual, and is told of as it was said.

    A start has an unusual value of each field, as long as there are any. So it is under the longest keys, which differ
    in a letter only. One is spelled in another way, and is kept in one spelling everywhere.
    """
    stage.start(stage.access.respelled(stage.make_input()))
    _start_under_like_keys(stage)
    _start_with_like_secrets(stage)
    started = {}
    for number in range(max(map(len, stage.saga.unusual.values()), default=0)):
        given = stage.make_input()
        fields = {name: _said(one[number], given) for name, one in stage.saga.unusual.items() if number < len(one)}
        for name, value in fields.items():
            given = _with(given, name, value)
        try:
            started[stage.start(given)] = fields, given
        except PlatformError as error:
            _note(stage, fields, str(error))
    for saga_id, (fields, given) in started.items():
        stage.wait_end(saga_id)
        told = [one.body for one in stage.platform.bus.messages(saga_id)]
        for name, value in fields.items():
            if value in given.secrets:
                _demand_whole(stage, name, value, given)
            elif not any(_holds(body, value) for body in told):
                _note(stage, {name: value}, f"no message of saga {saga_id} that has it")


def _start_under_like_keys(stage: Stage) -> None:
    key = f"{uuid4().hex + NO_PLAIN_TEXT:k<{stage.platform.manifest.longest_key}}"
    for other in (key, f"{key[:-1]}l", f"l{key[1:]}", key.upper()):
        try:
            stage.start(key=other)
        except StartRefused as refusal:
            promise, facts = "a key is another one if it differs in a letter", (f"key {key}", f"key {other}")
            stage.anomalies.append(Anomaly("CONTRACT", "keys-mixed", promise, "a saga", str(refusal), facts))


def _start_with_like_secrets(stage: Stage) -> None:
    """Two users have the same secrets, and nobody who sees how those are kept sees that."""
    given, other = stage.make_input(), stage.make_input()
    secrets = {name: value for name, value in given.fields.items() if value in given.secrets}
    for one in (given, replace(other, fields={**other.fields, **secrets}, secrets=given.secrets)):
        stage.wait_end(stage.start(one))
    kept = stage.platform.sessions.kept_passwords(stage.tenant)
    if len(set(kept)) < len(kept):
        promise, expected = "that two users have the same password is not seen by how it is kept", "each kept otherwise"
        seen = f"{len(kept)} passwords, kept in {len(set(kept))} ways"
        stage.anomalies.append(Anomaly("SECURITY", "kept-alike", promise, expected, seen))
    if cheap := stage.platform.sessions.kept_cheaply(stage.tenant):
        promise = "a password costs as much to guess at as the operator has said"
        stage.anomalies.append(Anomaly("SECURITY", "kept-cheaply", promise, "none", f"{len(cheap)} that cost less"))


def _inputs(stage: Stage, values: Mapping[str, tuple[Any, ...]]) -> Iterator[tuple[str, Any, SagaInput]]:
    for name, wanted in values.items():
        for one in wanted:
            given = stage.make_input()
            value = _said(one, given)
            yield name, value, _with(given, name, value)


def _said(value: Any, given: SagaInput) -> Any:
    """A value of the manifest, for a tenant."""
    if not isinstance(value, str):
        return value
    return value.replace("{tenant}", given.tenant.id).replace("{domain}", given.tenant.id.lower())


def _with(given: SagaInput, name: str, value: Any) -> SagaInput:
    """The input with another value of a field, whatever it stands for."""
    was = given.fields.get(name)
    return replace(
        given,
        tenant=Tenant(value) if was == given.tenant.id else given.tenant,
        fields={**given.fields, name: value},
        subject=value if was == given.subject else given.subject,
        secrets=tuple(value if was == secret else secret for secret in given.secrets),
        greeted=value if was == given.greeted else given.greeted,
    )


def _demand_whole(stage: Stage, name: str, secret: str, given: SagaInput) -> None:
    """What was said as a secret works, and nothing that has another letter in it."""
    if not stage.access.usable(given):
        _note(stage, {name: secret}, "that it does not work")
    for place in (0, len(secret) // 2, len(secret) - 1):
        near = f"{secret[:place]}{chr(ord(secret[place]) + 1)}{secret[place + 1 :]}"
        if stage.access.usable(_with(given, name, near)):
            promise, seen = "a secret is right as a whole only", f"a login with {near[:40]!r}"
            facts = (f"{name} {secret[:40]!r}",)
            stage.anomalies.append(Anomaly("SECURITY", "near-secret", promise, "no login", seen, facts))


def _demand_refused(stage: Stage, given: SagaInput, what: str, *, key: str | None = None) -> None:
    """A refusal, that does not repeat a secret."""
    stage.allowance.secrets.update(secret for secret in given.secrets if len(secret) > SHORT)
    try:
        seen = f"saga {stage.access.start(given, key=key)}"
    except StartRefused as refusal:
        if any(secret in str(refusal) for secret in given.secrets if len(secret) > SHORT):
            promise, expected = "a refusal does not repeat a secret", "what is wrong, and not what was sent"
            stage.anomalies.append(Anomaly("SECURITY", "echo", promise, expected, "a secret in it", (what,)))
        return
    except PlatformError as error:
        seen = str(error)
    promise = "a start that is not right is refused"
    stage.anomalies.append(Anomaly("CONTRACT", "invalid-accepted", promise, "a refusal", seen, (what,)))


def _holds(body: Any, value: str) -> bool:
    if isinstance(body, Mapping):
        return any(_holds(one, value) for one in body.values())
    return bool(body == value)


def _note(stage: Stage, fields: Mapping[str, str], seen: str) -> None:
    promise = "a start that is right is taken as it is"
    facts = tuple(f"{name} {value[:40]!r}" for name, value in fields.items())
    stage.anomalies.append(Anomaly("CONTRACT", "refused-or-changed", promise, "the value as it was said", seen, facts))
