"""From image features to the language model's input space."""

from __future__ import annotations

import torch
from torch import nn

from depictqa.models.config import PROJECTORS, ProjectorConfig, check_choice


class Abstractor(nn.Module):
    """[N, n, D] -> [N, num_queries, D]: learned queries read the features through a post-norm transformer decoder."""

    def __init__(self, width: int, num_queries: int, num_layers: int, num_heads: int, feedforward: int):
        super().__init__()
        if width % num_heads:
            raise ValueError(f"model.projector.num_heads {num_heads} does not divide the features' width {width}")
        self.query_embeds = nn.Parameter(torch.randn(num_queries, width) * width**-0.5)
        layer = nn.TransformerDecoderLayer(width, num_heads, feedforward, batch_first=True)
        self.abstractor = nn.TransformerDecoder(layer, num_layers)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        queries = self.query_embeds.to(features.dtype).expand(len(features), -1, -1)
        return self.abstractor(queries, features)


class Projector(nn.Module):
    """[N, n, in_width] -> [N, m, out_width]; m = n, or the abstractor's number of queries.

    Linear is the paper's setting; mlp is two layers with GELU between.
    """

    def __init__(self, in_width: int, out_width: int, config: ProjectorConfig):
        super().__init__()
        check_choice(config.kind, PROJECTORS, "model.projector.kind")
        self.abstractor: Abstractor | None = None
        if config.kind == "abstractor":
            self.abstractor = Abstractor(
                in_width, config.num_queries, config.num_layers, config.num_heads, config.feedforward
            )
        self.linear: nn.Module = nn.Linear(in_width, out_width)
        if config.kind == "mlp":
            self.linear = nn.Sequential(nn.Linear(in_width, out_width), nn.GELU(), nn.Linear(out_width, out_width))

        for layer in self.linear.modules():
            if isinstance(layer, nn.Linear):  # as transformers starts its own: projected images begin near text's scale
                nn.init.normal_(layer.weight, std=0.02)
                nn.init.zeros_(layer.bias)

    @property
    def fixed_tokens(self) -> int | None:
        """Tokens per image where that does not depend on the image's size."""
        return None if self.abstractor is None else len(self.abstractor.query_embeds)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        features = features.to(next(self.parameters()).dtype)
        if self.abstractor is not None:
            features = self.abstractor(features)
        return self.linear(features)
