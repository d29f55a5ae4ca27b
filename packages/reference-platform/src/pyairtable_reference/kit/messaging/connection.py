"""Makes a lost connection to the broker look to aiokafka like what it expects."""

from __future__ import annotations

from typing import Any

from aiokafka import conn
from aiokafka.errors import KafkaConnectionError, KafkaError


class _Connection(conn.AIOKafkaConnection):  # type: ignore[misc]  # aiokafka has no types
    def send(self, request: Any, expect_response: bool = True) -> Any:
        """Sends a request; one that the broker has just closed is lost, which uvloop tells as an error of the caller.

        aiokafka expects an OSError there. Anything else ends the task that keeps its metadata, silently, and what waits
        for metadata before it repeats a record then waits for ever.
        """
        try:
            return super().send(request, expect_response)
        except RuntimeError as closed:
            if isinstance(closed, KafkaError):
                raise
            self.close(reason=conn.CloseReason.CONNECTION_BROKEN)
            raise KafkaConnectionError(f"Connection at {self.host}:{self.port} closed") from closed


conn.AIOKafkaConnection = _Connection  # what aiokafka makes connections of is the class of that name
