"""Parts become shards: by several processes, whole or not at all, and going on where a build was cut.

A build fills a hidden folder beside its place, shard by shard; each shard is a function of its items alone, and its
report, written last, says that it is whole. The folder is renamed when all is there. A build that was killed leaves
the folder; the same build, started again, keeps its finished shards and makes the others.
"""

from __future__ import annotations

import fcntl
import hashlib
import importlib.metadata
import json
import multiprocessing
import multiprocessing.connection
import os
import shutil
import signal
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial as partial_of
from pathlib import Path
from typing import Any

from datamodules.annotations import write_lines
from datamodules.parts import Part, Rejected, count_samples, refuse_overlap
from datamodules.shards import Shard, Written, cannot_write, encode_images, write_manifest
from depictqa.image import ImageGeometry
from depictqa.whole_file import write_whole

RECORDS_PER_SHARD = 1000
MAX_REJECTED = 0.01  # share of records that may be set apart
SMALL = 2000  # records below which starting processes costs more than they save
PLAN = "plan.json"
REJECTED = "rejected.jsonl"

Progress = Callable[[Part, int], None]
"""Called with a part and the number of its records that are done since the last call."""


@dataclass(frozen=True)
class _Job:
    """One shard to write: everything a process needs."""

    folder: Path
    source: str
    split: str
    number: int
    first: int  # number of the first item
    items: Sequence[Any]
    make: Callable[[int, Any], Any]
    bake: ImageGeometry | None
    compressed: bool

    @property
    def report(self) -> Path:
        return self.folder / f"shard-{self.number:06d}.report.json"


@dataclass(frozen=True)
class _Report:
    """What became of a job's items."""

    written: Written
    rejected: list[Rejected]


def build(
    parts: Sequence[Part],
    out: Path,
    *,
    seed: int,
    records_per_shard: int = RECORDS_PER_SHARD,
    bake: ImageGeometry | None = None,
    compressed: bool = True,
    num_workers: int = 1,
    max_rejected: float = MAX_REJECTED,
    progress: Progress | None = None,
    finish: Callable[[Path], None] | None = None,
) -> dict[str, int]:
    """Writes `out/<source>/<split>` for each part, refuses leaks between train and test; -> samples by place.

    Records that cannot be made are named in `out/rejected.jsonl`; more than the share `max_rejected` of all stops
    the build, and they are named in `<out>.rejected.jsonl`. `bake` and `compressed` are as in `ShardWriter`. `finish`
    may add files to the folder. `num_workers` above 1 are spawned processes (the caller's script then needs its main
    guard). The bytes do not depend on them.
    ValueError where `out` is there already, is being built, or cannot be written.
    """
    refuse_existing(out)
    if not 0 <= max_rejected <= 1:
        raise ValueError(f"max_rejected is {max_rejected}; give a share of 0 to 1")
    listing = out.with_name(f"{out.name}.{REJECTED}")
    partial = out.with_name(f".{out.name}.partial")
    try:
        with _claimed(partial, out):
            _begin(partial, _fingerprint(parts, seed, records_per_shard, bake, compressed))
            jobs = list(_jobs(partial, parts, records_per_shard, bake, compressed))
            try:
                reports = _run(jobs, parts, num_workers, max_rejected, progress)
                _finish(partial, parts, reports, jobs, seed)
                refuse_overlap(partial)
                if finish is not None:
                    finish(partial)
            except TooManyRejected as error:
                _write_rejected(listing, error.rejected)
                shutil.rmtree(partial, ignore_errors=True)
                raise TooManyRejected(f"{error}; all are in '{listing}'", error.rejected) from None
            except ValueError:
                shutil.rmtree(partial, ignore_errors=True)
                raise
            (partial / PLAN).unlink()
            counts = count_samples(partial)
            os.replace(partial, out)
            listing.unlink(missing_ok=True)  # of an earlier try
    except BrokenProcessPool as error:
        raise ValueError(
            f"a process that made records of '{out}' was killed, perhaps for its memory; build again with fewer "
            f"(num_workers): finished shards are kept"
        ) from error
    except OSError as error:
        if isinstance(error, FileNotFoundError) and error.errno is None:
            raise  # ours: it names a source's file
        raise cannot_write(out, error) from error
    return counts


def refuse_existing(out: Path) -> None:
    """ValueError where a build would have to write over something."""
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ValueError(f"'{out}' exists already; remove it or choose another folder (out)")


class TooManyRejected(ValueError):
    """More records cannot be made than `max_rejected` allows."""

    def __init__(self, message: str, rejected: list[Rejected]) -> None:
        super().__init__(message)
        self.rejected = rejected


@contextmanager
def _claimed(partial: Path, out: Path) -> Iterator[None]:
    """Holds the folder against a second build; the claim ends with the process, however it ends."""
    while True:
        partial.mkdir(parents=True, exist_ok=True)
        folder = os.open(partial, os.O_RDONLY)
        try:
            fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(folder)
            raise ValueError(f"'{out}' is being built by another process; wait for it (out)") from None
        if partial.exists() and os.path.samestat(os.stat(partial), os.fstat(folder)):
            break
        os.close(folder)  # the other build ended between our two steps
    try:
        yield
    finally:
        os.close(folder)


def _begin(partial: Path, plan: dict[str, Any]) -> None:
    """Empties the folder unless it is of the same build."""
    path = partial / PLAN
    if path.is_file() and path.read_text(encoding="utf-8") == json.dumps(plan):
        return
    for entry in partial.iterdir():
        shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
    write_whole(path, json.dumps(plan))


