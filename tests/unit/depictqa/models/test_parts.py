"""Vision tower, projectors and language model at small size."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from depictqa.models.config import LanguageConfig, ModelConfig, ProjectorConfig, VisionConfig
from depictqa.models.depictqa import DepictQA
from depictqa.models.patch_init import cosine_filters
from depictqa.models.projector import Projector
from depictqa.models.vision import VisionTower, resize_position_embedding
from depictqa.testing import mixed_samples, tiny_config, tiny_model

ARCHITECTURE = {
    "image_size": 28, "patch_size": 14, "width": 32, "layers": 2, "heads": 2, "mlp_ratio": 2.0, "output_dim": 16
}  # fmt: skip


def pixels(height: int, width: int, number: int = 2) -> torch.Tensor:
    return torch.randint(0, 256, (number, 3, height, width), dtype=torch.uint8)


def test_local_and_global_shapes() -> None:
    local = VisionTower.build(VisionConfig(architecture=ARCHITECTURE))
    assert local(pixels(42, 70)).shape == (2, 15, 32) and local.width == 32 and local.patch == 14
    whole = VisionTower.build(VisionConfig(architecture=ARCHITECTURE, features="global"))
    assert whole(pixels(42, 70)).shape == (2, 1, 16) and whole.width == 16


def test_native_size_agrees_with_open_clip() -> None:
    """At the native size the global feature is open_clip's own, so the local tokens before it are too."""
    tower = VisionTower.build(VisionConfig(architecture=ARCHITECTURE, features="global"))
    image = pixels(28, 28)
    expected = tower.trunk((image / 255 - tower.mean) / tower.std)
    torch.testing.assert_close(tower(image)[:, 0], expected)


def test_position_embedding_keeps_corners_and_class_row() -> None:
    embedding = torch.randn(1 + 9, 8)
    resized = resize_position_embedding(embedding, (3, 3), (5, 7))
    assert resized.shape == (36, 8)
    torch.testing.assert_close(resized[0], embedding[0])
    torch.testing.assert_close(resized[1], embedding[1])
    torch.testing.assert_close(resized[-1], embedding[-1])


def test_frozen_tower_has_no_gradient_and_stays_in_evaluation() -> None:
    tower = VisionTower.build(VisionConfig(architecture=ARCHITECTURE)).train()
    assert not tower.training and not tower(pixels(28, 28)).requires_grad
    trained = VisionTower.build(VisionConfig(architecture=ARCHITECTURE, trainable=True)).train()
    assert trained.training and trained(pixels(28, 28)).requires_grad


def test_half_as_wide_parameters_give_nearly_the_same_features() -> None:
    torch.manual_seed(0)
    tower = VisionTower.build(VisionConfig(architecture=ARCHITECTURE))
    half = VisionTower.build(VisionConfig(architecture=ARCHITECTURE, dtype="bfloat16"))
    half.trunk.load_state_dict(tower.trunk.state_dict())
    assert {parameter.dtype for parameter in half.parameters()} == {torch.bfloat16}
    image = pixels(42, 56)
    assert half(image).dtype == tower(image).dtype == torch.float32
    assert (half(image) - tower(image)).norm() / tower(image).norm() < 0.02
    with pytest.raises(ValueError, match="^model.vision.dtype 'int8' unknown; choose float32, bfloat16, float16"):
        VisionTower.build(VisionConfig(architecture=ARCHITECTURE, dtype="int8"))


def test_open_clip_names() -> None:
    tower = VisionTower.build(VisionConfig(name="RN50"))
    assert tower(pixels(96, 64, 1)).shape == (1, 6, 2048) and tower.patch == 32
    with pytest.raises(ValueError, match="ViT-L-15"):
        VisionTower.build(VisionConfig(name="ViT-L-15"))
    with pytest.raises(FileNotFoundError, match="absent.pt"):
        VisionTower.build(VisionConfig(name="ViT-B-32", weights="absent.pt"))


def test_cosine_filters_keep_frequencies_apart() -> None:
    filters = cosine_filters(3 * 64, 8).flatten(1)
    products = filters @ filters.T
    torch.testing.assert_close(products, torch.diag(products.diag()), atol=1e-5, rtol=0)  # an orthogonal basis
    flat = torch.full((3, 8, 8), 0.7).flatten()
    answered = (filters @ flat).abs() > 1e-5
    assert answered.tolist() == [True] + [False] * 191  # grey has brightness alone
    tower = VisionTower.build(VisionConfig(architecture=ARCHITECTURE, patch_init="cosine"))
    torch.testing.assert_close(tower.trunk.conv1.weight, cosine_filters(32, 14))


@pytest.mark.slow
def test_timm_tower() -> None:
    tower = VisionTower.build(VisionConfig(name="ViT-B-16-SigLIP"))
    assert tower(pixels(64, 96, 1)).shape == (1, 24, 768) and tower.patch == 16


