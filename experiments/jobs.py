"""The jobs of a sweep as its folders tell of them: what each is, how far it has come, and why it failed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import yaml

from depictqa.whole_file import write_whole

LIST, JOB, LOG = "jobs.yaml", "job.yaml", "log.txt"
"""The sweep's list of its jobs; in a job's folder what is known of it, and what it printed."""

METRICS = "metrics.json"


class State(StrEnum):
    """`cut` is a job that was asked to stop; `started` is also what one remains that was killed with its sweep."""

    WAITING = "waiting"
    STARTED = "started"
    FINISHED = "finished"
    CUT = "cut"
    FAILED = "failed"


@dataclass(frozen=True)
class Job:
    """`overrides` are all of its command line; `cause` says in a line why it is cut or failed."""

    folder: Path
    overrides: tuple[str, ...]
    state: State = State.WAITING
    cause: str = ""

    def save(self) -> None:
        """Into its folder, which then says what ran there even without the sweep's list."""
        self.folder.mkdir(parents=True, exist_ok=True)
        write_whole(self.folder / JOB, _text(_told(self)))


def read_job(folder: Path, overrides: Sequence[str] = ()) -> Job:
    """As its folder tells; a job with figures is finished, whatever became of the sweep around it."""
    saved = _read(folder / JOB)
    state, cause = State(saved.get("state", State.WAITING)), saved.get("cause", "")
    if (folder / METRICS).is_file():
        state = State.FINISHED
    return Job(folder, tuple(saved.get("overrides", overrides)), state, cause)


def write_list(sweep: Path, arguments: Sequence[str], params: dict[str, str], jobs: Sequence[Job]) -> None:
    """`arguments` were typed, `params` are what the ablation varies: what the same jobs follow from again."""
    rows = [{"folder": job.folder.name, **_told(job)} for job in jobs]
    sweep.mkdir(parents=True, exist_ok=True)
    write_whole(sweep / LIST, _text({"arguments": list(arguments), "params": params, "jobs": rows}))


def read_list(sweep: Path) -> tuple[list[str], dict[str, str], list[Job]]:
    """Arguments, params and jobs, their states as their folders tell now. FileNotFoundError where there is no list, and
    ValueError where it is none of ours."""
    if not (sweep / LIST).is_file():
        raise FileNotFoundError(f"cannot go on with sweep '{sweep}': it has no {LIST}; give a sweep's folder (resume)")
    try:
        saved = _read(sweep / LIST)
        arguments, params = saved["arguments"], saved["params"]
        rows = {row["folder"]: row["overrides"] for row in saved["jobs"]}
    except (yaml.YAMLError, KeyError, TypeError) as error:
        raise ValueError(f"{sweep / LIST} is no sweep's list of its jobs; give a sweep's folder (resume)") from error
    more = {path.parent.name for path in sweep.glob(f"*/{JOB}")} - set(rows)  # chosen as the sweep went
    names = [*rows, *sorted(more, key=lambda name: (len(name), name))]
    jobs = [read_job(sweep / name, rows.get(name, ())) for name in names]
    return arguments, params, jobs


def jobs_in(folder: Path) -> list[Job]:
    """Those of the sweep in `folder`; none where there is no list, or another program's file of that name."""
    try:
        return read_list(folder)[2]
    except (FileNotFoundError, ValueError):
        return []


def refresh_list(sweep: Path) -> list[Job]:
    """The list with the states of now. Jobs that end at one moment may each write the other's last state but one; the
    sweep's end writes it once more."""
    arguments, params, jobs = read_list(sweep)
    write_list(sweep, arguments, params, jobs)
    return jobs


def points(overrides: Sequence[Sequence[str]], without: Sequence[str] = ()) -> list[str]:
    """What each of some jobs has that not all of them have, less the keys in `without`; the same for the same point."""
    common = set(overrides[0]).intersection(*overrides) if overrides else set()
    return [
        " ".join(word for word in words if word not in common and word.partition("=")[0] not in without)
        for words in overrides
    ]


def point_of(folder: Path) -> str:
    """Of a job of a sweep: what it has that not all of the sweep's jobs have; empty for any other run's folder."""
    folder = folder.absolute()
    jobs = jobs_in(folder.parent)
    named = dict(zip([job.folder.name for job in jobs], points([job.overrides for job in jobs]), strict=True))
    return named.get(folder.name, "")


def _told(job: Job) -> dict[str, Any]:
    cause = {"cause": job.cause} if job.cause else {}
    return {"state": str(job.state), **cause, "overrides": list(job.overrides)}


def _read(path: Path) -> dict[str, Any]:
    return yaml.safe_load(path.read_text(encoding="utf-8")) if path.is_file() else {}


def _text(content: dict[str, Any]) -> str:
    return yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=10_000)
