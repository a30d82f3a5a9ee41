"""What a run costs, as tables."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from depictqa.costs.gpus import Gpu
from depictqa.costs.memory import STRATEGIES, Memory, Part, memory, token_budget
from depictqa.costs.run import hours, samples_per_second
from depictqa.costs.trace import StepCost
from depictqa.report.table import Cell, Column, Row, Source, Table

GB = 1e9


@dataclass(frozen=True)
class Plan:
    """All that the tables are made of. `room` is left of a GPU's memory to others, in bytes; `prices` are of a GPU and
    hour, by kind."""

    parts: list[Part]
    num_layers: int
    cost: StepCost
    tokens: int  # of a pack
    draws: float  # of the run
    draw_tokens: float
    draw_images: float
    draw_flops: float
    mfu: float
    room: float
    gpus: Mapping[str, Gpu]
    counts: Sequence[int]
    prices: Mapping[str, float]

    def memory(self, strategy: str, count: int) -> Memory:
        return memory(self.parts, self.num_layers, STRATEGIES[strategy], count, self.cost, self.tokens)

    @property
    def few_ways(self) -> list[tuple[str, int]]:
        """With one GPU and with the most."""
        return [(name, count) for name, count in self.ways if count in (1, max(self.counts))]

    @property
    def ways(self) -> list[tuple[str, int]]:
        """Strategies and numbers of GPUs: one GPU shares nothing out."""
        several = [count for count in self.counts if count > 1]
        alone = [("ddp", 1)] if 1 in self.counts else []
        return alone + [(name, count) for name in STRATEGIES for count in several]


def plan_tables(plan: Plan) -> list[Table]:
    return [parameters_table(plan), memory_table(plan), budget_table(plan), time_table(plan)]


def parameters_table(plan: Plan) -> Table:
    columns = (Column("parameters, M"), Column("trained, M"), Column("dtype"), Column("GB"))
    rows = [
        _row((part.name,), part.parameters / 1e6, part.trained / 1e6, part.dtypes, part.bytes / GB)
        for part in plan.parts
    ]
    totals = (sum(getattr(part, name) for part in plan.parts) for name in ("parameters", "trained", "bytes"))
    parameters, trained, size = totals
    rows.append(_row(("all",), parameters / 1e6, trained / 1e6, "", size / GB))
    return Table("parameters", "Parameters", ("part",), columns, tuple(rows))


def memory_table(plan: Plan) -> Table:
    names = ("weights", "gradients", "states", "exchanged", "activations", "workspace", "total")
    titles = ("weights", "gradients", "Adam", "exchanged", "activations", "workspace", "total")
    rows = []
    for strategy, count in plan.ways:
        found = plan.memory(strategy, count)
        rows.append(_row((strategy, str(count)), *(getattr(found, name) / GB for name in names)))
    notes = (
        f"Activations: {plan.cost.kept[1] / 1024:,.0f} KiB a token ({plan.cost.kept[1] / plan.num_layers / 1024:,.1f} "
        f"a layer), without torch.compile, which keeps less. A pack of {plan.tokens:,} tokens holds "
        f"{plan.tokens / plan.draw_tokens:.1f} samples.",
        "Exchanged: gradients on their way between GPUs, and weights while they are gathered.",
    )
    title = f"GB of each GPU in a step on a pack of {plan.tokens:,} tokens"
    return Table("memory", title, ("strategy", "GPUs"), tuple(map(Column, titles)), tuple(rows), notes)


def budget_table(plan: Plan) -> Table:
    sizes = sorted({gpu.memory for gpu in plan.gpus.values()})
    rows = []
    for strategy, count in plan.few_ways:
        standing = plan.memory(strategy, count).standing
        budgets = [token_budget(standing, plan.cost, size * GB - plan.room) for size in sizes]
        rows.append(_row((strategy, str(count)), *(budget or "none" for budget in budgets), digits=0))
    columns = tuple(Column(f"{size:g} GB", "a GPU of") for size in sizes)
    title = "The most tokens of a pack (data.token_budget, data.pack_length)"
    notes = (f"{plan.room / GB:g} GB of each GPU are left to CUDA and to fragments (plan.reserve_gb).",)
    return Table("budget", title, ("strategy", "GPUs"), columns, tuple(rows), notes)


def time_table(plan: Plan) -> Table:
    columns = [Column("GB"), Column("peak TFLOP/s"), Column("samples/s", "one GPU")]
    columns += [Column(str(count), "hours on GPUs") for count in plan.counts]
    columns += [Column("cost")] if plan.prices else []
    rows = []
    for name, gpu in plan.gpus.items():
        times = [hours(plan.draws, plan.draw_flops, gpu.peak, plan.mfu, count) for count in plan.counts]
        rate = samples_per_second(plan.draw_flops, gpu.peak, plan.mfu)
        cells = [Cell(gpu.memory, digits=0), Cell(gpu.peak), Cell(rate, digits=2), *(_cell(time, 1) for time in times)]
        if plan.prices:
            price = plan.prices.get(name)
            alone = hours(plan.draws, plan.draw_flops, gpu.peak, plan.mfu, 1)
            cells.append(Cell() if price is None else _cell(price * alone, 0))
        rows.append(Row((name,), tuple(cells), Source.COMPUTED))
    flop = _cell(plan.draw_flops / 1e12, 2).number
    notes = (
        f"{plan.draws:,.0f} draws of {plan.draw_tokens:,.0f} tokens, {plan.draw_images:.2f} images and {flop} TFLOP "
        f"each, at MFU {plan.mfu:g} (plan.mfu), which whatever is computed beyond that lowers (trainer.recompute); "
        "validation, evaluation and start-up are not in it.",
        *(f"{name}: {gpu.source}." for name, gpu in plan.gpus.items()),
        *(
            ["Cost: hours of one GPU times its price; it is that of several where the MFU stays."]
            if plan.prices
            else []
        ),
    )
    return Table("time", "The run", ("GPU",), tuple(columns), tuple(rows), notes)


def _row(head: tuple[str, ...], *values: float | str, digits: int = 2) -> Row:
    return Row(head, tuple(_cell(value, digits) for value in values), Source.COMPUTED)


def _cell(value: float | str, digits: int) -> Cell:
    """With more digits where so many would show a small number as 0."""
    if not isinstance(value, str) and 0 < value < 10**-digits:
        digits = 1 - math.floor(math.log10(value))
    return Cell(value, digits=digits)
