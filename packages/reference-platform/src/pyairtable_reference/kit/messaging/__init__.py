"""The way to and from the bus."""

import pyairtable_reference.kit.messaging.connection  # noqa: F401 - every connection is one of those
