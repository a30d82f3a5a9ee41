"""Kills training runs at random points, resumes them to their end, and compares them with a run that nothing happened
to: `python tests/integration/faults/kills.py [--runs 20] [--seed 0]`. Prints what was done to each, and a tally.

A run is the program itself (`run.py`, with its command line) in a process forked from this one, which has only
imported the libraries, so that twenty runs take minutes. Points are drawn from a seed: some time after a step was
logged; at some byte of a checkpoint's file; between its renames; in a batch of a validation. A run dies one to three
times, by SIGKILL or SIGTERM, with or without workers, and its newest checkpoint may be cut short before it goes on.
"""

from __future__ import annotations

import argparse
import csv
import os
import random
import runpy
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

ROOT = Path(__file__).resolve().parents[3]
STEPS, MOST = 14, 3  # of a run; kills in it at most
SETTLE = 120.0  # seconds after which a run that has not come where it was to be killed counts as hanging


@dataclass(frozen=True)
class Kill:
    """`place`: "step", "checkpoint", "rename" or "validation"; `number` of it, from 0; `part` of the way through."""

    how: signal.Signals
    place: str
    number: int
    part: float
    workers: int
    breaks: bool  # cut the newest checkpoint short before the run goes on

    def __str__(self) -> str:
        broken = ", newest checkpoint cut short" if self.breaks else ""
        return f"{self.how.name} in {self.place} {self.number}+{self.part:.2f}, {self.workers} workers{broken}"


def draw(rng: random.Random) -> list[Kill]:
    kills = []
    for _ in range(rng.choice((1, 1, 2, MOST))):
        place = rng.choice(("step", "step", "checkpoint", "rename", "validation"))
        number = rng.randrange({"step": STEPS, "checkpoint": 5, "rename": 5, "validation": 4}[place])
        how = rng.choice((signal.SIGKILL, signal.SIGTERM))
        kills.append(Kill(how, place, number, rng.random(), rng.choice((0, 0, 2)), rng.random() < 0.25))
    return kills


