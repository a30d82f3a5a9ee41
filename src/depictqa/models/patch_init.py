"""A start for a patch embedding that is trained from scratch: cosine filters of brightness and colour.

A random start mixes all frequencies of a patch, and brightness, which varies most, drowns the fine structure that
noise, blur and block edges change. Cosine filters keep frequencies apart; a gain against the 1/f spectrum of natural
images (Field, 1987) lets each of them be seen.
"""

from __future__ import annotations

import math

import torch

# Rows: brightness, red against blue, green against both; orthonormal.
OPPONENT_COLORS = torch.tensor(
    [[3**-0.5, 3**-0.5, 3**-0.5], [2**-0.5, 0.0, -(2**-0.5)], [-(6**-0.5), 2 * 6**-0.5, -(6**-0.5)]]
)
COLOR_GAIN = 3.0  # differences of colour vary about a third as much as brightness
COLOR_COST = 2.2  # ... and their fine structure matters less: lower frequencies of colour are kept


def cosine_filters(num_filters: int, patch: int) -> torch.Tensor:
    """[num_filters, 3, patch, patch]: the lowest frequencies of the discrete cosine transform (DCT-II) first.

    A patch has 3 * patch^2 of them; filters beyond that are zero, for the optimiser to fill.
    """
    steps = torch.arange(patch)
    waves = torch.cos(math.pi * (2 * steps[None] + 1) * steps[:, None] / (2 * patch)) * math.sqrt(2 / patch)
    waves[0] /= math.sqrt(2)  # [frequency, pixel], orthonormal
    choices = []
    for color in range(3):
        for down in range(patch):
            for across in range(patch):
                frequency = math.hypot(down, across)
                cost = frequency if color == 0 else 0.5 + COLOR_COST * frequency
                choices.append((cost, frequency, color, down, across))
    filters = torch.zeros(num_filters, 3, patch, patch)
    for index, (_, frequency, color, down, across) in enumerate(sorted(choices)[:num_filters]):
        gain = (1 + 12 * frequency / patch) * (1.0 if color == 0 else COLOR_GAIN) / (2 * patch)
        filters[index] = gain * OPPONENT_COLORS[color][:, None, None] * torch.outer(waves[down], waves[across])
    return filters
