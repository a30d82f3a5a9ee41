"""Shared beginnings change what is run, and nothing of what comes out."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from depictqa.assess import BRIEF
from depictqa.image import ImageGeometry
from depictqa.metrics.votes import mean_of_confidences
from depictqa.models.config import LanguageConfig, ProjectorConfig, VisionConfig
from depictqa.models.depictqa import DepictQA
from depictqa.official import style
from depictqa.sample import Sample, Slot, Task, Turn
from depictqa.scoring import probability_of_a
from depictqa.testing import random_image, tiny_config, tiny_model
from depictqa.voting import all_pairs, plan_votes, run_votes

WINDOW = 60
SIZES = ((64, 64), (90, 30), (40, 64), (64, 64), (30, 80))


def shaken(folder: Path, **changes: object) -> DepictQA:
    """Fresh weights find all images alike."""
    torch.manual_seed(3)
    model = tiny_model(folder, **changes)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.3)
    return model


def images(sizes=SIZES):
    return [random_image(size, seed) for seed, size in enumerate(sizes)]


def unshared(model: DepictQA, pictures, reference, pairs) -> torch.Tensor:
    samples = []
    for first, second in pairs:
        slots = {Slot.A: pictures[first], Slot.B: pictures[second]}
        slots |= {} if reference is None else {Slot.REFERENCE: reference}
        samples.append(Sample("pair", Task.COMPARISON, slots, (Turn(BRIEF),)))
    return probability_of_a(model, samples, 1)


def check(model: DepictQA, both_orders: bool = False, batch_size: int = 3) -> None:
    pictures = images()
    for reference in (None, random_image((50, 70), 9)):
        shares = run_votes(model, plan_votes(model.encoder, pictures, reference, BRIEF, both_orders), batch_size)
        pairs = [(i, j) for i in range(5) for j in range(5) if i < j or (both_orders and i != j)]
        assert (~shares.isnan()).nonzero().tolist() == [list(pair) for pair in pairs]
        got = torch.stack([shares[pair] for pair in pairs])
        alone = unshared(model, pictures, reference, pairs)
        assert alone.std() > 1e-4
        torch.testing.assert_close(got, alone, rtol=0, atol=1e-5)
        assert ((got > 0.5) == (alone > 0.5)).all()


@pytest.mark.parametrize("both_orders", [False, True])
def test_shares_are_those_of_each_pair_alone(tokenizer_folder: Path, both_orders: bool) -> None:
    check(shaken(tokenizer_folder), both_orders)


@pytest.mark.parametrize("batch_size", [1, 16])
def test_shares_do_not_depend_on_the_batch(tokenizer_folder: Path, batch_size: int) -> None:
    check(shaken(tokenizer_folder), batch_size=batch_size)


def test_with_lora_apart_and_merged(tokenizer_folder: Path) -> None:
    model = shaken(
        tokenizer_folder,
        language=LanguageConfig(**{**vars(tiny_config(tokenizer_folder).language), "tuning": "lora"}),
    )
    check(model)
    apart = run_votes(model, plan_votes(model.encoder, images()))
    model.language.model = model.language.model.merge_and_unload()
    check(model)
    merged = run_votes(model, plan_votes(model.encoder, images()))
    torch.testing.assert_close(apart, merged, rtol=0, atol=1e-4, equal_nan=True)


def test_with_an_abstractor_with_global_features_and_with_the_released_prompt(tokenizer_folder: Path) -> None:
    tiny = tiny_config(tokenizer_folder)
    check(shaken(tokenizer_folder, projector=ProjectorConfig(**{**vars(tiny.projector), "kind": "abstractor"})))
    check(shaken(tokenizer_folder, vision=VisionConfig(**{**vars(tiny.vision), "features": "global"})))
    check(shaken(tokenizer_folder, prompt=style()))


def test_with_attention_to_a_window_only(tokenizer_folder: Path) -> None:
    """Mistral's: what stands before image B is longer than what a token may look back on."""
    architecture = {**(tiny_config(tokenizer_folder).language.architecture or {}), "model_type": "mistral"}
    architecture |= {"sliding_window": WINDOW}
    model = shaken(tokenizer_folder, language=LanguageConfig(None, str(tokenizer_folder), architecture, "full"))
    plan = plan_votes(model.encoder, images(), random_image((50, 70), 9))
    assert all(len(plan.shared) + len(branch.shared) > WINDOW for branch in plan.branches)
    check(model)


