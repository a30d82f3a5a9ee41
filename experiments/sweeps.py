"""Sweeps: each job is a run of its own in a process of its own, so that whatever ends one leaves the others alone.

Hydra's launcher decides where jobs run (one after the other, side by side, on a cluster); there, `run_job` starts the
same `run.py` with the job's overrides and folder. The callback `Sweep` keeps the list of jobs.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import traceback
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any, TextIO

from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.experimental.callback import Callback
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf, flag_override

from depictqa.signals import INTERRUPTED, REQUEUE, STOP
from experiments.command import again
from experiments.console import UNREAD_EXIT, hear_stop, one_line_errors, relative, terminating
from experiments.jobs import JOB, LIST, LOG, METRICS, Job, State, points, read_job, read_list, refresh_list, write_list
from experiments.quoting import override
from experiments.ranks import is_further_process
from experiments.resume import CHECKPOINTS

ASKED_TO_STOP = (REQUEUE, INTERRUPTED, *(-which for which in (*STOP, signal.SIGINT)))
"""Exit codes of a process that has ended for such a signal, in order or before it could."""

_runs: list[Path] = []
"""The sweep that this process runs, from its list's first writing to its end."""


def in_sweep() -> bool:
    """Whether the configuration at hand is one of a sweep's, and not that of a run."""
    return HydraConfig.get().mode == RunMode.MULTIRUN


def run_job(cfg: DictConfig) -> float | None:
    """One job, in a process of its own. What it prints also goes to its `log.txt`. Returns its figure `objective`, for
    a sweeper that searches: ValueError where it has none. Else nothing is raised, whatever becomes of the job.

    A job that is finished is left alone; one that was cut goes on from its checkpoint; any other starts anew.
    """
    folder = relative(HydraConfig.get().runtime.output_dir)
    before = read_job(folder)
    if before.state is not State.FINISHED:
        _run(cfg, folder)
    elif before.overrides != tuple(HydraConfig.get().overrides.task):
        raise ValueError(f"{folder} holds a finished run of another point; start a new sweep (hydra.sweep.dir)")
    if cfg.objective is None:
        return None
    metrics = json.loads((folder / METRICS).read_text()) if (folder / METRICS).is_file() else {}
    if cfg.objective not in metrics:
        raise ValueError(f"{folder} has no figure '{cfg.objective}'; choose one of its {METRICS} (objective)")
    return float(metrics[cfg.objective])


def _run(cfg: DictConfig, folder: Path) -> None:
    hydra = HydraConfig.get()
    command = again(folder)
    if cfg.logger.group is None:
        command.append(override("logger.group", Path(hydra.sweep.dir).name))
    if goes_on := _can_go_on(cfg, folder):
        command.append(override("resume", folder))
    if is_further_process():  # one of several tasks of a job; the first keeps the record
        _follow(command, None)
        return
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / LOG, "a", encoding="utf-8") as log:
        if not _lock(log):
            print(f"{folder} is run by another process; left to it", flush=True)
            return
        if not goes_on and (folder / JOB).is_file():
            _clear(folder)
        job = Job(folder, tuple(hydra.overrides.task), State.CUT, "stopped")
        try:
            _tell_state(replace(job, state=State.STARTED, cause="runs, or was killed with its sweep"))
            job = _ended(job, *_follow(command, log))
        finally:
            _tell_state(job)


def _lock(log: TextIO) -> bool:
    """Until it is closed, or this process ends in whatever way."""
    try:
        fcntl.flock(log, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _clear(folder: Path) -> None:
    """What is left of a run that cannot go on."""
    for path in folder.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        elif path.name != LOG:
            path.unlink()


def _ended(job: Job, code: int, last: list[str]) -> Job:
    if code == 0:
        return replace(job, state=State.FINISHED, cause="")
    if code == UNREAD_EXIT and (job.folder / METRICS).is_file():
        return replace(job, state=State.FINISHED, cause="some results have an error")
    if code in ASKED_TO_STOP:
        return replace(job, cause="stopped")
    return replace(job, state=State.FAILED, cause=_cause(code, last))


def _tell_state(job: Job) -> None:
    job.save()
    if (job.folder.parent / LIST).is_file():
        refresh_list(job.folder.parent)


def _can_go_on(cfg: DictConfig, folder: Path) -> bool:
    any_of = {"train": CHECKPOINTS, "evaluate": ("config.yaml",)}.get(cfg.program.name, ())
    return any((folder / name).is_file() for name in any_of)


def _follow(command: list[str], log: TextIO | None) -> tuple[int, list[str]]:
    """Exit code and last lines. However this process ends, so does that one, by SIGTERM: it keeps its checkpoint."""
    in_main = threading.current_thread() is threading.main_thread()
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    last: deque[str] = deque(maxlen=30)
    with terminating() if in_main else nullcontext():
        pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "errors": "replace"}
        # The lock on the log is the job's as well: it is run for as long as either of the two processes lives.
        held = () if log is None else (log.fileno(),)
        cwd = HydraConfig.get().runtime.cwd
        child = subprocess.Popen(command, env=environment, cwd=cwd, text=True, pass_fds=held, **pipes)
        try:
            _copy(child, log, last)
        except BaseException:
            child.terminate()
            _copy(child, log, last)
            raise
    return child.returncode, list(last)


