"""`python -m airproof.wire [CONFIGURATION]`: see `airproof.wire.process`."""

import sys

from airproof.wire.process import main

sys.exit(main(sys.argv[1:]))
