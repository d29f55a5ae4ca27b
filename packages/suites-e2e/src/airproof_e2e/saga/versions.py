"""What scenarios do while services are of different versions, as in every upgrade."""

from __future__ import annotations

from contextlib import ExitStack

from airproof_e2e.saga.breakage import sent_as_another
from airproof_e2e.saga.moments import last_refusable, undoable
from airproof_e2e.saga.stage import COMPENSATED, Stage


def senders_of_others(stage: Stage) -> None:
    """Whoever sends is of a newer version, and then of an older one, while a saga completes and one is undone.

    Of that version is also what is kept of them meanwhile. Their clocks are ahead of the others', and then behind.
    """
    for newer in (True, False):
        with ExitStack() as stack:
            stack.enter_context(sent_as_another(stage, newer=newer))
            started = [stage.start()]
            if undoable(stage.saga):
                refuser, given = last_refusable(stage), stage.make_input()
                stack.enter_context(stage.access.refuse(refuser.name, given))
                started.append(stage.start(given, ends=COMPENSATED, refused=refuser))
            for saga_id in started:
                stage.wait_end(saga_id)
