"""What a run pays for its answers, over all threads, and how much it may."""

from __future__ import annotations

import threading

from depictqa.chat.replies import Reply

ROUNDING = 1e-9
"""Of sums of small costs, relative: fifty times 0.0003 is not quite 0.015."""


class Budget:
    """Prices are per million tokens, `cap` is in their currency; None: unknown, and no cap.

    `group` names the options in messages. What is cut off or broken on its way is not counted: nobody can say what it
    has cost. ValueError for a cap without both prices.
    """

    def __init__(self, input_price: float | None, output_price: float | None, cap: float | None, group: str) -> None:
        self.prices = (input_price, output_price)
        self.cap, self.group = cap, group
        self.spent = 0.0
        self._lock = threading.Lock()
        if cap is None:
            return
        if None in self.prices:
            raise ValueError(
                f"a cost cap needs prices; give {group}.input_price and {group}.output_price per million tokens "
                f"({group}.max_cost)"
            )
        if not cap >= 0:
            raise ValueError(f"a cost cap of {cap:g}; give 0 or more, or null for none ({group}.max_cost)")

    def cost(self, reply: Reply) -> float | None:
        """None where a price or the tokens are unknown."""
        tokens = (reply.input_tokens, reply.output_tokens)
        parts = [
            None if n is None or price is None else n * price for n, price in zip(tokens, self.prices, strict=True)
        ]
        return None if None in parts else sum(part for part in parts if part is not None) / 1e6

    def pay(self, reply: Reply) -> None:
        with self._lock:
            self.spent += self.cost(reply) or 0.0

    def can_be_kept(self, reply: Reply) -> bool:
        """False where there is a cap, and nobody knows what the reply has cost."""
        return self.cap is None or self.cost(reply) is not None

    def used_up(self) -> str | None:
        """Why nothing more may be asked, or None."""
        with self._lock:
            if self.cap is None or self.spent < self.cap * (1 - ROUNDING):
                return None
            return f"{self.spent:.6g} is spent, of at most {self.cap:g} ({self.group}.max_cost)"
