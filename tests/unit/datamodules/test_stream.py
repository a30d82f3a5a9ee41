import io
import os
import subprocess
import sys
import tarfile
from itertools import islice

import numpy as np
import pytest
import torch

from datamodules.indexed import IndexedShards
from datamodules.stream import expand, records_of, streamed
from datamodules.streamed import StreamedDataModule
from datamodules.templated import TemplatedDataModule


@pytest.fixture
def shard(tmp_path, made):
    """One shard of three records of three images and two samples."""
    return made.write(tmp_path, numbers=range(3)) / "shard-000000.tar"


def rewrite(shard, change):
    """Write the shard again with `change` applied to its list of (name, data)."""
    with tarfile.open(shard) as tar:
        members = [(info.name, tar.extractfile(info).read()) for info in tar]
    with tarfile.open(shard, "w") as tar:
        for name, data in change(members):
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return str(shard)


def test_stream_gives_what_the_index_gives(shard):
    indexed = IndexedShards(shard.parent.parent, "train")
    drawn = {s.key: s for s in islice(streamed([str(shard)], "made", np.random.default_rng(0), buffer=4), 60)}
    assert sorted(drawn) == sorted(sample.key for sample in indexed)
    for sample in indexed:
        other = drawn[sample.key]
        assert (other.task, other.dialogue, other.truth) == (sample.task, sample.dialogue, sample.truth)
        assert list(other.images) == list(sample.images)
        assert all(np.array_equal(other.images[slot], image) for slot, image in sample.images.items())


def test_stream_is_shuffled_and_seeded(shard):
    def keys(seed):
        return [sample.key for sample in islice(streamed([str(shard)], "m", np.random.default_rng(seed), 5), 30)]

    assert keys(0) == keys(0) != keys(1)
    assert len(set(keys(0)[:6])) > 2


def test_truncated_shard_is_an_error_wherever_it_ends(shard):
    """Also where it ends between two members, which webdataset and tarfile take for a whole shard."""
    whole = shard.read_bytes()
    with tarfile.open(shard) as tar:
        starts = [info.offset for info in tar]
    for end in [*starts[1:], starts[3] + 100, starts[5] + 700, len(whole) - 10240]:
        shard.write_bytes(whole[:end])
        with pytest.raises(ValueError, match="cannot be read: .*; copy or build|keep a record's members together"):
            list(records_of(str(shard)))
    shard.write_bytes(whole)
    assert len(list(records_of(str(shard)))) == 3


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda m: m[:2] + m[4:] + m[2:4], "no json beside a.png, b.png; keep a record's members together"),
        (
            lambda m: [("0000.c.png", b"x"), *m],
            "member 'c.png' unknown; a record holds ref.png, a.png, b.png, json",
        ),
        (lambda m: [("0000.v1.a.png", m[0][1]), *m[1:]], "member 'v1.a.png' unknown; .* its key no dot"),
        (lambda m: [("0000.pyd", b"cos\nsystem\n(S'touch hacked'\ntR."), *m], "member 'pyd' unknown"),
        (lambda m: m[1:], "no a.png; keep a record's members together"),
        (lambda m: [(n, d.replace(b'"answer"', b'"reply"')) for n, d in m], "field 'answer' is missing"),
        (
            lambda m: [(n, d.replace(b'"comparison"', b'"comparing"')) for n, d in m],
            "task 'comparing' unknown",
        ),
        (lambda m: [(n, b"{" if n.endswith("json") else d) for n, d in m], "its json cannot be read"),
        (lambda m: [m[0], *m], "duplicate file name"),
        (lambda m: [], "holds no records; take it out or build it again"),
    ],
)
def test_what_webdataset_would_let_pass_is_an_error(shard, change, message):
    with pytest.raises(ValueError, match=message) as error:
        list(records_of(rewrite(shard, change)))
    assert "shard-000000.tar" in str(error.value) and "\n" not in str(error.value)


def test_damaged_image_names_shard_and_key(shard):
    url = rewrite(shard, lambda m: [(n, d[:60] if n == "0001.a.png" else d) for n, d in m])
    with pytest.raises(ValueError, match=r"shard-000000\.tar': image '0001\.a' cannot be decoded"):
        list(islice(streamed([url], "made", np.random.default_rng(0), buffer=1), 30))


def test_missing_shard_is_one_line(tmp_path):
    with pytest.raises(ValueError, match="nowhere.tar' cannot be read: .*No such file"):
        next(records_of(str(tmp_path / "nowhere.tar")))


