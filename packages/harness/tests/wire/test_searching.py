from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from airproof.wire.searching import LONG_BYTES, holds

LETTERS = st.sampled_from([b"a", b"b", b"\0"])


@given(st.lists(LETTERS), st.lists(LETTERS, max_size=6))
def test_what_is_in_a_long_content_is_found(content: list[bytes], literal: list[bytes]) -> None:
    text, sought = b"c" * LONG_BYTES + b"".join(content), b"".join(literal)
    assert holds(text, sought) == (sought in text)
