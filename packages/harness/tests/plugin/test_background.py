from __future__ import annotations

import logging
from uuid import uuid4

from airproof.fixtures.background import Background


def test_loggers_may_come_while_pytest_goes_through_all_of_them() -> None:
    made = Background(lambda: logging.getLogger(f"made-{uuid4()}"), name="work").result()
    seen = logging.Logger.manager.loggerDict.values()
    assert made in [(one, logging.getLogger(f"later-{uuid4()}"))[0] for one in seen]
