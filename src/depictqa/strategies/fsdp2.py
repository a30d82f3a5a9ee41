"""Fully sharded data parallelism (PyTorch's FSDP2): each process holds its part of the language model's parameters,
frozen ones too, and gathers a layer when it is computed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from lightning.pytorch.strategies import ModelParallelStrategy
from torch.distributed.fsdp import FSDPModule, fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor

from depictqa.models.depictqa import DepictQA
from depictqa.strategies.whole import WholeCheckpoints


class FSDP2(WholeCheckpoints, ModelParallelStrategy):
    """Lightning's strategy with data parallelism alone. The module's `configure_model` has to call `shard`.

    `reshard_after_forward`: free a layer's gathered parameters until the backward pass gathers them again; False keeps
    them, which is faster and takes memory.
    """

    splits_parameters = True

    def __init__(self, reshard_after_forward: bool = True) -> None:
        super().__init__(tensor_parallel_size=1, save_distributed_checkpoint=False)
        self.reshard_after_forward = reshard_after_forward

    def setup_environment(self) -> None:
        self._data_parallel_size = self.num_nodes * self.num_processes
        super().setup_environment()

    def shard(self, model: DepictQA) -> None:
        """Each decoder layer is a unit, on the device and split before the next one follows, and all else is another.
        A frozen vision tower stays whole on each process: it is small beside the language model, and would have to be
        gathered at every step."""
        if isinstance(model, FSDPModule):
            return
        mesh = self.device_mesh["data_parallel"]
        for layer in model.language.layers:
            fully_shard(layer, mesh=mesh, reshard_after_forward=self.reshard_after_forward)
        frozen = {parameter for parameter in model.vision.parameters() if not parameter.requires_grad}
        fully_shard(model, mesh=mesh, ignored_params=frozen)

    def lightning_module_state_dict(self) -> dict[str, torch.Tensor]:
        self._reshard()
        return {name: whole(parameter) for name, parameter in self.trained().items()}

    def load_model_state_dict(self, checkpoint: Mapping[str, Any], strict: bool = True) -> None:
        self._reshard()
        parameters = self.trained()
        state = {
            name: shared_out(value, parameters[name]) if name in parameters else value
            for name, value in checkpoint["state_dict"].items()
        }
        assert self.lightning_module is not None
        self.lightning_module.load_state_dict(state)

    def optimizer_state(self, optimizer: Any) -> dict[str, Any]:
        state = getattr(optimizer, "_optimizer", optimizer).state_dict()
        state["state"] = {
            number: {name: whole(value) for name, value in of_one.items()} for number, of_one in state["state"].items()
        }
        return state

    def load_optimizer_state_dict(self, checkpoint: Mapping[str, Any]) -> None:
        parameters = list(self.trained().values())
        for optimizer, state in zip(self.optimizers, checkpoint["optimizer_states"], strict=True):
            parts = {
                number: {name: shared_out(value, parameters[number]) for name, value in of_one.items()}
                for number, of_one in state["state"].items()
            }
            optimizer.load_state_dict({**state, "state": parts})

    @contextmanager
    def gathered(self) -> Iterator[None]:
        """Layers gather themselves when they are called; what else the model has is gathered here."""
        model: Any = self.lightning_module.model  # type: ignore[union-attr]
        model.unshard()
        try:
            yield
        finally:
            self._reshard()

    def _reshard(self) -> None:
        assert self.lightning_module is not None
        for module in self.lightning_module.modules():
            if isinstance(module, FSDPModule):
                module.reshard()


def whole(value: Any) -> Any:
    """A tensor's parts put together, on the CPU; anything else as it is."""
    if not isinstance(value, torch.Tensor):
        return value
    return (value.full_tensor() if isinstance(value, DTensor) else value).detach().cpu()


def shared_out(value: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """This process's part of `value`, which all have read, split as `like` is; scalars as they are."""
    if not isinstance(like, DTensor) or value.shape != like.shape:
        return value
    return distribute_tensor(value.to(like.device), like.device_mesh, like.placements, src_data_rank=None)
