"""Everything that a cell keeps, searched for what nobody should keep."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from airproof_pyairtable.databases import Databases

if TYPE_CHECKING:
    from redis import Redis

_TABLES = "SELECT quote_ident(tablename) AS name FROM pg_tables WHERE schemaname = 'public' ORDER BY tablename"
_HOLDS = """
SELECT count(*) AS rows FROM {table} kept
WHERE EXISTS (SELECT FROM unnest(%(texts)s::text[]) sought WHERE position(sought IN kept::text) > 0)
"""


class Stores:
    """The tables and the Redis of a cell."""

    def __init__(self, databases: Databases, names: Iterable[str], redis: Callable[[], Redis]) -> None:
        self._databases = databases
        self._names = tuple(names)
        self._redis = redis

    def holding(self, texts: Iterable[str]) -> tuple[str, ...]:
        """The tables, and the kinds of keys, that hold one of the texts, also where they are kept as bytes."""
        sought = list(texts)
        return (*self._tables([*sought, *(text.encode().hex() for text in sought)]), *sorted(set(self._keys(sought))))

    def _tables(self, texts: list[str]) -> Iterator[str]:
        for database in self._names:
            for table in self._databases.all(database, _TABLES):
                found = self._databases.one(database, _HOLDS.format(table=table["name"]), {"texts": texts})
                if found and found["rows"]:
                    yield f"table {table['name']} of {database}"

    def _keys(self, texts: list[str]) -> Iterator[str]:
        redis: Any = self._redis()
        sought = [text.encode() for text in texts]
        for key in redis.scan_iter(count=1000):
            kept = redis.hgetall(key) if redis.type(key) == b"hash" else redis.get(key)
            told = repr(kept).encode() + key
            if any(text in told for text in sought):
                yield f"keys {key.partition(b':')[0].decode(errors='replace')!r} of Redis"
