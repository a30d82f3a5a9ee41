from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch

from depictqa.checkpoint import AtomicCheckpointIO, read_checkpoint, remove_parts, rotate, write_atomically


def test_round_trip(tmp_path: Path) -> None:
    path = tmp_path / "new" / "last.ckpt"
    AtomicCheckpointIO().save_checkpoint({"state_dict": {"w": torch.arange(3)}, "global_step": 7}, path)
    content = AtomicCheckpointIO().load_checkpoint(path)
    assert content["global_step"] == 7
    assert content["state_dict"]["w"].tolist() == [0, 1, 2]
    assert [p.name for p in path.parent.iterdir()] == ["last.ckpt"]


@contextmanager
def no_file_larger_than(size: int) -> Iterator[None]:
    """The system itself refuses to write on, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("room", [0, 100, 5000, 30_000])
def test_no_space_keeps_the_last_checkpoint(tmp_path: Path, room: int) -> None:
    path = tmp_path / "last.ckpt"
    AtomicCheckpointIO().save_checkpoint({"step": 1}, path)
    big = {"step": 2, "w": torch.zeros(10_000)}
    with no_file_larger_than(room), pytest.raises(OSError) as caught:
        AtomicCheckpointIO().save_checkpoint(big, path)
    message = str(caught.value)
    assert message.startswith(f"could not write {path} (File too large); what was written before is whole")
    assert "\n" not in message
    assert read_checkpoint(path) == {"step": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["last.ckpt"]


def test_an_interrupted_write_leaves_nothing(tmp_path: Path) -> None:
    def interrupted(file: object) -> None:
        file.write(b"half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_atomically(tmp_path / "last.ckpt", interrupted)
    assert list(tmp_path.iterdir()) == []


def test_a_bug_while_saving_is_not_called_a_full_disk(tmp_path: Path) -> None:
    def broken(file: object) -> None:
        raise RuntimeError("some bug")

    with pytest.raises(RuntimeError, match="some bug"):
        write_atomically(tmp_path / "x", broken)
    assert list(tmp_path.iterdir()) == []


def test_code_in_a_checkpoint_is_refused(tmp_path: Path) -> None:
    torch.save({"state_dict": {}, "callback": Path}, tmp_path / "unsafe.ckpt")
    with pytest.raises(ValueError, match="unsafe.ckpt is no readable checkpoint: it holds more than plain data"):
        read_checkpoint(tmp_path / "unsafe.ckpt")


def test_missing_cut_short_and_strange_files(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no checkpoint at"):
        read_checkpoint(tmp_path / "absent.ckpt")
    torch.save({"w": torch.zeros(1000)}, tmp_path / "whole.ckpt")
    data = (tmp_path / "whole.ckpt").read_bytes()
    for size in (0, 10, len(data) // 2):
        (tmp_path / "cut.ckpt").write_bytes(data[:size])
        with pytest.raises(ValueError, match="cut.ckpt is no readable checkpoint: it is cut short or broken$"):
            read_checkpoint(tmp_path / "cut.ckpt")
    torch.save([1, 2], tmp_path / "list.ckpt")
    with pytest.raises(ValueError, match="holds a list"):
        read_checkpoint(tmp_path / "list.ckpt")


def test_the_last_two_are_kept(tmp_path: Path) -> None:
    new, last, previous = (tmp_path / name for name in ("new", "last", "previous"))
    for step in range(4):
        AtomicCheckpointIO().save_checkpoint({"step": step}, new)
        rotate(new, last, previous)
        assert read_checkpoint(last) == {"step": step}
        assert not previous.exists() if step == 0 else read_checkpoint(previous) == {"step": step - 1}
    last.rename(previous)  # as a kill in between leaves it
    AtomicCheckpointIO().save_checkpoint({"step": 4}, new)
    rotate(new, last, previous)
    assert [read_checkpoint(path)["step"] for path in (previous, last)] == [3, 4]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["last", "previous"]


def test_the_last_two_are_kept_where_they_are_folders(tmp_path: Path) -> None:
    for step in range(3):
        (tmp_path / "new").mkdir()
        (tmp_path / "new" / "shard").write_text(str(step))
        rotate(tmp_path / "new", tmp_path / "last", tmp_path / "previous")
    assert [(tmp_path / name / "shard").read_text() for name in ("previous", "last")] == ["1", "2"]


def test_what_a_kill_leaves_is_removed_and_nothing_else(tmp_path: Path) -> None:
    for name in (".last.ckpt.123.part", "last.ckpt", ".hidden"):
        (tmp_path / name).touch()
    remove_parts(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".hidden", "last.ckpt"]