def _fingerprint(
    parts: Sequence[Part], seed: int, records_per_shard: int, bake: ImageGeometry | None, compressed: bool
) -> dict[str, Any]:
    """Tells one build from another: settings, version, and a hash of all items."""
    plan: dict[str, Any] = {"seed": seed, "records_per_shard": records_per_shard, "bake": bake and asdict(bake)}
    plan["compressed"] = compressed
    plan["code_version"] = importlib.metadata.version("depictqa")
    for part in parts:
        digest = hashlib.sha256(repr((_identity(part.make), part.licence)).encode())
        for item in part.items:
            digest.update(repr(item).encode())
        plan[f"{part.source}/{part.split}"] = digest.hexdigest()
    return plan


def _identity(make: Callable[..., Any]) -> tuple[str, ...]:
    """What a function, a method or a partial of one does, without the address that their `repr` holds."""
    if isinstance(make, partial_of):
        args = (str(_identity(arg)) if callable(arg) else repr(arg) for arg in make.args)
        return (*_identity(make.func), *args, repr(make.keywords))
    owner = getattr(make, "__self__", None)
    return make.__module__, make.__qualname__, "" if owner is None else repr(owner)


def _jobs(
    partial: Path, parts: Sequence[Part], size: int, bake: ImageGeometry | None, compressed: bool
) -> Iterator[_Job]:
    for part in parts:
        folder = partial / part.source / part.split
        folder.mkdir(parents=True, exist_ok=True)
        for number, first in enumerate(range(0, len(part.items), size)):
            items = part.items[first : first + size]
            yield _Job(folder, part.source, part.split, number, first, items, part.make, bake, compressed)


def _run(
    jobs: Sequence[_Job], parts: Sequence[Part], num_workers: int, max_rejected: float, progress: Progress | None
) -> list[_Report]:
    """The reports of all jobs, in their order. What was done before, with nothing rejected, is not done again."""
    by_place = {(part.source, part.split): part for part in parts}
    total = sum(len(job.items) for job in jobs)
    known = [_read_report(job) for job in jobs]
    missing = [job for job, report in zip(jobs, known, strict=True) if report is None]
    reports: list[_Report] = []
    rejected: list[Rejected] = []
    with in_order(num_workers if sum(len(job.items) for job in missing) >= SMALL else 1, len(missing)) as run:
        fresh = iter(run(_write_shard, missing))
        for job, report in zip(jobs, known, strict=True):
            reports.append(next(fresh) if report is None else report)
            rejected += reports[-1].rejected
            if len(rejected) > max_rejected * total:
                first = "; ".join(f"{record.name}: {record.reason}" for record in rejected[:3])
                message = f"{len(rejected)} of {total} records cannot be made, more than max_rejected={max_rejected}"
                raise TooManyRejected(f"{message}: {first}", rejected)
            if progress is not None:
                progress(by_place[job.source, job.split], len(job.items))
    return reports


@contextmanager
def in_order(num_workers: int, num_jobs: int) -> Iterator[Callable[..., Iterable[Any]]]:
    """`map`, or the same by processes. Not by threads: the work is many short calls, and two were slower than one."""
    if min(num_workers, num_jobs) <= 1:
        yield map
        return
    context = multiprocessing.get_context("spawn")
    executor = ProcessPoolExecutor(min(num_workers, num_jobs), context, initializer=_end_with_parent)
    try:
        yield executor.map
    except BaseException:  # Ctrl-C, say: what is under way would take seconds to end, and is made again anyway
        for process in list((executor._processes or {}).values()):
            process.terminate()
        raise
    finally:
        executor.shutdown(cancel_futures=True)


def _end_with_parent() -> None:
    """A killed build takes its processes with it: they would otherwise wait for work for ever."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all; the parent says what is to be done
    parent = multiprocessing.parent_process()
    assert parent is not None

    def wait() -> None:
        multiprocessing.connection.wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


def _write_shard(job: _Job) -> _Report:
    """One shard and its report. What cannot be made is in the report; what cannot be written raises OSError."""
    shard = Shard(job.folder, job.number, job.bake)
    rejected = []
    try:
        for number, item in enumerate(job.items, start=job.first):
            if isinstance(item, Rejected):
                rejected.append(item)
                continue
            try:
                record = job.make(number, item)
                images = encode_images(record, job.bake, job.compressed, f"{job.source} {job.split}")
            except (ValueError, OSError) as error:
                rejected.append(Rejected(f"{job.source}/{job.split} record {number}", " ".join(str(error).split())))
                continue
            shard.add(record, images)
        report = _Report(shard.close(), rejected)
    finally:
        shard.abandon()
    write_whole(job.report, json.dumps(asdict(report)))
    return report


def _read_report(job: _Job) -> _Report | None:
    """Of a shard that is whole and complete; None where it is to be made."""
    try:
        value = json.loads(job.report.read_bytes())
    except FileNotFoundError:
        return None
    return None if value["rejected"] else _Report(Written(**value["written"]), [])


def _finish(partial: Path, parts: Sequence[Part], reports: Sequence[_Report], jobs: Sequence[_Job], seed: int) -> None:
    """Manifests in the place of reports, and the list of what was rejected."""
    for part in parts:
        folder = partial / part.source / part.split
        own = [report for job, report in zip(jobs, reports, strict=True) if job.folder == folder]
        for shard in own:
            if not shard.written.keys:  # all of its records were rejected
                for path in folder.glob(f"{shard.written.line['name']}.*"):
                    path.unlink()
        where = {"source": part.source, "split": part.split, "licence": part.licence, "seed": seed}
        write_manifest(folder, [report.written for report in own], where)
    for job in jobs:
        job.report.unlink(missing_ok=True)
    rejected = [record for report in reports for record in report.rejected]
    if rejected:
        _write_rejected(partial / REJECTED, rejected)


def _write_rejected(path: Path, rejected: Sequence[Rejected]) -> None:
    write_lines(path, (asdict(record) for record in rejected))