class Runs:
    """Starts the program on data of its own, made in `folder`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        assert self.wait(self.fork(lambda: make_data(folder), folder / "data.log")) == 0

    def command(self, out: Path) -> list[str]:
        return [
            "data=templated", "scale.synthetic=null", f"data.root={self.folder}/shards", f"hydra.run.dir={out}",
            f"model.language.tokenizer={self.folder}/tokenizer", "logger=csv", "data.batch_size=4",
            "trainer.accelerator=cpu", "trainer.threads=1", "trainer.max_epochs=2", "trainer.log_every=1",
            "trainer.checkpoint_every=2", "trainer.validations_per_epoch=2", "trainer.num_examples=0",
            "evaluation.max_new_tokens=4", "evaluation.limit=1", "baseline=[]",
        ]  # fmt: skip

    def unbroken(self) -> Path:
        out = self.folder / "unbroken"
        pid = self.fork(lambda: program(self.command(out)), out.with_suffix(".log"))
        assert self.wait(pid) == 0, out.with_suffix(".log").read_text()
        return out

    def broken(self, name: str, kills: list[Kill]) -> tuple[Path, list[str]]:
        """A run to its end through all `kills`; how each of its processes ended."""
        out, ended = self.folder / name, []
        for kill in kills:
            code = self._killed(out, kill)
            ended.append({-signal.SIGKILL: "killed", 143: "143", 0: "finished before"}.get(code, f"exit code {code}"))
            newest = out / "checkpoints" / "last.ckpt"
            if kill.breaks and newest.exists() and len(list(newest.parent.glob("[lnp]*.ckpt"))) > 1:
                os.truncate(newest, int(newest.stat().st_size * kill.part))
        code = self.wait(self.fork(lambda: program(self._next(out)), self._log(out)))
        return out, [*ended, "done" if code == 0 else f"exit code {code}"]

    def _killed(self, out: Path, kill: Kill) -> int:
        words = [*self._next(out), f"data.num_workers={kill.workers}"]

        def run() -> None:
            trap(kill)
            program(words)

        before = rows(out / "metrics.csv")
        pid = self.fork(run, self._log(out))
        if kill.place == "step":
            self._await_step(pid, out, max(kill.number, len(before)))
            time.sleep(0.3 * kill.part)
            if not self.over(pid):
                os.killpg(pid, kill.how)
        return self.wait(pid)

    def _next(self, out: Path) -> list[str]:
        """`resume=`, or the same command again where the run was cut before its first checkpoint."""
        if any((out / "checkpoints" / name).exists() for name in ("last.ckpt", "next.ckpt", "previous.ckpt")):
            return [f"resume={out}"]
        shutil.rmtree(out, ignore_errors=True)
        return self.command(out)

    def _await_step(self, pid: int, out: Path, step: int) -> None:
        end = time.monotonic() + SETTLE
        while str(step) not in rows(out / "metrics.csv") and not self.over(pid) and time.monotonic() < end:
            time.sleep(0.002)

    @staticmethod
    def over(pid: int) -> bool:
        return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None

    @staticmethod
    def _log(out: Path) -> Path:
        return out.with_suffix(".log")

    @staticmethod
    def fork(run: Callable[[], None], log: Path) -> int:
        sys.stdout.flush()
        if pid := os.fork():
            return pid
        code = 70
        try:
            os.setsid()
            file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
            os.dup2(file, 1)
            os.dup2(file, 2)
            run()
            code = 0
        except SystemExit as stop:
            code = stop.code if isinstance(stop.code, int) else 1
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)

    @staticmethod
    def wait(pid: int) -> int:
        end = time.monotonic() + SETTLE
        while not Runs.over(pid):
            if time.monotonic() > end:
                os.killpg(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
                return 124
            time.sleep(0.01)
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def program(words: list[str]) -> None:
    """`python run.py WORDS`."""
    sys.argv = [str(ROOT / "run.py"), *words]
    runpy.run_path(sys.argv[0], run_name="__main__")


def trap(kill: Kill) -> None:
    """Lets this very process die at the place of `kill`, in the middle of what the program does there."""
    from depictqa import checkpoint
    from depictqa.callbacks.checkpoints import Checkpoints

    def die() -> None:
        os.kill(os.getpid(), kill.how)

    if kill.place == "checkpoint":
        save, write = checkpoint.write_atomically, checkpoint._Watched.write
        saved, written = [0], [0]

        def count(path: Path, fill: Any) -> None:
            saved[0] += 1
            written[0] = 0
            save(path, fill)

        def some(self: Any, data: Any) -> int:
            written[0] += 1
            if saved[0] == kill.number + 1 and written[0] == 1 + int(kill.part * 100):
                self.file.write(memoryview(data)[: len(data) // 2])
                self.file.flush()
                die()
                return write(self, memoryview(data)[len(data) // 2 :]) + len(data) // 2
            return write(self, data)

        checkpoint.write_atomically, checkpoint._Watched.write = count, some  # type: ignore[assignment]
    elif kill.place == "rename":
        replace, renamed = os.replace, [0]

        def counted(source: Any, target: Any) -> None:
            if str(target).endswith("last.ckpt"):
                renamed[0] += 1
                if renamed[0] == kill.number + 1:
                    if kill.part < 0.5:
                        die()
                    replace(source, target)
                    return die() if kill.part >= 0.5 else None
            replace(source, target)

        os.replace = counted  # type: ignore[assignment]
    elif kill.place == "validation":
        end, ended = Checkpoints.on_validation_batch_end, [0]

        def batch_end(self: Any, *args: Any, **kwargs: Any) -> None:
            ended[0] += 1
            if ended[0] == kill.number + 1:
                die()
            end(self, *args, **kwargs)

        Checkpoints.on_validation_batch_end = batch_end  # type: ignore[method-assign]


def rows(path: Path, name: str = "train/loss") -> dict[str, str]:
    """The exact loss of each step that is logged."""
    if not path.is_file():
        return {}
    with path.open(newline="") as file:
        return {row["step"]: row[name] for row in csv.DictReader(file) if row.get(name)}


def best_step(out: Path) -> int:
    from depictqa.checkpoint import read_checkpoint

    return read_checkpoint(out / "checkpoints" / "best.ckpt")["global_step"]


def identical(one: Path, other: Path) -> bool:
    """Weights, all validations and which was the best, and all losses that were logged: where a kill comes between a
    step's checkpoint and its row, the row is lost, and the weights are not."""
    weights = [(out / "model" / "model.safetensors") for out in (one, other)]
    losses = rows(other / "metrics.csv")
    same_losses = losses.items() <= rows(one / "metrics.csv").items() and len(losses) >= STEPS - MOST
    validations = [rows(out / "metrics.csv", "val/loss") for out in (one, other)]
    if not (same_losses and weights[1].is_file() and validations[0] == validations[1]):
        return False
    return best_step(one) == best_step(other) and weights[0].read_bytes() == weights[1].read_bytes()


