"""The inbox: remembers which messages a consumer has handled, in the transaction of the handling."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import bindparam
from sqlalchemy.dialects.postgresql import insert

from pyairtable_reference.kit.schema import inbox

if TYPE_CHECKING:
    from uuid import UUID

    from sqlalchemy.ext.asyncio import AsyncConnection


_NOTE = (
    insert(inbox)
    .values(consumer=bindparam("consumer"), message_id=bindparam("message_id"))
    .on_conflict_do_nothing()
    .returning(inbox.c.message_id)
)


class Inbox:
    """The inbox, inside the caller's transaction."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def is_new(self, consumer: str, message_id: UUID) -> bool:
        """Notes the message; false if it had been noted before.

        Waits for another transaction that is just handling the same message, and then knows what became of it.
        """
        note = {"consumer": consumer, "message_id": str(message_id)}
        return (await self._connection.execute(_NOTE, note)).first() is not None
