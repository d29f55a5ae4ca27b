"""Logs: one JSON object a line on standard output, with the conversation and tenant it belongs to."""

from __future__ import annotations

import json
import logging
import sys
import time
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyairtable_reference.kit.settings import Settings

_correlation: ContextVar[str] = ContextVar("correlation_id", default="")
_tenant: ContextVar[str] = ContextVar("tenant_id", default="")
_REPEATED_AFTER_S = 1.0


@contextmanager
def bound(correlation_id: str, tenant_id: str) -> Iterator[None]:
    """Everything logged inside belongs to this conversation and tenant."""
    tokens = _correlation.set(correlation_id), _tenant.set(tenant_id)
    try:
        yield
    finally:
        _correlation.reset(tokens[0])
        _tenant.reset(tokens[1])


def belongs_to(tenant_id: str) -> None:
    """Everything logged from now on, inside what is bound, belongs to this tenant."""
    _tenant.set(tenant_id)


def current_correlation() -> str:
    """The conversation that is being worked on; empty if none."""
    return _correlation.get()


class JsonFormatter(logging.Formatter):
    """Formats records as JSON objects."""

    def __init__(self, service: str, instance: str) -> None:
        super().__init__()
        self._service = service
        self._instance = instance

    def format(self, record: logging.LogRecord) -> str:
        """The record as one line."""
        line = {
            "ts": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": _level(record),
            "logger": record.name,
            "service": self._service,
            "instance": self._instance,
            "message": record.getMessage(),
            "correlation_id": _correlation.get(),
            "tenant_id": _tenant.get(),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


class Restraint(logging.Filter):
    """Lets a library say the same once a second: aiokafka tries many times a second to reach a broker that is away."""

    def __init__(self, library: str) -> None:
        super().__init__(library)
        self._said: dict[tuple[str, int], float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record is to be written."""
        if not super().filter(record):
            return True
        place, now = (record.name, record.lineno), time.monotonic()
        if now - self._said.get(place, -_REPEATED_AFTER_S) < _REPEATED_AFTER_S:
            return False
        self._said[place] = now
        return True


def _level(record: logging.LogRecord) -> str:
    """The level, as we mean it: `error` is for what needs a person.

    aiokafka calls every lost connection an error and then repairs it; what it cannot repair it raises, and our own
    code decides.
    """
    if record.name.startswith("aiokafka") and record.levelno >= logging.ERROR:
        return "warning"
    return record.levelname.lower()


def configure(settings: Settings) -> None:
    """Sends every logger of the process, libraries included, to standard output."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(JsonFormatter(settings.service_name, settings.service_instance))
    handler.addFilter(Restraint("aiokafka"))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(settings.log_level.upper())
    for noisy in ("aiokafka", "httpx", "httpcore"):
        logging.getLogger(noisy).setLevel(max(logging.WARNING, root.level))
