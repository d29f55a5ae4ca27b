"""`python -m pyairtable_reference serve|migrate|openapi`."""

from __future__ import annotations

from pyairtable_reference.main import main

main()
