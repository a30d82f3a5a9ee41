"""The image encoder: a CLIP tower that gives one feature per patch or one per image, at any image size."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from depictqa.image import CLIP_MEAN, CLIP_STD
from depictqa.models.config import DTYPES, FEATURES, PATCH_INITS, VisionConfig, check_choice
from depictqa.models.patch_init import cosine_filters
from depictqa.whole_file import why_unreadable


class VisionTower(nn.Module):
    """uint8 [N, 3, H, W] -> [N, n, `width`]: n = H/patch * W/patch patches ("local") or 1 ("global").

    Local features are the tokens after the last block, class token dropped, before the final norm; global is the
    projected class token. `trunk` is any of open_clip's towers.
    """

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(self, trunk: nn.Module, features: str = "local", mean: Any = CLIP_MEAN, std: Any = CLIP_STD):
        super().__init__()
        self.trunk = trunk
        self.features = check_choice(features, FEATURES, "model.vision.features")
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1), persistent=False)
        self.kind = _kind(trunk)
        if self.kind == "resnet" and features == "global":
            raise ValueError("model.vision.features 'global' needs a transformer tower; use local with a ResNet")

    @classmethod
    def build(cls, config: VisionConfig) -> VisionTower:
        trunk, mean, std = _build_trunk(config)
        dtype = getattr(torch, check_choice(config.dtype, DTYPES, "model.vision.dtype"))
        tower = cls(trunk.to(dtype), config.features, mean, std)
        if tower.kind == "vit" and config.features == "local":
            # What only the global feature needs would be trained without a gradient, which DDP refuses.
            trunk.ln_post, trunk.proj = nn.Identity(), None  # type: ignore[assignment]
        tower.requires_grad_(config.trainable)
        if not config.trainable:
            tower.eval()
        return tower

    @property
    def patch(self) -> int:
        """Side of a patch in pixels."""
        trunk: Any = self.trunk
        if self.kind == "vit":
            return trunk.patch_size[0]
        if self.kind == "resnet":
            return 32
        if hasattr(trunk.trunk, "patch_embed") and hasattr(trunk.trunk.patch_embed, "patch_size"):
            return trunk.trunk.patch_embed.patch_size[0]
        return trunk.trunk.feature_info[-1]["reduction"]

    @property
    def width(self) -> int:
        """Length of a feature."""
        trunk: Any = self.trunk
        if self.kind == "vit":
            return trunk.conv1.out_channels if self.features == "local" else trunk.output_dim
        if self.kind == "resnet":
            return trunk.attnpool.v_proj.in_features
        return trunk.trunk.num_features

    def compile_blocks(self, **options: Any) -> None:
        """Compile each transformer block with `torch.compile`'s `options`. Numbers of images and patches are dynamic:
        one graph serves all blocks, grids and groups, and another groups of a single image. A tower without blocks
        stays as it is."""
        trunk: Any = self.trunk
        blocks = trunk.transformer.resblocks if self.kind == "vit" else ()
        if self.kind == "timm":
            blocks = getattr(trunk.trunk, "blocks", ())
        for block in blocks:
            block.forward = torch.compile(block.forward, **{"fullgraph": True, "dynamic": True, **options})

    def train(self, mode: bool = True) -> VisionTower:
        """A frozen tower stays in evaluation mode: no patch dropout, no batch-norm statistics."""
        return super().train(mode and any(parameter.requires_grad for parameter in self.parameters()))

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        dtype = next(self.trunk.parameters()).dtype
        normalised = normalise(pixels.contiguous(), self.mean, self.std).to(dtype)
        # Not inference mode: the projector keeps the features for its backward pass, which is refused for such tensors.
        with torch.set_grad_enabled(torch.is_grad_enabled() and any(p.requires_grad for p in self.parameters())):
            of_kind = {"vit": self._transformer, "resnet": self._resnet, "timm": self._timm}
            features = of_kind[self.kind](normalised)
            return features if dtype == self.mean.dtype else features.to(self.mean.dtype)  # what the projector takes

    def _transformer(self, pixels: torch.Tensor) -> torch.Tensor:
        trunk: Any = self.trunk
        tokens = trunk.conv1(pixels)  # [N, D, h, w]
        grid = tuple(tokens.shape[2:])
        tokens = tokens.flatten(2).transpose(1, 2)  # [N, h*w, D]
        cls_token = trunk.class_embedding.to(tokens.dtype).expand(len(tokens), 1, -1)
        position = resize_position_embedding(trunk.positional_embedding, trunk.grid_size, grid)
        tokens = torch.cat([cls_token, tokens], dim=1) + position.to(tokens.dtype)
        tokens = trunk.transformer(trunk.ln_pre(trunk.patch_dropout(tokens)))  # [N, 1 + h*w, D]
        if self.features == "local":
            return tokens[:, 1:]
        pooled, _ = trunk._pool(tokens)
        return (pooled if trunk.proj is None else pooled @ trunk.proj)[:, None]

    def _resnet(self, pixels: torch.Tensor) -> torch.Tensor:
        trunk: Any = self.trunk
        maps = trunk.layer4(trunk.layer3(trunk.layer2(trunk.layer1(trunk.stem(pixels)))))
        return maps.flatten(2).transpose(1, 2)  # [N, h*w, D]

    def _timm(self, pixels: torch.Tensor) -> torch.Tensor:
        trunk: Any = self.trunk.trunk
        tokens = trunk.forward_features(pixels)  # [N, prefix + h*w, D], or [N, D, h, w] of a convolutional trunk
        if self.features == "global":
            return trunk.forward_head(tokens, pre_logits=True)[:, None]
        if tokens.ndim == 4:
            return tokens.flatten(2).transpose(1, 2)
        return tokens[:, getattr(trunk, "num_prefix_tokens", 0) :]


def normalise(pixels: torch.Tensor, mean: torch.Tensor, std: torch.Tensor) -> torch.Tensor:
    """uint8 [N, 3, H, W] -> float32, of `mean` 0 and `std` 1 (both [1, 3, 1, 1], of 0..1). Done where the tower is:
    bytes are a quarter of what would have to be copied there."""
    return (pixels.float() / 255 - mean) / std


def resize_position_embedding(embedding: torch.Tensor, native: tuple[int, int], grid: tuple[int, ...]) -> torch.Tensor:
    """[1 + native h*w, D] -> [1 + h*w, D]: bicubic with aligned corners, the class row kept (FACTS section 2)."""
    if tuple(native) == tuple(grid):
        return embedding
    cls_row, patches = embedding[:1], embedding[1:]
    maps = patches.reshape(1, native[0], native[1], -1).permute(0, 3, 1, 2)
    maps = F.interpolate(maps.float(), size=grid, mode="bicubic", align_corners=True).to(embedding.dtype)
    return torch.cat([cls_row, maps[0].flatten(1).T])


def _kind(trunk: nn.Module) -> str:
    name = type(trunk).__name__
    kinds = {"VisionTransformer": "vit", "ModifiedResNet": "resnet", "TimmModel": "timm"}
    if name not in kinds:
        raise ValueError(
            f"vision tower of class {name} is not supported; choose an open_clip ViT, ResNet or timm model"
        )
    return kinds[name]


def _build_trunk(config: VisionConfig) -> tuple[nn.Module, Any, Any]:
    """The tower with its weights, and the mean and std its pixels are normalised with."""
    if config.architecture is not None:
        return _from_architecture(config), CLIP_MEAN, CLIP_STD
    if config.name is None and config.weights is None:
        raise ValueError(
            "the vision tower has no source; set model.vision.name, model.vision.weights or model.vision.architecture"
        )
    if config.name is not None:
        return _from_open_clip(config.name, config.weights)
    return _from_openai(Path(str(config.weights))), CLIP_MEAN, CLIP_STD


def _from_architecture(config: VisionConfig) -> nn.Module:
    from open_clip.transformer import VisionTransformer

    assert config.architecture is not None
    try:
        trunk = VisionTransformer(**config.architecture)
    except TypeError as error:
        raise ValueError(f"model.vision.architecture does not fit open_clip's VisionTransformer: {error}") from error
    if check_choice(config.patch_init, PATCH_INITS, "model.vision.patch_init") == "cosine":
        with torch.no_grad():
            trunk.conv1.weight.copy_(cosine_filters(len(trunk.conv1.weight), trunk.patch_size[0]))
    if config.weights is not None:
        _load(trunk, _read_weights(Path(config.weights)), config.weights)
    return trunk


def _from_open_clip(name: str, weights: str | None) -> tuple[nn.Module, Any, Any]:
    import open_clip

    if name not in open_clip.list_models() and not name.startswith(("hf-hub:", "local-dir:")):
        raise ValueError(f"model.vision.name '{name}' is no open_clip model; see open_clip.list_models()")
    tags = open_clip.list_pretrained_tags_by_model(name)
    if weights is not None and weights not in tags and not Path(weights).is_file():
        raise FileNotFoundError(f"vision weights '{weights}' not found; give a file or one of the tags {tags}")
    if weights is not None and weights not in tags and _is_torchscript(Path(weights)):
        return _from_openai(Path(weights)), CLIP_MEAN, CLIP_STD
    model = open_clip.create_model(name, pretrained=weights, weights_only=True)
    cfg = getattr(model.visual, "preprocess_cfg", None) or {}
    trunk = model.visual
    if type(trunk).__name__ == "TimmModel" and hasattr(trunk.trunk, "dynamic_img_size"):
        trunk.trunk.dynamic_img_size = True
        trunk.trunk.patch_embed.strict_img_size = False
        trunk.trunk.patch_embed.flatten = False
        trunk.trunk.patch_embed.output_fmt = _nhwc()
    return trunk, cfg.get("mean", CLIP_MEAN), cfg.get("std", CLIP_STD)


def _nhwc() -> Any:
    from timm.layers import Format

    return Format.NHWC


def _from_openai(path: Path) -> nn.Module:
    """OpenAI's release, TorchScript archive or plain state dict.

    open_clip rounds its matrices to float16, as OpenAI's own loader does, before we go back to float32.
    """
    from open_clip.model import build_model_from_openai_state_dict

    state = _read_weights(path)
    if "visual.conv1.weight" not in state or "ln_final.weight" not in state:
        raise ValueError(f"vision weights '{path}' are not OpenAI's CLIP; set model.vision.name to its open_clip name")
    try:
        return build_model_from_openai_state_dict(state).visual.float()
    except (RuntimeError, KeyError) as error:
        raise ValueError(f"vision weights '{path}' do not fit OpenAI's CLIP: {_first_line(error)}") from error


def _read_weights(path: Path) -> dict[str, torch.Tensor]:
    if not path.is_file():
        raise FileNotFoundError(f"vision weights '{path}' not found; put the file there or set model.vision.weights")
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(path)
        if _is_torchscript(path):
            return dict(torch.jit.load(path, map_location="cpu").state_dict())
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises a handful of types for broken archives
        why = why_unreadable(path, error)
        raise ValueError(f"vision weights '{path}' cannot be read: {why}; fetch them again") from error
    state = state.get("state_dict", state)
    return {key.removeprefix("module."): value for key, value in state.items()}


def _is_torchscript(path: Path) -> bool:
    return zipfile.is_zipfile(path) and any("/code/" in name for name in zipfile.ZipFile(path).namelist())


def _load(module: nn.Module, state: dict[str, torch.Tensor], name: str) -> None:
    state = {key.removeprefix("visual."): value for key, value in state.items()}
    try:
        module.load_state_dict(state)
    except RuntimeError as error:
        raise ValueError(
            f"vision weights '{name}' do not fit model.vision.architecture: {_first_line(error)}"
        ) from error


def _first_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
