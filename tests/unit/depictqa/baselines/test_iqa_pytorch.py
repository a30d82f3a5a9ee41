"""pyiqa's metrics with random weights, against pyiqa called plainly. Skipped where the extra is not installed."""

from __future__ import annotations

import ast
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch

from depictqa.baselines import iqa_pytorch
from depictqa.baselines.iqa_pytorch import deepiqa, maniqa, musiq, niqe
from depictqa.baselines.weights import fetch

needs_pyiqa = pytest.mark.skipif(find_spec("pyiqa") is None, reason="the extra pyiqa is not installed")


@pytest.mark.parametrize("metric", [deepiqa, niqe, musiq, maniqa])
def test_without_pyiqa_its_licence_and_its_installation_are_said(metric, monkeypatch):
    monkeypatch.setattr(iqa_pytorch, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match=f"{metric.__name__} needs pyiqa.*Noncommercial.*uv sync --extra pyiqa"):
        metric()


def test_pyiqa_is_imported_by_nothing_else():
    for path in Path(iqa_pytorch.__file__).parents[1].rglob("*.py"):
        tree = ast.parse(path.read_text())
        inside = {id(n) for f in ast.walk(tree) if isinstance(f, ast.FunctionDef) for n in ast.walk(f)}
        for node in ast.walk(tree):
            if isinstance(node, ast.Import | ast.ImportFrom):
                names = [getattr(node, "module", None) or "", *(alias.name for alias in node.names)]
                if any(name.split(".")[0] == "pyiqa" for name in names):
                    assert path.name == "iqa_pytorch.py" and id(node) in inside


@needs_pyiqa
def test_all_missing_weights_are_named_with_source_and_place(cache):
    with pytest.raises(FileNotFoundError) as caught:
        fetch(metric().weights[0] for metric in (deepiqa, niqe, musiq, maniqa))
    for name in ("WaDIQaM-kadid-f7541ea5.pth", "niqe_modelparameters.mat", "musiq_koniq", "ckpt_koniq10k.pt"):
        assert f"{cache}/pyiqa/{name}" in str(caught.value)


@pytest.fixture
def wadiqam(cache, put, random_state):
    """Ours and the library's, of the same random weights."""
    import pyiqa

    metric = deepiqa(batch_size=2)
    put(
        metric.weights[0],
        {"params": random_state(pyiqa.create_metric("wadiqam_fr", pretrained=False, device="cpu").net)},
    )
    path = str(metric.weights[0].path)
    return metric, pyiqa.create_metric("wadiqam_fr", pretrained_model_path=path, device="cpu")


@needs_pyiqa
def test_wadiqam_is_the_librarys_with_the_image_before_the_reference(wadiqam, noisy, stack):
    metric, library = wadiqam
    size = (80, 72)  # where the library leaves out no whole patch
    images, references = [noisy(s, size) for s in (5, 20, 40)], [noisy(0, size)] * 3
    plain = library(stack(*images), stack(*references)).reshape(-1)
    assert metric.rate(images, references) == pytest.approx(plain.tolist(), rel=1e-3)
    swapped = library(stack(*references), stack(*images)).reshape(-1)
    assert (plain - swapped).abs().max() > 1e-2 * plain.abs().max()
    assert metric.lower_is_better is library.lower_better is False


@needs_pyiqa
def test_wadiqam_sees_the_last_row_and_column_of_patches_too(wadiqam, noisy, stack):
    metric, library = wadiqam
    reference, image = noisy(0, (64, 64)), noisy(20, (64, 64))
    changed = image.copy()
    changed.paste(noisy(90, (32, 64)), (32, 0))
    assert library(stack(image), stack(reference)).item() == library(stack(changed), stack(reference)).item()
    values = metric.rate([image, changed], [reference, reference])
    assert abs(values[0] - values[1]) > 1e-3 * abs(values[0])
    net = library.net
    corners = [(x, y, x + 32, y + 32) for y in (0, 32) for x in (0, 32)]
    x, y = (torch.stack([stack(one.crop(box))[0] for box in corners]) for one in (image, reference))
    with torch.inference_mode():  # the definition, patch by patch
        a, b = (net.features(patches).reshape(4, 512) for patches in (x, y))
        features = torch.cat((b, a, a - b), dim=-1)
        weight = net.fc_w(features) + net.eps
        value = (net.fc_q(features) * weight).sum() / weight.sum()
    assert values[0] == pytest.approx(value.item(), rel=1e-3)
    assert isinstance(metric.rate([image.crop(corners[0])], [reference.crop(corners[0])])[0], float)


@needs_pyiqa
def test_niqe_is_the_librarys_and_lower_is_better(cache, noisy, stack):
    import pyiqa
    from scipy.io import savemat

    metric = niqe(batch_size=2)
    path = metric.weights[0].path
    path.parent.mkdir(parents=True)
    root = np.random.default_rng(0).normal(size=(36, 36))
    savemat(path, {"mu_prisparam": np.zeros((1, 36)), "cov_prisparam": root @ root.T + np.eye(36)})
    library = pyiqa.create_metric("niqe", pretrained_model_path=str(path), device="cpu")
    images = [noisy(s, (200, 196), n) for n, s in enumerate((5, 15, 40))]
    plain = [library(stack(image)).item() for image in images]
    assert metric.rate(images) == pytest.approx(plain, rel=1e-4)
    assert metric.lower_is_better is library.lower_better is True
    one_block, small = metric.rate([noisy(9, (96, 96)), noisy(9, (192, 96)).crop((0, 0, 192, 95))])
    assert isinstance(one_block, float) and small == "niqe needs 96 pixels a side, got 192x95"


@needs_pyiqa
def test_musiq_is_the_librarys_and_higher_is_better(cache, put, random_state, noisy, stack):
    import pyiqa

    metric = musiq(batch_size=2)
    net = pyiqa.create_metric("musiq", pretrained=False, device="cpu").net
    put(metric.weights[0], random_state(net))
    path = str(metric.weights[0].path)
    library = pyiqa.create_metric("musiq", pretrained=False, pretrained_model_path=path, device="cpu")
    images = [noisy(s, (72, 64), n) for n, s in enumerate((5, 15, 40))]
    plain = [library(stack(image)).item() for image in images]
    assert metric.rate(images) == pytest.approx(plain, rel=1e-3)
    assert not metric.needs_reference
    assert metric.lower_is_better is library.lower_better is False


@needs_pyiqa
@pytest.mark.slow  # a ViT-B/8 at 224 pixels
def test_maniqa_is_the_librarys_and_fetches_no_second_file(cache, put, random_state, noisy, stack):
    import pyiqa
    import timm

    metric = maniqa(num_crops=1)
    create_model = timm.create_model
    with iqa_pytorch._no_second_download():
        library = pyiqa.create_metric("maniqa", pretrained=False, test_sample=1, device="cpu")
    put(metric.weights[0], random_state(library.net, large=1 << 20))
    library.net.load_state_dict(torch.load(metric.weights[0].path))
    assert timm.create_model is create_model
    images = [noisy(s, (256, 240), n) for n, s in enumerate((5, 40))]
    plain = [library(stack(image)).item() for image in images]
    assert metric.rate(images) == pytest.approx(plain, rel=1e-3)
    assert metric.lower_is_better is library.lower_better is False
