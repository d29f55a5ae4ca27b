"""The driver of PyAirtable: what it promises, how it is launched, and how to reach a running copy over the wire."""

from airproof_pyairtable.driver import PyAirtableDriver

__all__ = ["PyAirtableDriver"]
