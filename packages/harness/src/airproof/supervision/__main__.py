"""`python -m airproof.supervision`, or this file: the supervisor process. Started by `Supervisor.start`."""

import sys

if not __package__:
    # Run as a file without site-packages, so that it starts fast: only this package is added.
    sys.path.append(__file__.rsplit("/", 3)[0])

from airproof.supervision.server import main

main(sys.argv[1:])
