"""DeepSpeed's ZeRO: optimiser states (stage 1), gradients too (2), or parameters too (3) are split over processes."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from lightning.fabric.strategies.deepspeed import _DEEPSPEED_AVAILABLE
from lightning.pytorch.accelerators import CUDAAccelerator
from lightning.pytorch.plugins.precision import DeepSpeedPrecision, Precision
from lightning.pytorch.strategies import DeepSpeedStrategy
from lightning.pytorch.strategies.deepspeed import remove_module_hooks
from torch import nn

from depictqa.strategies.whole import MOMENTS, WholeCheckpoints

STAGES = (1, 2, 3)
SCALER = "deepspeed_loss_scaler"
OF_DEVICES = ("fused", "foreach", "capturable")  # of an optimiser's options: not to be taken from a checkpoint


class DeepSpeed(WholeCheckpoints, DeepSpeedStrategy):
    """Lightning's strategy with our checkpoints. The optimiser is the module's own, clipping the trainer's.

    With precision 16-mixed or bf16-mixed DeepSpeed casts all parameters, and keeps those that are trained in float32
    beside them. `options` are Lightning's (bucket sizes and the like).
    """

    def __init__(self, stage: int = 1, **options: Any) -> None:
        if not _DEEPSPEED_AVAILABLE:
            raise ValueError("trainer=deepspeed needs DeepSpeed; install the extra: pip install 'depictqa[deepspeed]'")
        if stage not in STAGES:
            raise ValueError(f"ZeRO stage {stage} unknown; choose 1, 2 or 3 (trainer.strategy.stage)")
        self.stage = stage
        self.splits_parameters = stage == 3
        self._kept: list[Any] = []  # parameters that stay whole
        # The batch size is for DeepSpeed's log only; to find it out, Lightning would open the loader early.
        options = {"logging_level": logging.ERROR, **options}
        super().__init__(stage=stage, logging_batch_size_per_gpu=1, exclude_frozen_parameters=True, **options)

    @property
    def precision_plugin(self) -> Precision:
        return super().precision_plugin

    @precision_plugin.setter
    def precision_plugin(self, plugin: Precision | None) -> None:
        """Lightning makes its own; ours stands in its place."""
        self._precision_plugin = plugin
        if isinstance(plugin, DeepSpeedPrecision):
            self._precision_plugin = EnginePrecision(plugin.precision)  # type: ignore[arg-type]

    def setup_environment(self) -> None:
        if not isinstance(self.accelerator, CUDAAccelerator):
            raise ValueError(
                "DeepSpeed needs GPUs; without them, take trainer=ddp or fsdp2 with trainer.accelerator=cpu"
            )
        super().setup_environment()

    def init_deepspeed(self) -> None:
        super().init_deepspeed()
        if self.stage == 3 and self.optimizers:
            self._keep_whole()

    def _keep_whole(self) -> None:
        """Vision tower and projector stay whole on each process. They are called once for each image size of a batch,
        which processes do not know of each other, and parameters can only be gathered by all together."""
        model: Any = self.lightning_module.model  # type: ignore[union-attr]
        parts = nn.ModuleList([model.vision, model.projector])
        remove_module_hooks(parts)  # they gather, and expect the same calls at each step
        self._kept = list(parts.parameters())
        for parameter in self._kept:
            parameter.ds_persist = True
        model.register_forward_pre_hook(lambda *_: self._gather_kept())  # a step splits them

    def _gather_kept(self) -> None:
        split = [parameter for parameter in self._kept if parameter.ds_status.name == "NOT_AVAILABLE"]
        if split:
            split[0].all_gather(split)

    @property
    def base_optimizer(self) -> torch.optim.Optimizer:
        """The one that DeepSpeed wraps: its parameters are this process's parts, flat."""
        zero: Any = self.optimizers[0]
        return zero.optimizer

    def lightning_module_state_dict(self) -> dict[str, torch.Tensor]:
        from deepspeed.utils import safe_get_full_fp32_param

        return {name: safe_get_full_fp32_param(parameter).detach().cpu() for name, parameter in self.trained().items()}

    def load_model_state_dict(self, checkpoint: Mapping[str, Any], strict: bool = True) -> None:
        import deepspeed

        assert self.lightning_module is not None
        parameters, state = self.trained(), checkpoint["state_dict"]
        # All processes have read the file; of those that hold parts of a parameter, process 0's copy is shared out.
        with deepspeed.zero.GatheredParameters(list(parameters.values()), modifier_rank=0, enabled=self.stage == 3):
            self.lightning_module.load_state_dict(state)
        for name, parameter in parameters.items():
            self._set(parameter, state[name])

    def optimizer_state(self, optimizer: Any) -> dict[str, Any]:
        """As AdamW itself has it, in float32; without moments before the first step."""
        from deepspeed.utils import safe_get_full_optimizer_state

        base, parameters = self.base_optimizer, list(self.trained().values())
        names = base.defaults.keys() | {"initial_lr"}
        options = {name: value for name, value in base.param_groups[0].items() if name in names}
        groups = [{**options, "params": list(range(len(parameters)))}]
        state: dict[int, Any] = {}
        if base.state:
            step = next(iter(base.state.values()))["step"].detach().cpu()
            for number, parameter in enumerate(parameters):
                moments = {key: safe_get_full_optimizer_state(parameter, key).cpu() for key in MOMENTS}
                state[number] = {"step": step.clone(), **moments}
        return {"state": state, "param_groups": groups}

    def load_optimizer_state_dict(self, checkpoint: Mapping[str, Any]) -> None:
        (saved,) = checkpoint["optimizer_states"]
        zero, base = self._zero(), self.base_optimizer
        options = {k: v for k, v in saved["param_groups"][0].items() if k != "params" and k not in OF_DEVICES}
        for group in base.param_groups:
            group.update(options)
        if saved["state"]:
            for flat in self._flat_parts():
                moments = {key: torch.zeros_like(flat) for key in MOMENTS}
                base.state[flat] = {"step": saved["state"][0]["step"].clone(), **moments}
            if self.stage < 3:
                zero._lazy_init_hp_params_optimizer_state()
            for number, parameter in enumerate(self.trained().values()):
                for key in MOMENTS:
                    self._set(parameter, saved["state"][number][key], key)
        for name, value in checkpoint.get(SCALER, {}).items():
            setattr(zero.loss_scaler, name, value)

    def save_checkpoint(self, checkpoint: dict[str, Any], filepath: Any, storage_options: Any = None) -> None:
        scaler = self._zero().loss_scaler
        if scaler.dynamic and "optimizer_states" in checkpoint:
            numbers = {name: value for name, value in vars(scaler).items() if isinstance(value, (int, float))}
            checkpoint[SCALER] = numbers
        super().save_checkpoint(checkpoint, filepath, storage_options)

    @contextmanager
    def gathered(self) -> Iterator[None]:
        """Each module of the language model gathers its own parameters when it is called."""
        self._gather_kept()
        yield

    def _zero(self) -> Any:
        return self.optimizers[0]

    def _flat_parts(self) -> list[torch.Tensor]:
        """This process's parts of the trained parameters, as the base optimiser knows them while it steps."""
        zero = self._zero()
        return zero.fp32_partitioned_groups_flat if self.stage == 3 else zero.single_partition_of_fp32_groups

    def _set(self, parameter: nn.Parameter, value: torch.Tensor, moment: str | None = None) -> None:
        """Sets this process's part of a parameter in float32, or of one of its moments."""
        from deepspeed import utils

        value = value.to(self.root_device, torch.float32)
        if self.stage == 3:  # DeepSpeed's own function for a whole value fails where the last part is padded
            size = parameter.ds_tensor.numel()  # type: ignore[attr-defined]
            padded = nn.functional.pad(value.flatten(), (0, size * self.world_size - value.numel()))
            part = padded[self.global_rank * size :][:size]
            if moment is None:
                utils.safe_set_local_fp32_param(parameter, part)
            else:
                utils.safe_set_local_optimizer_state(parameter, part, moment)
        elif moment is None:
            utils.safe_set_full_fp32_param(parameter, value)
        else:
            utils.safe_set_full_optimizer_state(parameter, value, moment)


class EnginePrecision(DeepSpeedPrecision):
    """Batches stay as they are: token weights are of float32, and pixels bytes. A loss arrives here divided by the
    batches of a step, which the engine would do again."""

    def convert_input(self, data: Any) -> Any:
        return data

    def backward(self, tensor: torch.Tensor, model: Any, optimizer: Any, *args: Any, **kwargs: Any) -> None:
        super().backward(tensor, model, optimizer, *args, scale_wrt_gas=False, **kwargs)
