"""What is done to a piece of data: one character flipped, its end cut off, all of it removed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random

from airproof.errors import UsageError


@dataclass(frozen=True, slots=True)
class Flip:
    """One digit or letter becomes the next one, so that what is structured stays so.

    Attributes:
        seed: of the place.
    """

    seed: int = 0

    def candidates(self, text: str) -> Iterator[str]:
        """The text with one character changed, the first choice first."""
        places = [at for at, character in enumerate(text) if character.isascii() and character.isalnum()]
        Random(self.seed).shuffle(places)  # noqa: S311 - chosen by seed, nothing secret
        for at in places:
            yield text[:at] + _next(text[at]) + text[at + 1 :]

    def __str__(self) -> str:
        return "flipped"


@dataclass(frozen=True, slots=True)
class Truncate:
    """Only the first characters, or bytes, are left."""

    keep: int = 0

    def candidates(self, text: str) -> Iterator[str]:
        """The text, cut."""
        if self.keep < 0:
            raise UsageError(f"keep is {self.keep}; it counts from 0")
        if self.keep < len(text):
            yield text[: self.keep]

    def __str__(self) -> str:
        return f"truncated to {self.keep}"


Damage = Flip | Truncate


def _next(character: str) -> str:
    first, last = next((a, z) for a, z in ("09", "az", "AZ") if a <= character <= z)
    return first if character == last else chr(ord(character) + 1)
