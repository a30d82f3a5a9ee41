from __future__ import annotations

import hashlib
import re
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest
import torch

from depictqa.baselines import learned
from depictqa.baselines.weights import Weights, fetch, load_state, read_state


@pytest.fixture
def site(tmp_path):
    """A folder, and the address at which a server of this machine shows it."""
    folder = tmp_path / "site"
    folder.mkdir()

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *words):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    Thread(target=server.serve_forever, daemon=True).start()
    yield folder, f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


def test_without_a_network_one_message_names_every_file_its_source_and_its_place(cache):
    metrics = [learned.lpips(), learned.dists(), learned.pieapp()]
    with pytest.raises(FileNotFoundError) as caught:
        fetch(weights for metric in metrics for weights in metric.weights)
    message = str(caught.value)
    assert "HF_HUB_OFFLINE is set" in message and "\n" not in message
    for name in ("alexnet-owt-7be5be79.pth", "vgg16-397923af.pth", "PieAPPv0.1.pth"):
        assert re.search(f"https://\\S+/{name} goes to {cache}/checkpoints/{name}", message)


def test_a_metric_used_alone_says_so_too(cache, noisy):
    with pytest.raises(FileNotFoundError, match="LPIPS's AlexNet: https://.*alexnet"):
        learned.lpips().rate([noisy(3)], [noisy(0)])


def test_after_a_first_failure_nothing_else_is_tried(cache, site, monkeypatch):
    monkeypatch.delenv("HF_HUB_OFFLINE")
    folder, address = site
    (folder / "second.pth").write_bytes(b"x")
    with pytest.raises(FileNotFoundError, match="first.pth.*second.pth"):
        fetch([Weights("one", "http://127.0.0.1:9/first.pth"), Weights("two", f"{address}/second.pth")])
    assert not cache.exists()


def test_what_is_not_there_is_downloaded_whole_and_only_once(cache, site, monkeypatch):
    monkeypatch.delenv("HF_HUB_OFFLINE")
    folder, address = site
    torch.save({"w": torch.ones(2)}, folder / "net.pth")
    digest = hashlib.sha256((folder / "net.pth").read_bytes()).hexdigest()
    weights = Weights("net", f"{address}/net.pth", "pyiqa", digest[:8])
    fetch([weights, weights])
    assert read_state(weights.path)["w"].tolist() == [1, 1]
    (folder / "net.pth").unlink()
    fetch([weights])


def test_a_download_with_another_hash_is_not_kept(cache, site, monkeypatch):
    monkeypatch.delenv("HF_HUB_OFFLINE")
    folder, address = site
    (folder / "net.pth").write_bytes(b"something else")
    weights = Weights("net", f"{address}/net.pth", hash_prefix="7be5be79")
    with pytest.raises(FileNotFoundError, match="invalid hash"):
        fetch([weights])
    assert not weights.path.exists()
    with pytest.raises(FileNotFoundError, match="404|Not Found"):
        fetch([Weights("gone", f"{address}/gone.pth")])


class Evil:
    def __reduce__(self):
        return print, ("code of a file is run",)


@pytest.mark.parametrize("content", [b"", b"<html>not found</html>", Evil(), [1]])
def test_a_file_that_holds_no_weights_is_named_and_runs_no_code(tmp_path, content, capsys):
    path = tmp_path / "net.pth"
    path.write_bytes(content) if isinstance(content, bytes) else torch.save(content, path)
    with pytest.raises(ValueError, match="net.pth.*delete the file"):
        read_state(path)
    assert capsys.readouterr().out == ""


def test_weights_of_another_model_are_named(tmp_path):
    with pytest.raises(ValueError, match="net.pth' are of another model: .*weight") as caught:
        load_state(torch.nn.Linear(2, 2), {"other": torch.ones(2)}, tmp_path / "net.pth")
    assert "\n" not in str(caught.value)
