"""Counts of micro-batches in a checkpoint of Lightning's, for a run with another number of them in a step."""

from lightning.pytorch import Trainer

from depictqa.loop_progress import recount


def saved(ready: int, completed: int) -> dict:
    """The state of Lightning's own loop, with these counts of the epoch and of one epoch of 20 more in all."""
    loop = Trainer(accelerator="cpu", logger=False, enable_checkpointing=False, max_epochs=2).fit_loop
    progress = loop.epoch_loop.batch_progress
    for counts, before in ((progress.current, 0), (progress.total, 20)):
        counts.ready = counts.started = counts.processed = before + ready
        counts.completed = before + completed
    return loop.state_dict()


def test_counts_stand_at_the_same_step():
    for ready, completed in ((8, 8), (8, 7), (0, 0)):
        state = saved(ready, completed)
        recount(state, saved=4, now=2)
        progress = state["epoch_loop.batch_progress"]
        behind = ready - completed
        assert progress["current"] == dict.fromkeys(("ready", "started", "processed"), ready // 2) | {
            "completed": ready // 2 - behind
        }
        assert progress["total"]["ready"] == 10 + ready // 2
        recount(state, saved=2, now=4)
        assert state == saved(ready, completed)


def test_a_step_under_way_is_made_again():
    state = saved(7, 6)
    recount(state, saved=4, now=4)
    assert state == saved(4, 3)
