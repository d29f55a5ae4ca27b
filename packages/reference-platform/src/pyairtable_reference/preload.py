"""Imports everything a service needs and prepares what is the same for all.

A process that forks services imports this once. It starts no loop, thread, socket or client.
"""

from __future__ import annotations

import anyio._backends._asyncio  # noqa: F401
import certifi  # noqa: F401
import httpcore  # noqa: F401
import httptools  # noqa: F401
import psycopg  # noqa: F401
import sqlalchemy.dialects.postgresql.psycopg  # noqa: F401
import uvicorn.lifespan.on
import uvicorn.loops.uvloop
import uvicorn.protocols.http.httptools_impl  # noqa: F401
import uvloop  # noqa: F401

from pyairtable_reference import main  # noqa: F401
from pyairtable_reference.kit.service_client import trusted_roots
from pyairtable_reference.services.registry import app_of, services

trusted_roots()
for name in services():
    app_of(name)
