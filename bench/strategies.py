"""Training on several processes beside one, on the same steps: `python bench/strategies.py [--help]`.

A small model with LoRA is trained on a CPU by each strategy on `--processes` processes (gloo), and by one process
alone; the table shows the steps' losses and the largest difference. DeepSpeed runs on a CPU with DS_ACCELERATOR=cpu.
Lightning's strategy refuses one, so a subclass here leaves its checks out; all else is what runs on GPUs.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

os.environ.setdefault("DS_ACCELERATOR", "cpu")
sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[1] / "src")]

import lightning as L  # noqa: E402
import torch  # noqa: E402
from lightning.fabric.utilities.seed import reset_seed  # noqa: E402
from lightning.pytorch.callbacks import Callback  # noqa: E402
from lightning.pytorch.strategies import DDPStrategy, SingleDeviceStrategy, Strategy  # noqa: E402

from datamodules.records import Record, RecordSample  # noqa: E402
from datamodules.shards import ShardWriter  # noqa: E402
from datamodules.templated import TemplatedDataModule  # noqa: E402
from depictqa.callbacks.checkpoints import LAST, Checkpoints  # noqa: E402
from depictqa.checkpoint import AtomicCheckpointIO  # noqa: E402
from depictqa.lightning_module import DepictQAModule  # noqa: E402
from depictqa.models.depictqa import DepictQA  # noqa: E402
from depictqa.optim import OptimizerConfig  # noqa: E402
from depictqa.pretrained import save_pretrained  # noqa: E402
from depictqa.sample import Slot, Task, Truth, Turn  # noqa: E402
from depictqa.testing import random_image, tiny_config, tiny_model, tiny_tokenizer  # noqa: E402
from experiments.examples import GeneratedExamples  # noqa: E402

STRATEGIES = ("ddp", "fsdp2", "deepspeed_1", "deepspeed_2", "deepspeed_3")
RECORDS, HELD_OUT = 13, 4
SIZES = [(40, 30), (64, 48), (90, 40)]  # of images: batches differ in how many sizes they hold


@dataclass
class Job:
    """One training: `folder` holds the data, `out` is its own. It ends after `steps` and a checkpoint, as by a kill."""

    strategy: str
    folder: str
    out: str
    steps: int = 5
    resume: str | None = None  # a checkpoint
    tuning: str = "lora"
    budget: int = 800  # tokens of a micro-batch
    precision: str = "32-true"
    packing: str = "none"
    compiled: bool = False  # decoder layers, traced but not turned into machine code
    recompute: int | None = None


class Killed(Exception):
    pass


@dataclass
class Losses(Callback):
    """The loss of each optimiser step, over its micro-batches and all processes."""

    stop_after: int
    values: dict[int, float] = field(default_factory=dict)
    validation: dict[int, float] = field(default_factory=dict)
    _sum: torch.Tensor | float = 0.0

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        self._sum = self._sum + outputs["loss"].detach().float()
        if (batch_idx + 1) % trainer.accumulate_grad_batches == 0:
            self.values[trainer.global_step] = float(trainer.strategy.reduce(self._sum, reduce_op="mean"))
            self._sum = 0.0

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        if trainer.global_step >= self.stop_after:
            raise Killed

    def on_validation_end(self, trainer: Any, pl_module: Any) -> None:
        self.validation[trainer.global_step] = float(trainer.callback_metrics["val/loss"])


def write_data(folder: Path) -> Path:
    """A tokenizer and shards, in `folder`."""
    tiny_tokenizer(folder / "tokenizer")
    for split, first, count in (("train", 0, RECORDS), ("val", 100, HELD_OUT), ("test", 200, HELD_OUT)):
        with ShardWriter(
            folder / "shards", split, source="made", licence="CC0-1.0", seed=1, records_per_shard=5
        ) as writer:
            for number in range(first, first + count):
                writer.write(_record(number))
    return folder


def _record(number: int) -> Record:
    sizes = [SIZES[number % len(SIZES)]] * 2 + [SIZES[number // 2 % len(SIZES)]]
    images = {slot: random_image(size, 10 * number + i) for i, (slot, size) in enumerate(zip(Slot, sizes, strict=True))}
    dialogue = (Turn("Which image is better?", "Image A" if number % 2 else "Image B, since A shows noise."),)
    slots = ((Slot.REFERENCE, Slot.A, Slot.B), (Slot.A, Slot.B))
    truth = Truth(better=Slot.A if number % 2 else Slot.B)
    samples = tuple(RecordSample(Task.COMPARISON, chosen, dialogue, truth) for chosen in slots)
    return Record(f"{number:04d}", images, samples, reference=f"photo{number}")


def small_model(folder: Path, tuning: str = "lora") -> DepictQA:
    """With LoRA, vision tower and language model are frozen; no dropout, which is drawn for each process."""
    config = tiny_config(folder / "tokenizer")
    config.language.tuning, config.language.lora_rank, config.language.lora_dropout = tuning, 3, 0.0
    config.vision.trainable = tuning == "full"
    return tiny_model(folder / "tokenizer", language=config.language, vision=config.vision)


def strategy(name: str) -> Strategy:
    """By a name of `STRATEGIES`, or "one" for a single process; on a CPU."""
    if name == "one":
        return SingleDeviceStrategy("cpu")
    if name == "ddp":
        return DDPStrategy()
    if name == "fsdp2":
        from depictqa.strategies.fsdp2 import FSDP2

        return FSDP2()
    return _deepspeed_on_cpu(int(name.removeprefix("deepspeed_")))


def _deepspeed_on_cpu(stage: int) -> Strategy:
    import deepspeed

    from depictqa.strategies.deepspeed import DeepSpeed

    class OnCpu(DeepSpeed):
        root_device = torch.device("cpu", 0)  # DeepSpeed asks for the number

        def setup_environment(self) -> None:
            DDPStrategy.setup_environment(self)

        def setup_distributed(self) -> None:
            reset_seed()
            self.set_world_ranks()
            self._init_deepspeed_distributed()

    deepspeed.get_accelerator().is_fp16_supported = lambda: True  # any CPU is slow at it, and right
    deepspeed.ops.__compatible_ops__["deepspeed_shm_comm"] = False  # gloo instead of an extension to be compiled
    strategy = OnCpu(stage)
    # No parameter of a small model is too small to be split.
    strategy.config["zero_optimization"]["stage3_param_persistence_threshold"] = 0  # type: ignore[index]
    return strategy


def train(job: Job, processes: int = 1) -> dict[str, Any]:
    """Losses of the steps and of validations; leaves checkpoints, examples and `model/` in the job's `out`."""
    folder, out = Path(job.folder), Path(job.out)
    model = small_model(folder, job.tuning).train()
    if job.compiled:
        model.language.compile_layers(backend="eager")
    if job.recompute:
        model.language.recompute(job.recompute)
    data = TemplatedDataModule(
        folder / "shards", model.encoder, batch_size=4, token_budget=job.budget, packing=job.packing
    )
    losses = Losses(job.steps)
    trainer = L.Trainer(
        accelerator="cpu", devices=processes, strategy=strategy(job.strategy), precision=job.precision, max_epochs=1,
        gradient_clip_val=0.5, logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, num_sanity_val_steps=0, default_root_dir=out, plugins=[AtomicCheckpointIO()],
        use_distributed_sampler=False, callbacks=[losses, Checkpoints(out, job.steps)],
    )  # fmt: skip
    data.setup("fit", trainer.world_size, trainer.global_rank)
    trainer.accumulate_grad_batches = data.accumulate
    trainer.val_check_interval = 3 * data.accumulate
    trainer.callbacks.append(GeneratedExamples(data.samples("val")[:2], out / "examples.jsonl", 8, num_printed=0))
    module = DepictQAModule(model, OptimizerConfig(lr=3e-3), data.steps_per_epoch)
    with suppress(Killed):
        trainer.fit(module, datamodule=data, ckpt_path=job.resume, weights_only=True)
    return {"losses": losses.values, "validation": losses.validation, "accumulate": data.accumulate}


