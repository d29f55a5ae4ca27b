"""`python -m airproof.cli`."""

from __future__ import annotations

import sys

from airproof.cli import main

sys.exit(main())
