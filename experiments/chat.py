"""A model behind the chat-completions API, as `writer=llm` and `judge=...` configure it."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig, OmegaConf

if TYPE_CHECKING:
    from depictqa.chat.llm import Llm


def open_llm(options: DictConfig, group: str, others: Collection[str], **more: Any) -> Llm:
    """The model that the options of `group` name, with its cache; `others` are those that are not the model's."""
    from depictqa.chat.cache import ReplyCache
    from depictqa.chat.llm import Llm, check_parallel

    check_parallel(options.num_parallel, group)
    settings = OmegaConf.to_container(options, resolve=True)
    assert isinstance(settings, dict)
    ours = {*others, "name", "model", "cache", "num_parallel"}
    kept = {str(name): value for name, value in settings.items() if name not in ours}
    return Llm(settings["model"], ReplyCache(settings["cache"]), group=group, **kept, **more)


def paid(llm: Llm, group: str) -> str:
    """A line on what the replies have cost."""
    priced = f"cost {llm.spent:.4f}"
    if None in llm.prices:
        priced = f"have no price ({group}.input_price, output_price)"
    return f"{llm.num_cached:,} replies were there already; the others {priced}"