def _copy(child: subprocess.Popen[str], log: TextIO | None, last: deque[str]) -> None:
    """What it prints, until it has ended."""
    assert child.stdout is not None
    for line in child.stdout:
        last.append(line.rstrip())
        for place in filter(None, (sys.stdout, log)):
            place.write(line)
            place.flush()
    child.wait()


def _cause(code: int, last: list[str]) -> str:
    """Why a process failed: its own words, or the signal that ended it."""
    if code < 0:
        return f"ended by {signal.Signals(-code).name}"
    said = [line for line in last if line.strip()]
    errors = [line.removeprefix("error: ") for line in said if line.startswith("error: ")]
    return (errors or said or [f"exit code {code}"])[-1]


class Sweep(Callback):
    """Keeps `jobs.yaml` in a sweep's folder; at the end says which jobs failed, and why: exit code 1.

    With `resume=SWEEP_DIR` the jobs are those of that list; other words are refused. They run where they are missing.
    """

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        HydraConfig.instance().set_config(config)  # makes it read-only
        with _heard(), one_line_errors(), flag_override(config.hydra, ["readonly", "struct"], False):
            if config.resume is not None:
                _restore(config, Path(config.resume))
            else:
                _begin(config, relative(Path(config.hydra.sweep.dir).absolute()))
        _runs[:] = [relative(Path(config.hydra.sweep.dir).absolute())]
        hear_stop()

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        _runs.clear()
        with _heard():
            if _tell(Path(config.hydra.sweep.dir)):
                raise SystemExit(1)


@contextmanager
def told_when_stopped() -> Iterator[None]:
    """Where a signal ends the sweep that runs in the block, what became of its jobs is told, and what runs the rest."""
    try:
        yield
    except SystemExit as stop:
        if _runs and stop.code in (REQUEUE, INTERRUPTED):
            _tell(_runs[0])
        raise


def _tell(sweep: Path) -> bool:
    """What became of the jobs. Whether any are missing."""
    jobs = refresh_list(sweep)
    missing = [job for job in jobs if job.state is not State.FINISHED]
    print(f"{len(jobs) - len(missing)} of {len(jobs)} jobs finished: {sweep / LIST}", flush=True)
    if missing:
        names = points([job.overrides for job in jobs])
        for job, name in zip(jobs, names, strict=True):
            if job in missing and job.state is not State.WAITING:
                print(f"{job.state}: {job.folder} ({name}): {job.cause}", file=sys.stderr)
        print(f"to run what is missing: python run.py -m resume={sweep}", file=sys.stderr, flush=True)
    return bool(missing)


@contextmanager
def _heard() -> Iterator[None]:
    """Hydra makes warnings of a callback's errors, and goes on."""
    try:
        yield
    except Exception:
        traceback.print_exc()
        raise SystemExit(1) from None


def _begin(config: DictConfig, sweep: Path) -> None:
    """The list of a new sweep; empty where a sweeper chooses as it goes (Optuna's)."""
    arguments = list(config.hydra.overrides.task)
    params = {key: str(value) for key, value in (OmegaConf.select(config, "hydra.sweeper.params") or {}).items()}
    jobs = []
    if _is_basic(config):
        from hydra._internal.core_plugins.basic_sweeper import BasicSweeper

        words = [f"{key}={value}" for key, value in params.items()] + arguments
        (all_points,) = BasicSweeper.split_arguments(OverridesParser.create().parse_overrides(words), None)
        jobs = [Job(sweep / str(number), tuple(point)) for number, point in enumerate(all_points)]
    write_list(sweep, arguments, params, jobs)


def _restore(config: DictConfig, sweep: Path) -> None:
    """The command becomes the one that the sweep was started with, in the sweep's folder."""
    arguments, params, _ = read_list(sweep)
    if not _is_basic(config):
        raise ValueError("a search is not gone on with by resume=; give it hydra.sweeper.storage and study_name")
    for typed in config.hydra.overrides.task:
        if not typed.startswith("resume=") and typed not in arguments:
            raise ValueError(f"sweep '{sweep}' was not started with {typed}; leave it out, or start a new one (resume)")
    config.hydra.overrides.task = arguments
    config.hydra.overrides.hydra.append(override("hydra.sweep.dir", sweep))
    if params:
        config.hydra.sweeper.params = params


def _is_basic(config: DictConfig) -> bool:
    """Whether all points are known before the first job runs."""
    return str(config.hydra.sweeper._target_).endswith(".BasicSweeper")
