"""Answers on disk: one line for one item and annotator, whoever writes at the same time and whatever fails."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from datamodules.annotations import read_lines
from datamodules.pages.store import put_line

SAME = ("key", "annotator")


def line(key, annotator="ada", text="x"):
    return {"key": key, "annotator": annotator, "text": text}


def read(path):
    return [value for _, value in read_lines(path)]


def test_a_second_answer_takes_the_place_of_the_first(tmp_path):
    path = tmp_path / "new" / "out.jsonl"
    for one in (line("1"), line("2"), line("1", "bob"), line("1", text="ü")):
        put_line(path, one, SAME)
    assert read(path) == [line("1", text="ü"), line("2"), line("1", "bob")]


def test_a_failed_write_changes_nothing(tmp_path, monkeypatch):
    path = tmp_path / "out.jsonl"
    put_line(path, line("1"), SAME)
    monkeypatch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(OSError, match="No space left"):
        put_line(path, line("2"), SAME)
    assert read(path) == [line("1")]


def test_programs_that_write_at_once_lose_nothing(tmp_path):
    path = tmp_path / "out.jsonl"
    code = (
        "import sys, json; from pathlib import Path; from datamodules.pages.store import put_line\n"
        "for n in range(20): put_line(Path(sys.argv[1]), {'key': str(n), 'by': sys.argv[2]}, ('key', 'by'))"
    )
    names = ("ada", "bob", "cy")
    programs = [subprocess.Popen([sys.executable, "-c", code, str(path), name]) for name in names]
    assert [program.wait() for program in programs] == [0, 0, 0]
    assert {(one["key"], one["by"]) for one in read(path)} == {(str(n), name) for n in range(20) for name in names}
    assert all(json.loads(text) for text in path.read_text().splitlines())