def test_vision_errors(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="model.vision.name, model.vision.weights or model.vision.architecture"):
        VisionTower.build(VisionConfig())
    with pytest.raises(ValueError, match="^model.vision.features 'both'"):
        VisionTower.build(VisionConfig(architecture=ARCHITECTURE, features="both"))
    torch.save({"weight": torch.zeros(2)}, tmp_path / "other.pt")
    with pytest.raises(ValueError, match="not OpenAI's CLIP"):
        VisionTower.build(VisionConfig(weights=str(tmp_path / "other.pt")))
    with pytest.raises(ValueError, match="do not fit model.vision.architecture"):
        VisionTower.build(VisionConfig(architecture=ARCHITECTURE, weights=str(tmp_path / "other.pt")))


@pytest.mark.parametrize(("kind", "tokens"), [("linear", 5), ("mlp", 5), ("abstractor", 3)])
def test_projectors(kind: str, tokens: int) -> None:
    projector = Projector(32, 24, ProjectorConfig(kind, num_queries=3, num_layers=2, num_heads=4, feedforward=16))
    out = projector(torch.randn(2, 5, 32))
    assert out.shape == (2, tokens, 24)
    out.sum().backward()
    assert all(parameter.grad is not None for parameter in projector.parameters())


def test_projector_errors() -> None:
    with pytest.raises(ValueError, match="^model.projector.kind 'conv'"):
        Projector(32, 24, ProjectorConfig("conv"))
    with pytest.raises(ValueError, match="^model.projector.num_heads 5"):
        Projector(32, 24, ProjectorConfig("abstractor", num_heads=5))


@pytest.mark.parametrize("features", ["local", "global"])
@pytest.mark.parametrize("kind", ["linear", "abstractor"])
def test_every_combination_trains(tokenizer_folder: Path, features: str, kind: str) -> None:
    from depictqa.batch import collate
    from depictqa.loss import batch_loss

    config = tiny_config(tokenizer_folder)
    config.vision.features, config.projector.kind = features, kind
    model = DepictQA.build(config)
    batch = collate([model.encoder.encode(sample) for sample in mixed_samples()])
    batch_loss(model(batch)).backward()
    for name, parameter in model.trained_state_dict().items():
        assert parameter.grad is not None, name


@pytest.mark.parametrize("tuning", ["lora", "full", "frozen"])
def test_gradient_only_where_the_recipe_says(tokenizer_folder: Path, tuning: str) -> None:
    config = tiny_config(tokenizer_folder)
    config.language.tuning, config.vision.trainable = tuning, False
    names = list(DepictQA.build(config).trained_state_dict())
    language = [name for name in names if name.startswith("language.")]
    assert [name for name in names if name.startswith("vision.")] == []
    assert [name for name in names if name.startswith("projector.")] == [
        "projector.linear.weight",
        "projector.linear.bias",
    ]
    if tuning == "lora":
        assert len(language) == 2 * 4 * 2 and all("lora_" in name for name in language)
    else:
        assert bool(language) == (tuning == "full")


@pytest.mark.parametrize("kind", ["gpt_neox", "qwen2", "gemma2"])
def test_other_causal_language_models(tokenizer_folder: Path, kind: str) -> None:
    """Their head may scale or cap what it gives; the rows chosen before it must equal those of the full logits."""
    architecture = {
        "model_type": kind, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1,
        "num_attention_heads": 2, "num_key_value_heads": 2, "head_dim": 16,
    }  # fmt: skip
    language = LanguageConfig(tokenizer=str(tokenizer_folder), architecture=architecture, tuning="full")
    model = tiny_model(tokenizer_folder, language=language)
    embeds = torch.randn(2, 7, 32)
    full = model.language.model(inputs_embeds=embeds).logits.flatten(0, 1)
    torch.testing.assert_close(model.language(embeds, torch.tensor([3, 9])), full[[3, 9]])
    assert len(model.answer(mixed_samples(), 3)) == 5


def test_model_errors(tokenizer_folder: Path, tmp_path: Path) -> None:
    config = tiny_config(tokenizer_folder)
    config.image.patch = 16
    with pytest.raises(ValueError, match="set model.image.patch=14"):
        DepictQA.build(config)
    for language, words in [
        (LanguageConfig(path=str(tmp_path / "absent")), "^model.language.path .*absent"),
        (LanguageConfig(path=str(tmp_path)), "cannot be read"),
        (LanguageConfig(tokenizer=str(tokenizer_folder)), "language.architecture"),
        (LanguageConfig(tokenizer=str(tokenizer_folder), architecture={"model_type": "llamma"}), "llamma"),
    ]:
        with pytest.raises((ValueError, FileNotFoundError), match=words) as caught:
            DepictQA.build(ModelConfig(vision=config.vision, language=language))
        assert "\n" not in str(caught.value)
