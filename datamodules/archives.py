"""Archives as datasets are published: unpacked once, beside themselves, with what is unsafe in them set apart.

`DIR/NAME.zip` becomes `DIR/.NAME.zip.unpacked`, whole or not at all, and is used again while the archive's size and
time of change stay. Only plain files are written, and only below that folder: a name that leaves it, a device, and a
link to anything but a file of the archive are refused; a link to one becomes a copy of it. So no link is ever on disk.
"""

from __future__ import annotations

import errno
import fcntl
import gzip
import json
import lzma
import os
import posixpath
import re
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import partial as partial_of
from pathlib import Path, PurePosixPath
from typing import IO, Any, cast

from datamodules.parts import Rejected

ZIP = (".zip",)
TAR = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")
MAX_RATIO = 100  # unpacked to packed bytes: tables shrink 20 times, uncompressed images 5; a bomb, 1000 and more
SMALL = 2**28  # bytes that any archive may unpack to
MAX_TARGET = 4096  # bytes of a link's target in a zip
STAMP, FILES = "stamp.json", "files"
VERSION = 1  # of what is done to an archive's members

_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)
_DAMAGED = (zipfile.BadZipFile, tarfile.TarError, gzip.BadGzipFile, lzma.LZMAError, zlib.error, EOFError)
_NO_SUCH_PLACE = {errno.EEXIST, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG, errno.EINVAL, errno.EILSEQ}


@dataclass(frozen=True)
class Unpacked:
    """The folder that a source reads, and the members that were refused."""

    folder: Path
    refused: list[Rejected]


@dataclass(frozen=True)
class _Member:
    """`problem` says why it cannot be taken whatever its name; `target` is a link's, from the archive's root."""

    name: str
    size: int
    open: Callable[[], IO[bytes]]
    target: str | None = None
    problem: str | None = None


def unpack(archive: Path, tell: Callable[[str], None] = lambda message: None) -> Unpacked:
    """The archive's files. Where all are in one top folder, that is the folder.

    `tell` hears that unpacking begins. ValueError for a file that is no archive, is damaged, cannot be unpacked
    beside itself, or unpacks to more than `MAX_RATIO` times its size.
    """
    if not archive.name.lower().endswith(ZIP + TAR):
        raise ValueError(f"'{archive}' is neither a folder nor one of {', '.join(ZIP + TAR)}; unpack it yourself (raw)")
    final = archive.with_name(f".{archive.name}.unpacked")
    try:
        with _locked(archive) as stamp:
            known = _read_stamp(final)
            if known is None or {name: known.get(name) for name in stamp} != stamp:
                tell(f"unpacking '{archive}' into '{final}'")
                known = _make(archive, final, stamp)
    except _DAMAGED as error:
        raise ValueError(f"'{archive}' is damaged or cut off ({' '.join(str(error).split())}); get it again") from error
    except OSError as error:
        why = error.strerror or error
        raise ValueError(f"cannot unpack '{archive}' beside it: {why}; unpack it elsewhere, give that (raw)") from error
    entries = list((final / FILES).iterdir())
    folder = entries[0] if len(entries) == 1 and entries[0].is_dir() else final / FILES
    return Unpacked(folder, [Rejected(**member) for member in known["refused"]])


def _make(archive: Path, final: Path, stamp: dict[str, Any]) -> dict[str, Any]:
    """Fills a folder beside `final` and renames it; -> its stamp."""
    partial = archive.with_name(f".{archive.name}.unpacking")
    shutil.rmtree(partial, ignore_errors=True)  # of a process that was killed
    if final.exists():  # of another state of the archive
        os.replace(final, partial)
        shutil.rmtree(partial)
    try:
        refused = _unpack_into(archive, partial / FILES, stamp["size"])
        stamp = {**stamp, "refused": [asdict(member) for member in refused]}
        (partial / STAMP).write_text(json.dumps(stamp), encoding="utf-8")
        os.replace(partial, final)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return stamp


