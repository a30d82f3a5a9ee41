"""Where Lightning's loops stand in a checkpoint, told in the micro-batches of the run that goes on from it."""

from __future__ import annotations

from typing import Any

MICRO_BATCHES = "micro_batches_a_step"  # a checkpoint's entry


def recount(fit_loop: dict[str, Any], saved: int, now: int) -> None:
    """Puts the batch counts of a saved fit loop, in place, to the same optimiser step where a step has `now`
    micro-batches instead of `saved`.

    All else that Lightning counts are optimiser steps and epochs. `ready` is ahead of `completed` while the hooks of a
    batch are run, in which the checkpoint was written. The batches of a step that was under way are made again.
    """
    progress = fit_loop["epoch_loop.batch_progress"]
    for counts in (progress["total"], progress["current"]):
        ready = counts["ready"]
        moved = ready // saved * now - ready
        for name in counts:
            counts[name] += moved
