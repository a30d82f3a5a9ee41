"""How many tokens a micro-batch may have: found by trying on the device, and named where memory was not enough."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import nn

from depictqa.batch import Batch
from depictqa.loss import batch_loss

STEP = 64
SHARE = 0.9  # of what just fits: memory is less well used after hours of batches of all shapes


def is_out_of_memory(error: BaseException) -> bool:
    """On a GPU or a CPU: of torch's allocators, of numpy's, or of Python's."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    told = ("CUDA out of memory", "CUDA error: out of memory", "CUBLAS_STATUS_ALLOC_FAILED", "can't allocate memory")
    return isinstance(error, RuntimeError) and any(words in str(error) for words in told)


def largest(fits: Callable[[int], bool], low: int, high: int) -> int | None:
    """The largest number of tokens up to `high`, `low` or a multiple of `STEP` above it, that fits; None if `low` does
    not. Tried from `low` upwards, doubling, then by bisection: what is far too much is never tried."""
    if not fits(low):
        return None
    good, bad = low, None
    while good < high and bad is None:
        tried = min(2 * good, high)
        good, bad = (tried, None) if fits(tried) else (good, tried)
    while bad is not None and bad - good > STEP:
        middle = good + max(STEP, (bad - good) // 2 // STEP * STEP)
        good, bad = (middle, bad) if fits(middle) else (good, middle)
    return good


def safe(found: int, low: int, high: int) -> int:
    """A share of what was found, at least `low`; all of it where that is all there could be."""
    return found if found >= high else max(low, int(found * SHARE) // STEP * STEP)


class Trial:
    """Whether training steps on given batches fit on `device`, beside all that a run keeps there: gradients, two
    moments of AdamW, and with several processes (`buckets`) a second copy of the gradients. Leaves the model as it was,
    but on `device`. `context`: what a step runs in, of its precision."""

    def __init__(
        self,
        model: nn.Module,
        device: torch.device,
        buckets: bool = False,
        context: Callable[[], AbstractContextManager[object]] = nullcontext,
    ) -> None:
        self.model, self.device, self.copies, self.context = model.to(device), device, 3 if buckets else 2, context

    def fits(self, batches: Iterable[Batch]) -> bool:
        trained = [parameter for parameter in self.model.parameters() if parameter.requires_grad]
        devices = [self.device] if self.device.type == "cuda" else []
        try:
            with torch.random.fork_rng(devices):
                kept = [torch.zeros_like(each) for each in trained for _ in range(self.copies)]
                for batch in batches:
                    with self.context():
                        loss = batch_loss(self.model(batch.to(self.device)))
                    loss.backward()  # gradients stay for the next one, as they do within a step
                del kept
            if self.device.type == "cuda":
                torch.cuda.synchronize(self.device)
            return True
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            error.__traceback__ = None  # it holds the activations
            return False
        finally:
            for parameter in trained:
                parameter.grad = None
            gc.collect()
            if self.device.type == "cuda":
                torch.cuda.empty_cache()
