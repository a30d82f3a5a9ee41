"""Archives: unpacked once, whole or not at all, and nothing of them is written anywhere else."""

from __future__ import annotations

import io
import json
import os
import stat
import tarfile
import zipfile
from concurrent.futures import ThreadPoolExecutor

import pytest

from datamodules import archives
from datamodules.archives import unpack

FILES = {"scores.csv": b"a,1\n", "images/a.png": b"A" * 3000, "images/b.png": b"B"}


def make_zip(path, files, mode="w"):
    with zipfile.ZipFile(path, mode, zipfile.ZIP_DEFLATED) as file:
        for name, data in files.items():
            file.writestr(name, data)
    return path


def tar_member(name, data=b"x", kind=tarfile.REGTYPE, target=""):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    info.size = len(data) if kind == tarfile.REGTYPE else 0
    return info, io.BytesIO(data)


def make_tar(path, members, mode="w"):
    with tarfile.open(path, mode) as file:
        for info, data in members:
            file.addfile(info, data)
    return path


def contents(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def refusals(unpacked):
    return {member.name.rpartition("member ")[2]: member.reason for member in unpacked.refused}


@pytest.mark.parametrize("suffix", [".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".ZIP"])
def test_every_kind_is_unpacked_beside_itself(tmp_path, suffix):
    archive = tmp_path / f"data{suffix}"
    if suffix.lower() == ".zip":
        make_zip(archive, FILES)
    else:
        kind = {".tar": "", ".tgz": "gz"}.get(suffix, suffix.rpartition(".")[2])
        members = [tar_member("./", kind=tarfile.DIRTYPE)]
        make_tar(archive, members + [tar_member(f"./{name}", data) for name, data in FILES.items()], f"w:{kind}")
    unpacked = unpack(archive)
    assert contents(unpacked.folder) == FILES and unpacked.refused == []
    assert unpacked.folder == tmp_path / f".data{suffix}.unpacked/files"
    assert sorted(path.name for path in tmp_path.iterdir()) == [f".data{suffix}.unpacked", f"data{suffix}"]


def test_a_single_top_folder_is_what_the_source_sees(tmp_path):
    archive = make_zip(tmp_path / "a.zip", {f"set_1/{name}": data for name, data in FILES.items()})
    with zipfile.ZipFile(archive, "a") as file:
        file.writestr("__MACOSX/set_1/._scores.csv", b"macOS adds this")
        file.writestr("set_1/.DS_Store", b"and this")
    assert unpack(archive).folder.name == "set_1" and contents(unpack(archive).folder) == FILES
    only = make_zip(tmp_path / "b.zip", {"scores.csv": b""})
    assert unpack(only).folder.name == "files"


def test_it_is_unpacked_once_and_again_when_it_changed(tmp_path):
    archive = make_zip(tmp_path / "a.zip", {**FILES, "/etc/x": b""})
    told = []
    first = unpack(archive, told.append)
    (first.folder / "scores.csv").write_text("kept")
    assert unpack(archive, told.append) == first and len(told) == 1 and len(first.refused) == 1
    assert (first.folder / "scores.csv").read_text() == "kept"
    make_zip(archive, {"other.csv": b"2"})
    assert contents(unpack(archive, told.append).folder) == {"other.csv": b"2"} and len(told) == 2
    os.utime(archive, ns=(1, 1))
    unpack(archive, told.append)
    assert len(told) == 3


def test_unsafe_members_of_a_tar_are_refused_and_named(tmp_path):
    members = [tar_member(name, data) for name, data in FILES.items()]
    members += [
        tar_member("/etc/passwd"), tar_member("../outside"), tar_member("a/../../outside"), tar_member("C:\\x"),
        tar_member("device", kind=tarfile.CHRTYPE), tar_member("pipe", kind=tarfile.FIFOTYPE),
        tar_member("up", kind=tarfile.SYMTYPE, target="../../outside"),
        tar_member("root", kind=tarfile.SYMTYPE, target="/etc/passwd"),
        tar_member("hard", kind=tarfile.LNKTYPE, target="../outside"),
        tar_member("folder", kind=tarfile.SYMTYPE, target="images"), tar_member("folder/c.png"),
        tar_member("scores.csv/below"), tar_member("x" * 300),
    ]  # fmt: skip
    (tmp_path / "in").mkdir()
    unpacked = unpack(make_tar(tmp_path / "in/a.tar", members))
    refused = refusals(unpacked)
    assert refused == {
        "'/etc/passwd'": "has an absolute path",
        "'../outside'": "leaves the folder by '..'",
        "'a/../../outside'": "leaves the folder by '..'",
        "'C:\\x'": "has an absolute path",
        "'device'": "is a device, no file",
        "'pipe'": "is a device, no file",
        "'up'": "links to '../../outside', which is outside of the archive",
        "'root'": "links to '/etc/passwd', which is outside of the archive",
        "'hard'": "links to '../outside', which is outside of the archive",
        "'folder'": "links to 'images', which is no file of the archive",
        "'scores.csv/below'": refused["'scores.csv/below'"],
        f"'{'x' * 300}'": "cannot have that name: File name too long",
    }
    assert "cannot have that name" in refused["'scores.csv/below'"]
    assert contents(unpacked.folder) == {**FILES, "folder/c.png": b"x"}
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


def test_links_to_files_become_copies_and_no_link_is_written(tmp_path):
    """A link, then a member through it, is how archives write elsewhere."""
    outside = tmp_path / "outside"
    outside.mkdir()
    members = [
        tar_member("early.png", kind=tarfile.SYMTYPE, target="images/b.png"),
        tar_member("images/b.png", b"B"),
        tar_member("images/same.png", kind=tarfile.SYMTYPE, target="./b.png"),
        tar_member("hard.png", kind=tarfile.LNKTYPE, target="images/b.png"),
        tar_member("door", kind=tarfile.SYMTYPE, target=str(outside)),
        tar_member("door/x", b"through"),
    ]
    unpacked = unpack(make_tar(tmp_path / "a.tar", members))
    copies = {name: b"B" for name in ("early.png", "images/b.png", "images/same.png", "hard.png")}
    assert contents(unpacked.folder) == {**copies, "door/x": b"through"}
    assert not any(path.is_symlink() for path in unpacked.folder.rglob("*")) and not list(outside.iterdir())
    assert list(refusals(unpacked)) == ["'door'"]


def test_unsafe_members_of_a_zip_are_refused_and_named(tmp_path):
    archive = make_zip(tmp_path / "a.zip", {**FILES, "/etc/passwd": b"x", "..\\outside": b"x", "images\\c.png": b"C"})
    link = zipfile.ZipInfo("images/link.png")
    link.create_system, link.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
    bad = zipfile.ZipInfo("bad")
    bad.create_system, bad.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(archive, "a") as file:
        file.writestr(link, "a.png")
        file.writestr(bad, "../../x")
        file.writestr("images/broken.png", b"broken" * 9)
    data = bytearray(archive.read_bytes())
    at = data.index(b"broken" * 9)
    data[at : at + 6] = b"BROKEN"
    archive.write_bytes(data)
    unpacked = unpack(archive)
    refused = refusals(unpacked)
    assert refused.pop("'images/broken.png'").startswith("is damaged: Bad CRC-32")
    assert refused == {
        "'/etc/passwd'": "has an absolute path",
        "'../outside'": "leaves the folder by '..'",
        "'bad'": "links to '../../x', which is outside of the archive",
    }
    assert contents(unpacked.folder) == {**FILES, "images/c.png": b"C", "images/link.png": FILES["images/a.png"]}


def test_an_encrypted_member_is_refused(tmp_path):
    archive = make_zip(tmp_path / "a.zip", {"a": b"1", "b": b"2"})
    data = bytearray(archive.read_bytes())
    data[data.index(b"PK\x01\x02") + 8] |= 1  # the flag in the directory's first entry
    archive.write_bytes(data)
    assert refusals(unpack(archive)) == {"'a'": "is encrypted"}


@pytest.mark.parametrize("kind", ["zip", "tar", "tar.gz"])
@pytest.mark.parametrize("share", [0.05, 0.5, 0.9])
def test_a_cut_archive_leaves_nothing(tmp_path, kind, share):
    files = {f"{n}.bin": os.urandom(2000) for n in range(20)}
    archive = tmp_path / f"a.{kind}"
    if kind == "zip":
        make_zip(archive, files)
    else:
        make_tar(archive, [tar_member(*item) for item in files.items()], "w:gz" if kind == "tar.gz" else "w")
    data = archive.read_bytes()
    used = 20 * 2560 if kind == "tar" else len(data)  # a tar's end is padded
    archive.write_bytes(data[: int(share * used)])
    with pytest.raises(ValueError, match=f"a.{kind}' is damaged or cut off .*; get it again") as error:
        unpack(archive)
    assert "\n" not in str(error.value) and [path.name for path in tmp_path.iterdir()] == [archive.name]


def test_a_tar_cut_between_members_is_damaged(tmp_path):
    archive = make_tar(tmp_path / "a.tar", [tar_member("a", b"1" * 512), tar_member("b", b"2" * 512)])
    for size in (1024, 1024 + 100):
        archive.write_bytes(archive.read_bytes()[:size])
        with pytest.raises(ValueError, match="a.tar' is damaged or cut off"):
            unpack(archive)
        make_tar(archive, [tar_member("a", b"1" * 512), tar_member("b", b"2" * 512)])


@pytest.mark.parametrize("kind", ["zip", "tar.gz"])
def test_a_bomb_is_not_unpacked(tmp_path, monkeypatch, kind):
    monkeypatch.setattr(archives, "SMALL", 100_000)
    zeros, archive = bytes(200_000), tmp_path / f"a.{kind}"
    if kind == "zip":
        make_zip(archive, {"a": zeros, "b": zeros})
    else:
        make_tar(archive, [tar_member("a", zeros)], "w:gz")
    with pytest.raises(ValueError, match=r"unpacks to over 100,000 bytes, a bomb for its size"):
        unpack(archive)
    assert [path.name for path in tmp_path.iterdir()] == [archive.name]


def test_links_count_towards_a_bomb(tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "SMALL", 100_000)
    monkeypatch.setattr(archives, "MAX_RATIO", 1)
    members = [tar_member("a", bytes(50_000))]
    members += [tar_member(f"link{n}", kind=tarfile.LNKTYPE, target="a") for n in range(3)]
    with pytest.raises(ValueError, match="a bomb for its size"):
        unpack(make_tar(tmp_path / "a.tar", members))


def test_a_killed_unpacking_is_begun_again(tmp_path):
    (tmp_path / ".a.zip.unpacking/files").mkdir(parents=True)
    (tmp_path / ".a.zip.unpacking/files/half").touch()
    assert contents(unpack(make_zip(tmp_path / "a.zip", FILES)).folder) == FILES


def test_what_is_no_archive_or_in_the_way_is_named(tmp_path):
    rar = tmp_path / "a.rar"
    rar.touch()
    with pytest.raises(ValueError, match=r"a.rar' is neither a folder nor one of .zip, .tar, .*; unpack it yourself"):
        unpack(rar)
    (tmp_path / "b.zip").write_bytes(b"no zip")
    with pytest.raises(ValueError, match="b.zip' is damaged or cut off"):
        unpack(tmp_path / "b.zip")
    archive = make_zip(tmp_path / "c.zip", FILES)
    (tmp_path / ".c.zip.unpacked").mkdir()
    with pytest.raises(ValueError, match=".c.zip.unpacked' is in the way and not of our making; move it"):
        unpack(archive)
    with pytest.raises(ValueError, match="cannot unpack '.*none.zip' beside it: No such file"):
        unpack(tmp_path / "none.zip")


def test_names_that_are_no_unicode_can_be_told(tmp_path):
    (refused,) = unpack(make_tar(tmp_path / "a.tar", [tar_member("/\udcff"), tar_member("a")])).refused
    assert json.dumps(refused.name, ensure_ascii=False).encode()


def test_two_builds_of_one_archive_unpack_it_once(tmp_path):
    archive = make_zip(tmp_path / "a.zip", {f"{n}.bin": os.urandom(1000) for n in range(200)})
    told = []
    with ThreadPoolExecutor(4) as pool:
        folders = list(pool.map(lambda _: unpack(archive, told.append).folder, range(4)))
    assert len(set(folders)) == 1 and len(told) == 1 and len(contents(folders[0])) == 200
