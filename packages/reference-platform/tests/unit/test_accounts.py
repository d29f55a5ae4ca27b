"""Passwords and e-mail addresses."""

from __future__ import annotations

import re

import pytest

from pyairtable_reference.services.auth_service.domain.credential import normalised
from pyairtable_reference.services.auth_service.domain.passwords import hash_password, salt_for, verify_password
from pyairtable_reference.services.auth_service.entrypoints.http import EMAIL_PATTERN


def test_only_the_password_itself_matches_its_hash() -> None:
    salt = salt_for("secret", "tenant", "key")
    stored = hash_password("correct horse", salt, 4)
    assert verify_password("correct horse", stored)
    assert not verify_password("correct horse ", stored)
    assert "horse" not in stored


def test_a_request_that_is_asked_again_has_the_same_hash_and_no_other_has() -> None:
    salts = [salt_for(*of) for of in (("s", "t", "k"), ("other", "t", "k"), ("s", "tk", ""), ("s", "t", "k"))]
    assert salts[0] == salts[3]
    assert len(set(salts)) == 3
    assert all(len(salt) == 16 for salt in salts)


def test_an_address_has_one_spelling() -> None:
    assert normalised(" Ann@Example.COM ") == "ann@example.com"


@pytest.mark.parametrize("address", ["ann@example.com", "a.b+c@mail.example.co", "o'neil@x-y.example"])
def test_addresses_are_accepted(address: str) -> None:
    assert re.match(EMAIL_PATTERN, address)


@pytest.mark.parametrize(
    "address", ["ann", "ann@", "@x.y", "a..b@x.y", "a b@x.y", "a@x", "a@-x.y", "a\n@x.y", "a@x.y\n@z"]
)
def test_other_texts_are_no_addresses(address: str) -> None:
    assert not re.match(EMAIL_PATTERN, address)
