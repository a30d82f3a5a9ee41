"""A device's numbers on their way to the host, so that neither waits for the other."""

from __future__ import annotations

import torch


class Reading:
    """The values that a tensor has now. The copy is asked for at once; only `numbers` waits for it."""

    def __init__(self, values: torch.Tensor) -> None:
        self._event: torch.cuda.Event | None = None
        self._host = values.detach().clone()
        if values.is_cuda:
            self._host = torch.empty(values.shape, dtype=values.dtype, pin_memory=True)
            self._host.copy_(values.detach(), non_blocking=True)
            self._event = torch.cuda.Event()
            self._event.record()

    def numbers(self) -> list[float]:
        if self._event is not None:
            self._event.synchronize()
        return self._host.tolist()


def steps_late(device: torch.device) -> int:
    """How many steps after its own a step's numbers are read: one where the device runs behind the host, which then
    has the next step to work on while the host waits; all processes read at the same step."""
    return 1 if device.type == "cuda" else 0
