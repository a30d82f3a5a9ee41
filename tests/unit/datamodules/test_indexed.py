import json
import pickle

import pytest

from datamodules.indexed import IndexedShards


@pytest.fixture
def folder(tmp_path, made):
    return made.write(tmp_path)


def error_of(action):
    with pytest.raises((ValueError, FileNotFoundError)) as error:
        action()
    assert "\n" not in str(error.value)
    return str(error.value)


def reopen(folder):
    return IndexedShards(folder.parent, folder.name)


def test_truncated_tar_is_found_at_once(folder):
    tar = folder / "shard-000001.tar"
    tar.write_bytes(tar.read_bytes()[:-600])
    assert "shard-000001.tar' has" in error_of(lambda: reopen(folder))


def test_tar_truncated_or_lost_after_opening_names_the_member(folder):
    read = reopen(folder)
    tar = folder / "shard-000002.tar"
    tar.write_bytes(tar.read_bytes()[:700])
    assert "shard-000002.tar' is cut short at '0006." in error_of(lambda: read[13])
    tar.unlink()
    assert "shard-000002.tar' is gone" in error_of(lambda: read[13])


def test_other_tar_of_the_same_size_is_found(folder):
    first, second = folder / "shard-000000.tar", folder / "shard-000001.tar"
    data = second.read_bytes()
    data = data[: first.stat().st_size].ljust(first.stat().st_size, b"\0")
    first.write_bytes(data)
    assert "has no '0000." in error_of(lambda: reopen(folder)[0])


def test_damaged_image_names_shard_and_key(folder):
    read = reopen(folder)
    tar = folder / "shard-000000.tar"
    data = bytearray(tar.read_bytes())
    data[512 + 40 : 512 + 200] = bytes(160)
    tar.write_bytes(data)
    message = error_of(lambda: read[0])
    assert "shard-000000.tar" in message and "0000.a" in message


def test_missing_files_are_named(folder):
    assert "'vall' unknown" in error_of(lambda: IndexedShards(folder.parent, "vall"))
    assert "val' has no manifest.json; build it" in error_of(lambda: IndexedShards(folder.parent, "val"))
    (folder / "shard-000001.index.json").unlink()
    assert "shard-000001.index.json' is missing" in error_of(lambda: reopen(folder))
    (folder / "shard-000000.tar").unlink()
    assert "shard-000000.tar' is missing" in error_of(lambda: reopen(folder))


def test_record_with_a_missing_field_names_shard_key_and_field(folder):
    index = folder / "shard-000000.index.json"
    index.write_bytes(index.read_bytes().replace(b'"answer"', b'"reply"', 1))
    message = error_of(lambda: reopen(folder)[1])
    assert "shard-000000.tar record 0 '0000' samples[0]: field 'answer' is missing" in message


def test_damaged_index_is_named(folder):
    index = folder / "shard-000000.index.json"
    whole = index.read_bytes()
    index.write_bytes(whole[: len(whole) // 2])
    assert "shard-000000.index.json" in error_of(lambda: reopen(folder))
    index.write_bytes(b"")
    assert "is not an index" in error_of(lambda: reopen(folder))
    index.write_bytes(whole.replace(b'"images"', b'"pictures"', 1))
    assert "shard-000000.tar record 0: damaged (KeyError: 'images')" in error_of(lambda: reopen(folder)[0])


def test_manifest_of_another_format_is_refused(folder):
    path = folder / "manifest.json"
    manifest = json.loads(path.read_text())
    path.write_text(json.dumps({**manifest, "format": 2}))
    assert "has format 2, this code reads 1" in error_of(lambda: reopen(folder))
    path.write_text("{")
    assert "is not a manifest" in error_of(lambda: reopen(folder))


def test_is_picklable(folder):
    read = reopen(folder)
    again = pickle.loads(pickle.dumps(read))
    assert again[3].key == read[3].key


def test_empty_source_is_refused(folder):
    path = folder / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "shards": []}))
    assert "train' holds no samples; build it again" in error_of(lambda: reopen(folder))