def test_an_image_is_seen_once_and_a_shared_token_read_once(tokenizer_folder: Path, monkeypatch) -> None:
    model = shaken(tokenizer_folder)
    seen, read = [], []
    vision, language = model.vision.forward, model.language.forward
    monkeypatch.setattr(model.vision, "forward", lambda pixels: seen.append(len(pixels)) or vision(pixels))
    monkeypatch.setattr(
        model.language,
        "forward",
        lambda embeds, *rest: read.append(embeds.shape[:2].numel()) or language(embeds, *rest),
    )
    plan = plan_votes(model.encoder, images([(64, 64)] * 6), random_image((64, 64), 9))
    run_votes(model, plan, 4)
    assert sum(seen) == 7
    assert sum(read) == plan.num_tokens < plan.num_unshared_tokens


def test_the_plan_parts_at_the_images(tokenizer_folder: Path) -> None:
    model = shaken(tokenizer_folder)
    plan = plan_votes(model.encoder, images([(64, 64)] * 4), random_image((64, 64), 9))
    tokens = model.encoder.image_length(plan.pixels[0])
    assert [branch.seconds for branch in plan.branches] == [[1, 2, 3], [2, 3], [3]] and plan.num_pairs == 6
    assert (plan.shared < 0).sum() == tokens  # the reference
    for branch in plan.branches:
        assert branch.shared[0] < 0 and (branch.shared < 0).sum() == tokens
        for end in branch.ends:
            assert end[0] < 0 and (end < 0).sum() == tokens
    whole = [branch.shared for branch in plan.branches] + [end for branch in plan.branches for end in branch.ends]
    assert sum(map(len, whole)) + len(plan.shared) == plan.num_tokens


def test_the_same_image_twice_is_an_even_matter_of_place(tokenizer_folder: Path) -> None:
    model = shaken(tokenizer_folder)
    same = random_image((64, 64), 1)
    shares = run_votes(model, plan_votes(model.encoder, [same, same, random_image((64, 64), 2)], both_orders=True))
    assert shares[0, 1] == pytest.approx(float(shares[1, 0]), abs=1e-6)
    assert shares[0, 2] == pytest.approx(float(shares[1, 2]), abs=1e-6)


def test_votes_give_scores(tokenizer_folder: Path) -> None:
    model = shaken(tokenizer_folder).train()
    votes = all_pairs(model, dict(zip("abcde", images(), strict=True)))
    assert model.training
    shares = run_votes(model, plan_votes(model.encoder, images()))
    assert [(v.first + v.second) for v in votes] == ["ab", "ac", "ad", "ae", "bc", "bd", "be", "cd", "ce", "de"]
    assert votes[4].share == pytest.approx(float(shares[1, 2]))
    assert set(mean_of_confidences(votes)) == set("abcde")


def test_one_image_is_no_vote(tokenizer_folder: Path) -> None:
    with pytest.raises(ValueError, match="two images or more, got 1"):
        plan_votes(shaken(tokenizer_folder).encoder, images()[:1])


def test_larger_images_take_more_tokens(tokenizer_folder: Path) -> None:
    model = shaken(tokenizer_folder, image=ImageGeometry(short_side=56, long_side=84, min_side=28, crop_min_side=28))
    assert (
        plan_votes(model.encoder, images()).num_tokens
        > plan_votes(shaken(tokenizer_folder).encoder, images()).num_tokens
    )
