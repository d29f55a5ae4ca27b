from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from airproof.wire.searching import holds

LETTERS = st.sampled_from([b"a", b"b", b"\0"])


@given(st.lists(LETTERS), st.lists(LETTERS, max_size=6))
def test_what_is_in_a_long_content_is_found_as_in_a_short_one(content: list[bytes], literal: list[bytes]) -> None:
    assert holds(b"".join(content), b"".join(literal)) == (b"".join(literal) in b"".join(content))
