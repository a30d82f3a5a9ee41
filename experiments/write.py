"""`program=write`: texts from filled questionnaires, by rule or by an LLM; or new wordings for a pool, by an LLM."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from omegaconf import DictConfig

from experiments.chat import open_llm, paid

if TYPE_CHECKING:
    from datamodules.writers.drafts import Draft, Item
    from depictqa.chat.llm import Llm


OTHERS = ("pool", "num_items", "prompts")
"""Options of `writer=llm` that are not the model's."""


def run(cfg: DictConfig) -> dict[str, float]:
    """Items by outcome, items with problems, and the cost where it is known. All of `out` appears, or nothing.

    Replies of an LLM are kept in `writer.cache` as they come in: the same command goes on where it was cut.
    """
    if cfg.writer.name == "llm" and cfg.writer.pool is not None:
        return write_pool(cfg)
    if cfg.raw is None or cfg.out is None:
        raise ValueError("say what to write about and where: raw=ANNOTATIONS.jsonl out=DRAFTS.jsonl writer=rule|llm")
    from datamodules.annotations import read_annotations
    from datamodules.writers.drafts import items_of, write_by_llm, write_by_rule, write_drafts

    out = Path(cfg.out)
    items = items_of(read_annotations(cfg.raw), cfg.seed)
    if not items:
        raise ValueError(f"'{cfg.raw}' holds no annotation; fill in questionnaires first (raw)")
    refuse_what_is_no_draft(out)
    if cfg.writer.name == "rule":
        drafts = in_order(items, write_by_rule(items))
        write_drafts(out, drafts)
        report(out, drafts)
        return metrics(drafts)
    with open_llm(cfg.writer, "writer", OTHERS) as llm:
        drafts = in_order(items, write_by_llm(items, llm, cfg.writer.prompts, cfg.writer.num_parallel))
        write_drafts(out, drafts)
        report(out, drafts, llm)
    if llm.given_up is not None:
        raise ValueError(f"{llm.given_up}; what is written is kept: the same command goes on from there")
    return metrics(drafts)


def refuse_what_is_no_draft(out: Path) -> None:
    """An `out` of other content is not ours to replace; drafts are, as all that was paid for is in the cache."""
    from datamodules.writers.drafts import read_drafts

    find_folder(out)
    if out.exists():
        try:
            read_drafts(out)
        except (ValueError, OSError) as error:
            raise ValueError(f"'{out}' exists and holds no drafts ({error}); write elsewhere (out)") from None


def find_folder(out: Path) -> None:
    if not out.parent.is_dir():
        raise FileNotFoundError(f"folder '{out.parent}' not found; make it, or write elsewhere (out)")


def in_order(items: Sequence[Item], drafts: Iterable[Draft]) -> list[Draft]:
    """The drafts in the order of the items, with a bar on the console as they come in."""
    from rich.progress import track

    by_item = {draft.identity: draft for draft in track(drafts, description="texts", total=len(items))}
    return [by_item[item.identity] for item in items]


def metrics(drafts: Sequence[Draft]) -> dict[str, float]:
    from depictqa.chat.replies import Outcome

    counts = Counter(draft.outcome for draft in drafts)
    found = {f"items/{outcome}": float(counts[outcome]) for outcome in Outcome}
    found["items/with_problems"] = float(sum(bool(draft.problems) for draft in drafts))
    costs = [draft.cost for draft in drafts if draft.cost is not None]
    return {**found, "cost": sum(costs)} if costs else found


def report(out: Path, drafts: Sequence[Draft], llm: Llm | None = None) -> None:
    """A row for each outcome: items, tokens and cost; then what went wrong most often."""
    from rich.console import Console
    from rich.table import Table

    from depictqa.chat.replies import Outcome

    table = Table("outcome", "items", "with problems", "tokens in", "tokens out", "cost", title=f"drafts in {out}")
    for outcome in Outcome:
        ended = [draft for draft in drafts if draft.outcome is outcome]
        if not ended and llm is None:
            continue
        tokens = [sum(getattr(draft, name) or 0 for draft in ended) for name in ("input_tokens", "output_tokens")]
        costs = [draft.cost for draft in ended if draft.cost is not None]
        problems = sum(bool(draft.problems) for draft in ended)
        cost = f"{sum(costs):.4f}" if costs else "-"
        table.add_row(outcome, f"{len(ended):,}", f"{problems:,}", *(f"{number:,}" for number in tokens), cost)
    console = Console()
    console.print(table)
    if llm is not None:
        console.print(paid(llm, "writer"), highlight=False)
    reasons = Counter(f"{draft.outcome}: {draft.reason}" for draft in drafts if draft.outcome is not Outcome.WRITTEN)
    for reason, count in reasons.most_common(5):
        console.print(f"{count:,} {reason}", highlight=False, markup=False)
    if any(draft.outcome is Outcome.FAILED for draft in drafts):
        console.print("the same command asks again for what failed, texts that were cut off aside")


def write_pool(cfg: DictConfig) -> dict[str, float]:
    """`writer.pool=NAME out=POOL.yaml`: wordings for a person to review."""
    from rich.console import Console
    from rich.progress import Progress

    from datamodules.writers import pool_drafts

    if cfg.out is None:
        raise ValueError("say where the wordings go: out=POOL.yaml")
    out, num_items = Path(cfg.out), cfg.writer.num_items
    find_folder(out)
    if out.exists():
        raise ValueError(f"'{out}' exists already, and may hold a person's review; write elsewhere (out)")
    with open_llm(cfg.writer, "writer", OTHERS) as llm, Progress() as progress:
        bar = progress.add_task(cfg.writer.pool, total=num_items)
        draft = pool_drafts.draft_pool(
            llm,
            cfg.writer.pool,
            num_items,
            cfg.writer.prompts["pool"],
            cfg.seed,
            lambda n: progress.update(bar, completed=n),
        )
    pool_drafts.write_pool(out, draft)
    console = Console()
    for wording, problem in dict.fromkeys(draft.rejected):
        console.print(f"rejected: {wording} ({problem})", highlight=False, markup=False)
    cost = "" if draft.cost is None else f", cost {draft.cost:.4f}"
    console.print(
        f"{len(draft.items)} of {num_items} wordings in {out}{cost}; read them, then set reviewed: true in it"
    )
    return {"wordings": float(len(draft.items)), "rejected": float(len(draft.rejected))}
