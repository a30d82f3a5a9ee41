"""The other way in: shards as an endless stream from anywhere, for data larger than the disk.

Shards are drawn with replacement and samples shuffled in a buffer, so there are no exact epochs or repeats
here; `indexed.py` has them. Reading is strict: what is cut short, out of place or unknown is an error
naming it.
"""

from __future__ import annotations

import json
import os
import tarfile
from collections.abc import Iterator, Sequence
from contextlib import closing
from typing import Any, BinaryIO

import numpy as np

from datamodules.records import Record, from_json, to_sample
from datamodules.shards import MEMBER_NAMES
from depictqa.sample import Sample

# Before its import: else webdataset runs `pipe:` URLs as shell commands and unpickles `.pyd` members.
os.environ["WDS_SECURE"] = "1"
import webdataset  # noqa: E402
from webdataset.tariterators import group_by_keys, tar_file_iterator  # noqa: E402

webdataset.utils.enforce_security = True  # where something else had imported it earlier

TAR_END = bytes(1024)  # with which every whole tar ends
SLOT_OF = {name: slot for slot, name in MEMBER_NAMES.items()}


def expand(urls: str | Sequence[str]) -> list[str]:
    """Paths and addresses with braces (`shard-{000000..000123}.tar`) written out. `pipe:` is refused."""
    patterns = [urls] if isinstance(urls, str) else list(urls)
    expanded = [url for pattern in patterns for url in webdataset.shardlists.expand_urls(pattern)]
    for url in expanded:
        if url.startswith("pipe:"):
            raise ValueError(f"'{url}' would run a shell command; give a path or an https: or gs: address")
    if not expanded:
        raise ValueError("no shards to stream; give at least one path or address (urls)")
    return expanded


def records_of(url: str) -> Iterator[Record]:
    """The records of one shard, images as bytes. ValueError naming the shard and what is wrong in it."""
    empty = True
    for group in _groups(url):
        empty = False
        yield _record(group, url)
    if empty:
        raise ValueError(f"'{url}' holds no records; take it out or build it again")


def _groups(url: str) -> Iterator[dict[str, Any]]:
    """Members that stand in a row under one key."""
    try:
        yield from group_by_keys(_members(url), lcase=False)
    except (tarfile.TarError, EOFError, OSError, ValueError) as error:
        reason = error.args[0] if isinstance(error, ValueError) else error  # webdataset adds streams to the rest
        raise ValueError(f"'{url}' cannot be read: {reason}; copy or build the shard again") from error


def streamed(urls: Sequence[str], source: str, rng: np.random.Generator, buffer: int = 1000) -> Iterator[Sample]:
    """Samples without end. It starts once `buffer` samples, not decoded yet, wait to be drawn."""
    waiting: list[tuple[str, Record, int]] = []
    while True:
        url = urls[int(rng.integers(len(urls)))]
        for record in records_of(url):
            for index in range(len(record.samples)):
                waiting.append((url, record, index))
                if len(waiting) < buffer:
                    continue
                drawn = int(rng.integers(len(waiting)))
                waiting[drawn], waiting[-1] = waiting[-1], waiting[drawn]
                yield _decode(*waiting.pop(), source)


def _decode(url: str, record: Record, index: int, source: str) -> Sample:
    try:
        return to_sample(record, index, source)
    except ValueError as error:
        raise ValueError(f"'{url}': {error}") from error


def _members(url: str) -> Iterator[dict[str, Any]]:
    # Under WDS_SECURE webdataset opens addresses only; a path is opened here.
    opened = webdataset.gopen(url, "rb") if ":" in url.split("/")[0] else open(url, "rb")
    with closing(opened):
        stream = _Tail(opened)
        for member in tar_file_iterator(stream):  # type: ignore[arg-type]
            yield {**member, "__url__": url}
        while stream.read(1 << 20):
            pass
        if stream.tail != TAR_END:
            raise tarfile.ReadError("it is cut short")


class _Tail:
    """A stream that remembers its last bytes: tarfile takes one that ends between two members for whole."""

    def __init__(self, stream: BinaryIO) -> None:
        self.stream, self.tail = stream, b""

    def read(self, size: int) -> bytes:
        data = self.stream.read(size)
        self.tail = (self.tail + data)[-len(TAR_END) :]
        return data


def _record(group: dict[str, Any], url: str) -> Record:
    key = str(group["__key__"])
    where = f"'{url}' '{key}'"
    members = {name: data for name, data in group.items() if not name.startswith("__")}
    unknown = sorted(members.keys() - SLOT_OF.keys() - {"json"})
    if unknown:
        known = ", ".join([*SLOT_OF, "json"])
        raise ValueError(f"{where}: member '{unknown[0]}' unknown; a record holds {known}, its key no dot")
    if "json" not in members:
        raise ValueError(f"{where}: no json beside {', '.join(members)}; keep a record's members together")
    try:
        value = json.loads(members.pop("json"))
    except ValueError as error:
        raise ValueError(f"{where}: its json cannot be read: {error}; build the shard again") from error
    images = {SLOT_OF[name]: data for name, data in members.items()}
    samples = from_json(value, where)
    missing = {slot for sample in samples for slot in sample.slots} - images.keys()
    if missing:
        raise ValueError(f"{where}: no {MEMBER_NAMES[min(missing)]}; keep a record's members together")
    return Record(key, images, samples)
