"""The released weights' layout at small size against what the official code computed on it (fp32, CPU)."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from depictqa.models.depictqa import DepictQA
from depictqa.official import load_official
from depictqa.pretrained import open_checkpoint

ZOO = Path(__file__).parent / "official_tiny"
EXPECTED = json.loads((ZOO / "expected.json").read_text())
CASES = {case["name"]: case for case in EXPECTED["cases"]}


@pytest.fixture(scope="module")
def model() -> DepictQA:
    return load_official(ZOO / "clip.pt", ZOO / "llm", ZOO / "ckpt.pt", lora_alpha=EXPECTED["lora"]["alpha"])


def images(case: dict) -> list[Path | None]:
    return [ZOO / "images" / case[key] if case[key] else None for key in ("image_ref", "image_A", "image_B")]


@pytest.mark.parametrize("name", CASES)
def test_answer_loss(model: DepictQA, name: str) -> None:
    case = CASES[name]
    ours = model.answer_loss(case["task_type"], *images(case), case["query"], case["answer"])
    assert ours.label_ids == case["label_ids"]
    assert len(ours.label_ids) == case["supervised"]
    assert ours.num_tokens == case["seq_len"]
    assert ours.loss == pytest.approx(case["loss"], rel=1e-4)


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if "generated_ids" in case])
def test_generation(model: DepictQA, name: str) -> None:
    case = CASES[name]
    answer = model.generate(case["task_type"], *images(case), case["query"], len(case["generated_ids"]))
    assert answer.token_ids == case["generated_ids"]
    assert answer.token_probs == pytest.approx(case["generated_probs"], abs=1e-3)


def test_masked_separators_matter(model: DepictQA) -> None:
    case = CASES["compare_ref"]
    seen = model.answer_loss(case["task_type"], *images(case), case["query"], case["answer"], mask_separators=False)
    assert seen.label_ids == case["label_ids"]
    assert abs(seen.loss / case["loss"] - 1) > 1e-4


def test_only_what_was_released_is_trained(model: DepictQA) -> None:
    state = torch.load(ZOO / "ckpt.pt", weights_only=True)
    trained = model.trained_state_dict()
    assert len(trained) == len(state)
    assert sum(value.numel() for value in trained.values()) == sum(value.numel() for value in state.values())


def test_checkpoint_file_is_enough_where_its_bases_lie_beside_it() -> None:
    case = CASES["small"]
    model = open_checkpoint(ZOO / "ckpt.pt", lora_alpha=EXPECTED["lora"]["alpha"])
    assert model.answer_loss(case["task_type"], *images(case), case["query"], case["answer"]).loss == pytest.approx(
        case["loss"], rel=1e-4
    )


def test_torchscript_archive_gives_the_same_features(model: DepictQA, tmp_path: Path) -> None:
    """OpenAI publishes its weights as a TorchScript archive: a module whose state dict has the plain file's names."""
    archive = tmp_path / "ViT-tiny.pt"
    torch.jit.script(_module_of(torch.load(ZOO / "clip.pt", weights_only=True))).save(str(archive))
    other = load_official(archive, ZOO / "llm", ZOO / "ckpt.pt", lora_alpha=8)
    pixels = torch.randint(0, 256, (2, 3, 70, 98), dtype=torch.uint8)
    torch.testing.assert_close(other.vision(pixels), model.vision(pixels))


def test_tags_change_the_stream(model: DepictQA) -> None:
    plain = load_official(ZOO / "clip.pt", ZOO / "llm", ZOO / "ckpt.pt", lora_alpha=8, unique_tags=False)
    compare, single = CASES["compare_ref"], CASES["single_A_noref"]
    lengths = [
        [each.answer_loss(case["task_type"], *images(case), case["query"], case["answer"]).num_tokens
         for each in (model, plain)]
        for case in (compare, single)
    ]  # fmt: skip
    assert lengths[0][0] > lengths[0][1]
    assert lengths[1][0] == lengths[1][1]


@pytest.mark.parametrize("depth", [1, 3])
def test_abstractor_is_read_from_the_file(tmp_path: Path, depth: int) -> None:
    """An abstractor's depth, width and queries come from the file, and its weights take part in the answer."""
    state = torch.load(ZOO / "ckpt.pt", weights_only=True)
    torch.manual_seed(depth)
    decoder = torch.nn.TransformerDecoder(torch.nn.TransformerDecoderLayer(64, 4, 96), depth)
    state["abstractor.query_embeds"] = torch.randn(1, 6, 64)
    state |= {f"abstractor.abstractor.{name}": value for name, value in decoder.state_dict().items()}
    torch.save(state, tmp_path / "ckpt.pt")
    model = load_official(ZOO / "clip.pt", ZOO / "llm", tmp_path / "ckpt.pt", lora_alpha=8, abstractor_heads=4)
    features = model.vision(torch.randint(0, 256, (2, 3, 70, 70), dtype=torch.uint8))
    got = model.projector(features)
    queries = state["abstractor.query_embeds"].expand(2, -1, -1)
    decoded = decoder.eval()(queries.transpose(0, 1), features.transpose(0, 1)).transpose(0, 1)
    torch.testing.assert_close(got, decoded @ state["vision_proj.weight"].T + state["vision_proj.bias"])
    case = CASES["compare_ref"]
    loss = model.answer_loss(case["task_type"], *images(case), case["query"], case["answer"])
    assert loss.num_tokens == case["seq_len"] - 3 * 16 * 18 + 3 * 6


def _module_of(state: dict[str, torch.Tensor]) -> torch.nn.Module:
    root = torch.nn.Module()
    for name, value in state.items():
        module = root
        *path, leaf = name.split(".")
        for part in path:
            if not hasattr(module, part):
                module.add_module(part, torch.nn.Module())
            module = getattr(module, part)
        module.register_parameter(leaf, torch.nn.Parameter(value))
    return root
