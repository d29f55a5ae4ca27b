"""Password hashes: scrypt, with everything needed to check them in the text itself."""

from __future__ import annotations

import hashlib
import hmac
import json

_BLOCK_SIZE = 8


def salt_for(secret: str, *request: str) -> bytes:
    """A salt that nobody can guess who does not know the secret; the same for the same request, asked again."""
    return hmac.digest(secret.encode(), json.dumps(request).encode(), "sha256")[:16]


def hash_password(password: str, salt: bytes, log2_n: int) -> str:
    """A salted hash. Costs about 50 ms of a core at `log2_n` 14: not for the event loop."""
    return f"scrypt${log2_n}${salt.hex()}${_scrypt(password, salt, log2_n).hex()}"


def verify_password(password: str, stored: str) -> bool:
    """Whether the password is the one that was hashed. Costs as much as hashing."""
    _, log2_n, salt, expected = stored.split("$")
    return hmac.compare_digest(_scrypt(password, bytes.fromhex(salt), int(log2_n)).hex(), expected)


def _scrypt(password: str, salt: bytes, log2_n: int) -> bytes:
    cost = 2**log2_n
    return hashlib.scrypt(password.encode(), salt=salt, n=cost, r=_BLOCK_SIZE, p=1, maxmem=256 * _BLOCK_SIZE * cost)