def make_data(folder: Path) -> None:
    """A tokenizer and shards: 13 training records with two samples each, a few held out."""
    from datamodules.records import Record, RecordSample
    from datamodules.shards import ShardWriter
    from depictqa.sample import Slot, Task, Truth, Turn
    from depictqa.testing import tiny_tokenizer

    tiny_tokenizer(folder / "tokenizer")
    for split, numbers in (("train", range(13)), ("val", range(100, 106)), ("test", range(200, 203))):
        with ShardWriter(folder / "shards", split, source="made", licence="CC0-1.0", seed=1) as writer:
            for number in numbers:
                pixels = np.random.default_rng(number).integers(0, 256, (3, 40, 30, 3), dtype=np.uint8)
                images = {slot: Image.fromarray(one) for slot, one in zip(Slot, pixels, strict=True)}
                better = (Slot.A, Slot.B)[number % 2]
                turns = (Turn("Which image is better?", f"Image {better.name}"),)
                samples = tuple(
                    RecordSample(Task.COMPARISON, slots, turns, Truth(better=better))
                    for slots in ((Slot.REFERENCE, Slot.A, Slot.B), (Slot.A, Slot.B))
                )
                writer.write(Record(f"{number:04d}", images, samples, reference=f"photo{number}"))


def preload() -> None:
    """What a run imports, so that it is imported once. Nothing of it may run before a fork."""
    import lightning  # noqa: F401
    import open_clip  # noqa: F401
    import peft  # noqa: F401
    import torchmetrics  # noqa: F401
    import transformers  # noqa: F401

    import datamodules.templated  # noqa: F401
    import depictqa.lightning_module  # noqa: F401
    import depictqa.models.depictqa  # noqa: F401
    import depictqa.testing  # noqa: F401
    import experiments.evaluate  # noqa: F401
    import experiments.examples  # noqa: F401
    import experiments.loggers  # noqa: F401
    import experiments.schemas  # noqa: F401
    import experiments.train  # noqa: F401


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    start, done, ways = time.monotonic(), 0, Counter[str]()
    preload()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        runs = Runs(Path(folder))
        unbroken = runs.unbroken()
        assert len(rows(unbroken / "metrics.csv")) == STEPS
        for number in range(options.runs):
            kills = draw(random.Random(f"{options.seed} {number}"))
            out, ended = runs.broken(f"run{number}", kills)
            same = identical(unbroken, out) and ended[-1] == "done"
            done += same
            said = "; ".join(f"{kill} -> {end}" for kill, end in zip(kills, ended, strict=False))
            print(f"{number:3} {'identical' if same else 'DIFFERENT'}  {said}; {ended[-1]}", flush=True)
            ways.update(
                f"{kill.how.name} in {kill.place}" for kill, end in zip(kills, ended, strict=False) if end[0] in "k1"
            )
            ways.update("broken checkpoint" for kill in kills if kill.breaks)
            if not same:
                print(out.with_suffix(".log").read_text(), flush=True)
    print(", ".join(f"{way}: {count}" for way, count in sorted(ways.items())))
    print(f"{done} of {options.runs} runs ended with the unbroken run's weights and losses, to the last bit "
          f"({time.monotonic() - start:.0f} s, seed {options.seed})")  # fmt: skip
    sys.exit(done < options.runs)


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    sys.path[:0] = [str(ROOT), str(ROOT / "src")]
    main()
