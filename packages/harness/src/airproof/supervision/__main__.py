"""The supervisor process. `starting.launch_supervisor` runs this file, without site-packages, so it starts fast."""

import sys

if not __package__:
    sys.path.append(__file__.rsplit("/", 3)[0])

# asyncio imports ssl if there is one: a tenth of the start-up time, and nothing here speaks TLS.
sys.modules["ssl"] = None  # type: ignore[assignment]

from airproof.supervision.server import main  # noqa: E402 - see above

main(sys.argv[1:])