@contextmanager
def _locked(archive: Path) -> Iterator[dict[str, int]]:
    """Holds the archive against a second build, which waits; yields what tells its state from another."""
    with open(archive, "rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        state = os.fstat(file.fileno())
        yield {"version": VERSION, "size": state.st_size, "mtime_ns": state.st_mtime_ns}


def _read_stamp(final: Path) -> dict[str, Any] | None:
    """None where nothing is unpacked. ValueError where a folder of that name is not ours."""
    if not final.exists():
        return None
    try:
        value = json.loads((final / STAMP).read_bytes())
        assert isinstance(value["refused"], list)
    except (OSError, ValueError, TypeError, KeyError, AssertionError):
        raise ValueError(f"'{final}' is in the way and not of our making; move it") from None
    return dict(value)


def _unpack_into(archive: Path, folder: Path, packed: int) -> list[Rejected]:
    """Writes the files; -> the members that were refused."""
    files = _Files(archive, folder, limit=max(MAX_RATIO * packed, SMALL))
    links = []
    for member in _zip_members(archive) if files.is_zip else _tar_members(archive):
        if _is_litter(member.name):
            continue
        problem = member.problem or _name_problem(member.name)
        if problem is not None:
            files.refuse(member, problem)
        elif member.target is None:
            files.write(member, member.open)
        else:
            links.append(member)
    for member in links:
        files.write_link(member)
    return files.refused


class _Files:
    """What is written of an archive below `folder`, and what is not."""

    def __init__(self, archive: Path, folder: Path, limit: int) -> None:
        self.archive, self.folder, self.limit = archive, folder, limit
        self.is_zip = archive.name.lower().endswith(ZIP)
        self.size = 0  # bytes
        self.written: set[str] = set()
        self.refused: list[Rejected] = []
        folder.mkdir(parents=True)

    def refuse(self, member: _Member, problem: str) -> None:
        self.refused.append(Rejected(f"'{self.archive}' member '{_shown(member.name)}'", problem))

    def write(self, member: _Member, open_source: Callable[[], IO[bytes]]) -> None:
        """A member whose place or checksum is wrong is refused. A damaged tar raises: it is one stream."""
        self.size += member.size
        if self.size > self.limit:
            raise ValueError(
                f"'{self.archive}' unpacks to over {self.limit:,} bytes, a bomb for its size; not unpacked"
            )
        name = posixpath.normpath(member.name)
        path = self.folder / name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with open(path, "wb") as file, open_source() as source:
                shutil.copyfileobj(source, file, 2**20)
        except OSError as error:
            if error.errno not in _NO_SUCH_PLACE:
                raise
            self.refuse(member, f"cannot have that name: {error.strerror}")
        except _DAMAGED as error:
            path.unlink()
            self.written.discard(name)
            if not self.is_zip:
                raise
            self.refuse(member, f"is damaged: {' '.join(str(error).split())}")
        else:
            self.written.add(name)

    def write_link(self, member: _Member) -> None:
        """A copy of the file that it names."""
        assert member.target is not None
        name = posixpath.normpath(member.target)
        if name in self.written:
            path = self.folder / name
            self.write(replace(member, size=path.stat().st_size), lambda: open(path, "rb"))
        else:
            where = "outside of the archive" if _name_problem(name) else "no file of the archive"
            self.refuse(member, f"links to '{_shown(member.target)}', which is {where}")


def _zip_members(archive: Path) -> Iterator[_Member]:
    with zipfile.ZipFile(archive) as file:
        for info in file.infolist():
            name = info.filename.replace("\\", "/")  # as some Windows programs write it
            kind = stat.S_IFMT(info.external_attr >> 16)
            target, problem = None, None
            if name.endswith("/"):
                continue  # folders are made for their files
            if info.flag_bits & 1:
                problem = "is encrypted"
            elif info.compress_type not in _METHODS:
                problem = f"is compressed by method {info.compress_type}, which Python does not know"
            elif kind == stat.S_IFLNK:
                with file.open(info) as source:
                    target = _from_root(name, source.read(MAX_TARGET).decode("utf-8", "surrogateescape"))
            elif kind not in (0, stat.S_IFREG):
                problem = "is a device, no file"
            yield _Member(name, info.file_size, partial_of(file.open, info), target, problem)


def _tar_members(archive: Path) -> Iterator[_Member]:
    with tarfile.open(archive, "r:*") as file:
        while (info := file.next()) is not None:
            file.members.clear()  # type: ignore[attr-defined]  # it would keep all of BAPPS' 600,000
            target, problem = None, None
            if info.isdir():
                continue
            if info.issym():
                target = _from_root(info.name, info.linkname)
            elif info.islnk():
                target = info.linkname
            elif not info.isreg():
                problem = "is a device, no file"
            yield _Member(info.name, info.size, partial_of(_opened, file, info), target, problem)
        stream = cast(IO[bytes], file.fileobj)
        stream.seek(file.offset)
        if stream.read(tarfile.BLOCKSIZE).strip(b"\0") or stream.tell() == file.offset:
            raise tarfile.ReadError("the mark of its end is missing")  # tarfile takes a cut for the end


def _opened(file: tarfile.TarFile, info: tarfile.TarInfo) -> IO[bytes]:
    source = file.extractfile(info)
    assert source is not None, "a regular member"
    return source


def _from_root(name: str, target: str) -> str:
    """A symbolic link's target, from the archive's root; absolute ones as they are."""
    return posixpath.normpath(posixpath.join(posixpath.dirname(name), target))


def _name_problem(name: str) -> str | None:
    """Why a member may not be written under its name."""
    path = PurePosixPath(name)
    if path.is_absolute() or re.match(r"[A-Za-z]:[/\\]", name):
        return "has an absolute path"
    if ".." in path.parts:
        return "leaves the folder by '..'"
    return "has no name" if not path.parts or "\0" in name else None


def _is_litter(name: str) -> bool:
    """What macOS adds to archives, beside the files."""
    parts = PurePosixPath(name).parts
    return bool(parts) and (parts[0] == "__MACOSX" or parts[-1].startswith("._") or parts[-1] == ".DS_Store")


def _shown(name: str) -> str:
    """For a message or a file of JSON: names in archives need not be valid Unicode."""
    return name.encode("utf-8", "backslashreplace").decode("utf-8")