def save_model(job: Job) -> Path:
    """What a job's last checkpoint trained, as a folder that `DepictQA.from_pretrained` opens."""
    from depictqa.checkpoint import read_checkpoint

    model = small_model(Path(job.folder), job.tuning)
    model.load_trained_state_dict(read_checkpoint(Path(job.out) / LAST)["state_dict"])
    save_pretrained(model, Path(job.out) / "model")
    return Path(job.out) / "model"


def run(jobs: Sequence[Job], processes: int, folder: Path) -> list[dict[str, Any]]:
    """The jobs' results, one after another on the same `processes`. RuntimeError holds what a failed one said."""
    todo = Path(folder) / "jobs.json"
    todo.write_text(json.dumps([asdict(job) for job in jobs]))
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [*command, __file__, "--jobs", str(todo)], env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(f"{done.stdout[-2000:]}\n{done.stderr[-9000:]}")
    results = json.loads(todo.with_suffix(".out").read_text())
    return [{**of_one, **{k: _numbered(of_one[k]) for k in ("losses", "validation")}} for of_one in results]


def _numbered(values: dict[str, float]) -> dict[int, float]:
    return {int(step): value for step, value in values.items()}


def work(todo: Path) -> None:
    """One of the processes."""
    results = []
    for values in json.loads(todo.read_text()):
        results.append(train(Job(**values), int(os.environ["WORLD_SIZE"])))
    if os.environ["RANK"] == "0":
        todo.with_suffix(".out").write_text(json.dumps(results))
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


def show(alone: dict[str, Any], results: dict[str, dict[str, Any]], processes: int) -> None:
    steps = sorted(alone["losses"])
    print("| strategy | " + " | ".join(f"step {step}" for step in steps) + " | largest difference |")
    print("|---|" + "---|" * (len(steps) + 1))
    for name, result in {"one process": alone, **results}.items():
        differences = [abs(result["losses"][step] - alone["losses"][step]) for step in steps]
        row = " | ".join(f"{result['losses'][step]:.6f}" for step in steps)
        print(f"| {name} | {row} | {max(differences):.1e} |" if result is not alone else f"| {name} | {row} | |")
    print(f"\n{processes} processes, {alone['accumulate']} micro-batches a step for one process")


def main(given: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--strategies", nargs="*", default=STRATEGIES, choices=STRATEGIES)
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--tuning", default="lora", choices=("lora", "full"))
    parser.add_argument("--precision", default="32-true")
    parser.add_argument("--budget", type=int, default=170, help="tokens of a micro-batch")
    parser.add_argument("--jobs", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args(given)
    if options.jobs:
        work(options.jobs)
        return
    with tempfile.TemporaryDirectory() as name:
        folder = write_data(Path(name))
        rest: dict[str, Any] = {
            "steps": options.steps,
            "tuning": options.tuning,
            "precision": options.precision,
            "budget": options.budget,
        }
        jobs = [Job(name, str(folder), str(folder / name), **rest) for name in options.strategies]
        alone = train(Job("one", str(folder), str(folder / "one"), **rest))
        show(alone, dict(zip(options.strategies, run(jobs, options.processes, folder), strict=True)), options.processes)


if __name__ == "__main__":
    main()
