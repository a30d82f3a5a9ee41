"""A run that is killed goes on with another number of processes: the same steps, up to rounding."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from lightning.pytorch.callbacks import Callback

from tests.integration.test_resume import ROOT, folder, train  # noqa: F401  # a fixture among them

KINDS: dict[str, dict[str, Any]] = {  # cut at micro-batches of one process and of two, which make half as many
    "none": {"budget": 400, "kill_at": {1: 19, 2: 4}},
    "window": {"budget": 300, "kill_at": {1: 9, 2: 9}},
}


class Progress(Callback):
    """What Lightning says of a run: the rate of each optimiser step, and after which ones it validated."""

    def __init__(self) -> None:
        self.rates: dict[int, float] = {}
        self.validated: list[int] = []

    def on_before_optimizer_step(self, trainer: Any, pl_module: Any, optimizer: Any) -> None:
        self.rates[trainer.global_step] = optimizer.param_groups[0]["lr"]

    def on_validation_end(self, trainer: Any, pl_module: Any) -> None:
        self.validated.append(trainer.global_step)


def job(data: Path, out: Path, kind: str, ranks: int, cut: bool = False, resume: bool = False) -> dict[str, Any]:
    """Trains, and tells this rank's share of each step's loss, the rates, the validations and where it started."""
    progress = Progress()
    options = {"packing": kind, "budget": KINDS[kind]["budget"], "every": 2, "extra": [progress], "dropout": 0.0}
    kill_at = KINDS[kind]["kill_at"][ranks] if cut else None
    losses, model, trainer = train(data, out, resume=resume, kill_at=kill_at, ranks=ranks, **options)
    steps: dict[int, float] = {}
    for number, loss in losses.items():
        step = number // trainer.accumulate_grad_batches
        steps[step] = steps.get(step, 0.0) + loss
    weights = float(sum(value.detach().double().abs().sum() for value in model.trained_state_dict().values()))
    rates = {str(step): rate for step, rate in progress.rates.items()}
    found = {"losses": {str(step): loss for step, loss in steps.items()}, "rates": rates, "weights": weights}
    return {**found, "validated": progress.validated, "accumulate": trainer.accumulate_grad_batches}


def main() -> None:
    """Does the jobs that are given as JSON, as one of two processes."""
    jobs = json.loads(sys.argv[1])
    done = [job(Path(sys.argv[2]), Path(given.pop("out")), ranks=2, **given) for given in jobs]
    Path(sys.argv[3], f"{os.environ['LOCAL_RANK']}.json").write_text(json.dumps(done))


def two_processes(data: Path, out: Path, jobs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The jobs' reports, with losses as the mean over both processes."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    paths = os.pathsep.join([str(ROOT), str(ROOT / "src"), os.environ.get("PYTHONPATH", "")])
    running = [
        subprocess.Popen(
            [sys.executable, __file__, json.dumps(jobs), str(data), str(out)],
            env=os.environ | {
                "LOCAL_RANK": str(rank), "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port),
                "PYTHONPATH": paths, "OMP_NUM_THREADS": "1",
            },
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )
        for rank in range(2)
    ]  # fmt: skip
    try:
        said = [process.communicate(timeout=300)[0] for process in running]
    finally:
        for process in running:
            process.kill()
    assert [process.returncode for process in running] == [0, 0], "\n".join(said)
    first, second = (json.loads((out / f"{rank}.json").read_text()) for rank in range(2))
    for one, other in zip(first, second, strict=True):
        assert one["losses"].keys() == other["losses"].keys()
        one["losses"] = {step: (loss + other["losses"][step]) / 2 for step, loss in one["losses"].items()}
    return first


Reports = dict[tuple[str, str], dict[str, Any]]


@pytest.fixture(scope="module")
def runs(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Reports:  # noqa: F811
    """Reports by packing and name: of unbroken runs of one and of two processes, and of what was left to a second run
    after the first: "two_one" was begun by two processes and ended by one."""
    out = tmp_path_factory.mktemp("ranks")
    reports: Reports = {}
    jobs: list[tuple[str, str, dict[str, Any]]] = []
    for kind in KINDS:
        reports[kind, "one"] = job(folder, out / kind / "one", kind, 1)
        job(folder, out / kind / "one_two", kind, 1, cut=True)
        jobs += [(kind, "two", {}), (kind, "two_two", {"cut": True}), (kind, "two_one", {"cut": True})]
        jobs += [(kind, "two_two", {"resume": True}), (kind, "one_two", {"resume": True})]
    given = [{"kind": kind, "out": str(out / kind / name), **options} for kind, name, options in jobs]
    for (kind, name, options), report in zip(jobs, two_processes(folder, out, given), strict=True):
        if not options.get("cut"):
            reports[kind, name] = report
    for kind in KINDS:
        reports[kind, "two_one"] = job(folder, out / kind / "two_one", kind, 1, resume=True)
    return reports


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["two", "one_two", "two_one"])
def test_other_numbers_of_processes_make_the_same_steps(runs: Reports, kind: str, name: str) -> None:
    whole, found = runs[kind, "one"], runs[kind, name]
    assert whole["accumulate"] > runs[kind, "two"]["accumulate"]
    steps = list(map(int, found["losses"]))
    assert steps == list(range(0 if name == "two" else max(1, steps[0]), len(whole["losses"])))
    assert found["losses"] == pytest.approx({step: whole["losses"][step] for step in found["losses"]}, abs=1e-5)
    assert found["rates"] == {step: whole["rates"][step] for step in found["rates"]}
    assert found["rates"].keys() == found["losses"].keys()
    assert found["validated"] == [step for step in whole["validated"] if step > steps[0]]
    assert found["weights"] == pytest.approx(whole["weights"], rel=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_two_processes_go_on_as_two_to_the_last_bit(runs: Reports, kind: str) -> None:
    whole, found = runs[kind, "two"], runs[kind, "two_two"]
    assert found["losses"] == {step: whole["losses"][step] for step in found["losses"]}
    assert found["weights"] == whole["weights"]


if __name__ == "__main__":
    main()