def test_urls_are_written_out_and_commands_refused(tmp_path):
    assert expand("s-{000..002}.tar") == ["s-000.tar", "s-001.tar", "s-002.tar"]
    assert expand(["a.tar", "https://host/b.tar"]) == ["a.tar", "https://host/b.tar"]
    with pytest.raises(ValueError, match="'pipe:touch .*' would run a shell command"):
        expand(f"pipe:touch {tmp_path}/hacked")
    with pytest.raises(ValueError, match="no shards to stream"):
        expand([])


def test_webdataset_is_secure_whenever_it_was_imported(tmp_path):
    """Without our module both would run: a `pipe:` URL as a command, a pickled member as code."""
    hacked = tmp_path / "hacked"
    code = (
        "import webdataset\n"
        "import datamodules.stream\n"
        "try:\n"
        f"    webdataset.gopen('pipe:touch {hacked}').read()\n"
        "except ValueError as error:\n"
        "    print('refused', error)\n"
        "from webdataset.autodecode import Decoder\n"
        "import pickle\n"
        "try:\n"
        "    print(webdataset.autodecode.basichandlers('pyd', pickle.dumps([1])))\n"
        "except Exception as error:\n"
        "    print('refused', error)\n"
    )
    environment = {key: value for key, value in os.environ.items() if key != "WDS_SECURE"}
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
    assert run.stdout.count("refused") == 2, run.stdout + run.stderr
    assert not hacked.exists()


@pytest.fixture
def data(sources, encoder):
    def make(**options):
        root = sources / "templated"
        urls = sorted(str(path) for path in (root / "train").glob("*.tar"))
        given = {
            "num_samples": 12,
            "batch_size": 4,
            "token_budget": 600,
            "accumulate": 2,
            "buffer": 3,
            **options,
        }
        return StreamedDataModule(given.pop("urls", urls), TemplatedDataModule(root), encoder, **given)

    return make


@pytest.mark.parametrize("workers", [0, 2])
def test_streamed_batches_keep_budget_and_mean(data, workers):
    module = data(num_workers=workers, urls=data().urls[:1])
    module.setup("fit")
    loader = module.train_dataloader()
    batches = list(loader)
    assert len(batches) == len(loader) == 6 and module.steps_per_epoch == 3
    assert all(batch.num_tokens <= 600 for batch in batches)
    assert sum(batch.weights.sum().item() for batch in batches) == pytest.approx(6)
    assert len(module.samples("test")) == 9 and len(list(module.val_dataloader())) > 0


def test_ranks_and_epochs_draw_differently_and_repeatably(data):
    def keys(epoch=0, rank=0):
        module = data()
        module.setup("fit", world_size=2, rank=rank)
        loader = module.train_dataloader()
        loader.set_epoch(epoch)
        return [key for batch in loader for key in batch.keys]

    assert keys() == keys()
    assert keys() != keys(epoch=1) and keys() != keys(rank=1)


def test_streamed_loader_counts_on_after_resume(data):
    loader = data().train_dataloader()
    iterator = iter(loader)
    next(iterator), next(iterator)
    state = loader.state_dict()
    again = data().train_dataloader()
    again.load_state_dict(state)
    assert state == {"epoch": 0, "step": 1} and len(list(again)) == 4
    other = data(accumulate=3).train_dataloader()
    other.load_state_dict(state)
    assert len(list(other)) == 6
    again.set_epoch(1)
    assert len(list(again)) == 6


def test_impossible_streams_name_the_fix(data):
    with pytest.raises(ValueError, match="data.batch_size is 4, no multiple of 3 ranks"):
        data().setup("fit", world_size=3, rank=0)
    with pytest.raises(ValueError, match="4 samples need . micro-batches .*data.accumulate is 1; raise it"):
        list(data(accumulate=1, token_budget=250).train_dataloader())
    with pytest.raises(ValueError, match="a sample has .* tokens, over data.token_budget=20"):
        list(data(token_budget=20).train_dataloader())


def test_weightless_batches_fill_a_step_of_too_few_samples(data):
    batches = list(data(batch_size=1, accumulate=3, num_samples=2).train_dataloader())
    weights = torch.tensor([batch.weights.sum() for batch in batches])
    assert torch.allclose(weights, torch.tensor([3.0, 0, 0, 3, 0, 0]))
