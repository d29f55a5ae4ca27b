"""The tables of the `sagas` database."""

from __future__ import annotations

from pyairtable_reference.kit.saga.schema import saga_metadata
from pyairtable_reference.kit.schema import kit_metadata

ALL = (kit_metadata, saga_metadata)
