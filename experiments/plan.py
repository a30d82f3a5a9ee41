"""`program=plan`: what training takes, in memory, hours and money, before weights or data are there."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig, OmegaConf

from depictqa.models.config import ModelConfig, check_choice
from experiments.checks import check_recompute
from experiments.prepare import missing_data, open_data
from experiments.report import print_report

if TYPE_CHECKING:
    from depictqa.costs.run import Workload
    from depictqa.costs.tables import Plan
    from depictqa.models.depictqa import DepictQA

DRAWS = 20_000  # of the paper's epoch, to know its lengths by
ENCODED = 1_000  # draws of an epoch of shards, which are opened


def run(cfg: DictConfig) -> dict[str, float]:
    """Prints the tables; with `out=DIR` they are also there as a report, and their numbers as `tables/plan.json`."""
    check(cfg)
    warnings.filterwarnings("ignore", message=".*is_gradient_checkpointing.*")  # between peft and transformers
    from depictqa.costs.tables import plan_tables
    from depictqa.report.folder import TABLES, report_folder, write_report

    plan, notes = make_plan(cfg)
    found = plan_tables(plan)
    for note in notes:
        print(note)
    print_report(found)
    if cfg.out is not None:
        with report_folder(Path(cfg.out)) as beside:
            write_report(beside, "Plan", notes, found, [])
            (beside / TABLES / JSON).write_text(json.dumps(values(plan), indent=2) + "\n")
        print(f"{JSON:13}{Path(cfg.out) / TABLES / JSON}")
    return {f"hours/{name}": of["hours"]["1"] for name, of in values(plan)["gpus"].items()}


JSON = "plan.json"


def check(cfg: DictConfig) -> None:
    """ValueError for options that cannot be."""
    from depictqa.costs.architectures import LANGUAGE, VISION
    from depictqa.costs.gpus import GPUS

    options = cfg.plan
    check_choice(options.language, tuple(LANGUAGE), "plan.language")
    check_choice(options.vision, tuple(VISION), "plan.vision")
    if options.price is not None and not OmegaConf.is_dict(options.price):
        raise ValueError(f"plan.price is {options.price}; give it by kind of GPU, such as '{{h100: 2.5}}'")
    for name, price in (options.price or {}).items():
        check_choice(name, tuple(GPUS), "plan.price")
        if not price > 0:
            raise ValueError(f"plan.price of {name} is {price}; give what an hour of one costs")
    if options.reserve_gb < 0:
        raise ValueError(f"plan.reserve_gb is {options.reserve_gb}; give at least 0")
    if not 0 < options.mfu <= 1:
        raise ValueError(f"plan.mfu is {options.mfu}; give a share of the peak rate, such as 0.45")
    check_recompute(cfg.trainer.recompute)
    if not isinstance(cfg.data.token_budget, int) or cfg.data.token_budget < 1:
        raise ValueError(f"data.token_budget is {cfg.data.token_budget}; a plan needs a number, and says what fits")
    if not options.gpus or min(options.gpus) < 1:
        raise ValueError(f"plan.gpus is {list(options.gpus)}; give numbers of GPUs, such as [1,8]")


def make_plan(cfg: DictConfig) -> tuple[Plan, list[str]]:
    """And what its numbers are of, in sentences."""
    from depictqa.costs.flops import FlopCounter
    from depictqa.costs.gpus import GPUS
    from depictqa.costs.memory import parts
    from depictqa.costs.tables import Plan
    from depictqa.costs.trace import StepShape, hollow, step_cost
    from depictqa.models.depictqa import image_tokens

    given = ModelConfig.from_dict(OmegaConf.to_container(cfg.model, resolve=True))  # type: ignore[arg-type]
    config, notes = with_sizes(given, cfg.plan.vision, cfg.plan.language)
    vocab_size = vocabulary(cfg, config)
    model = hollow(config, vocab_size, float8=cfg.trainer.float8.enabled)
    work, source = workload(cfg, given, model)
    tokens = cfg.data.pack_length or cfg.data.token_budget
    patches = work.patches[work.patches > 0]
    side = max(1, round(float(patches.mean()) ** 0.5))
    mean = float(work.tokens.mean())
    each = image_tokens(config, model.projector).fixed
    of_images = work.images * each if each else float(work.patches.sum(1).mean())
    shape = StepShape(
        tokens, round(tokens * work.supervised.mean() / mean), round(tokens * of_images / mean), round(mean), side
    )
    layers = len(model.language.layers)
    cost = step_cost(config, shape, layers, vocab_size, cfg.trainer.recompute, cfg.trainer.float8.enabled)
    plan = Plan(
        parts(model), layers, cost, tokens, work.draws * cfg.trainer.max_epochs, mean, work.images,
        work.flops(FlopCounter.of(model)), cfg.plan.mfu, 1e9 * cfg.plan.reserve_gb, GPUS, list(cfg.plan.gpus),
        dict(cfg.plan.price or {}),
    )  # fmt: skip
    if cfg.scale.synthetic is not None:
        notes.append(f"This is the embedded default, scale={cfg.scale.name}; scale=paper plans the paper's model.")
    return plan, [*notes, source]


def with_sizes(config: ModelConfig, vision: str, language: str) -> tuple[ModelConfig, list[str]]:
    """The model by its sizes alone: from its files where they are, else those of the named architectures."""
    from depictqa.costs.architectures import LANGUAGE, VISION

    notes = []
    if config.vision.architecture is None and config.vision.name is None:
        architecture = VISION[vision]
        if Path(str(config.vision.weights)).is_file():
            architecture = tower_sizes(Path(str(config.vision.weights)))
        else:
            notes.append(f"{config.vision.weights} is not here: the vision tower has {vision}'s sizes (plan.vision).")
        config = replace(config, vision=replace(config.vision, architecture=architecture))
    config = replace(config, vision=replace(config.vision, weights=None))
    if config.language.path is not None:
        folder = Path(config.language.path).expanduser()
        if (folder / "config.json").is_file():
            architecture = json.loads((folder / "config.json").read_text())
        else:
            architecture = LANGUAGE[language]
            notes.append(f"{folder} is not here: the language model has {language}'s sizes (plan.language).")
        config = replace(config, language=replace(config.language, path=None, architecture=architecture))
    return config, notes


def tower_sizes(weights: Path) -> dict[str, Any]:
    """Of OpenAI's CLIP in a file, as arguments of open_clip's VisionTransformer."""
    from depictqa.models.config import VisionConfig
    from depictqa.models.vision import VisionTower

    trunk: Any = VisionTower.build(VisionConfig(weights=str(weights), features="global")).trunk
    blocks = trunk.transformer.resblocks
    return {
        "image_size": trunk.image_size[0],
        "patch_size": trunk.patch_size[0],
        "width": trunk.conv1.out_channels,
        "layers": len(blocks),
        "heads": blocks[0].attn.num_heads,
        "mlp_ratio": blocks[0].mlp.c_fc.out_features / trunk.conv1.out_channels,
        "output_dim": trunk.output_dim,
    }


def vocabulary(cfg: DictConfig, config: ModelConfig) -> int:
    """The language model's own, else its tokenizer's, else what the embedded data will give it."""
    architecture = config.language.architecture or {}
    if "vocab_size" in architecture:
        return int(architecture["vocab_size"])
    if config.language.tokenizer is not None and Path(config.language.tokenizer).is_dir():
        from depictqa.models.language import load_tokenizer

        return len(load_tokenizer(config.language))
    if cfg.scale.synthetic is not None:
        return int(cfg.scale.synthetic.vocab_size)
    raise FileNotFoundError(
        f"tokenizer '{config.language.tokenizer}' not found; put it there, or add "
        "+model.language.architecture.vocab_size=32000"
    )


def workload(cfg: DictConfig, config: ModelConfig, model: DepictQA) -> tuple[Workload, str]:
    """Of an epoch: of the shards where they are, with the tokenizer; else of the paper's. And a sentence on it."""
    from depictqa.costs.run import Workload
    from depictqa.models.depictqa import image_tokens

    missing = [*missing_data(cfg), *missing_tokenizer(config)]
    if not missing:
        return of_shards(cfg, config, model)
    if cfg.scale.synthetic is not None:
        raise FileNotFoundError(
            f"scale={cfg.scale.name} needs its data to be planned; run it once with trainer.max_steps=1, or scale=paper"
        )
    from datamodules.paper_epoch import NUM_DRAWS, paper_draws

    drawn = paper_draws(DRAWS, cfg.seed, cfg.data.crop, config.image, image_tokens(config, model.projector))
    what = (
        f"The data are not all here: an epoch is that of the paper's recipe, {NUM_DRAWS:,} draws (texts are guessed)."
    )
    return Workload(NUM_DRAWS, drawn.tokens, drawn.supervised, drawn.patches), what


def missing_tokenizer(config: ModelConfig) -> Iterator[str]:
    source = config.language.tokenizer or config.language.path
    if source is None or not Path(source).expanduser().is_dir():
        yield f"a tokenizer at {source}"


def of_shards(cfg: DictConfig, config: ModelConfig, model: DepictQA) -> tuple[Workload, str]:
    import numpy as np

    from datamodules.plan import epoch_order
    from depictqa.costs.run import Workload
    from depictqa.models.depictqa import build_encoder
    from depictqa.models.language import load_tokenizer

    encoder = build_encoder(config, model.projector, load_tokenizer(config.language))
    data = open_data(cfg, encoder)
    samples = data.samples("train")
    order = epoch_order([len(part) for part in samples.parts], [s.repeat for s in data.feed.sources], cfg.seed, 0)
    chosen = np.random.default_rng(cfg.seed).permutation(len(order))[:ENCODED]
    lengths, supervised, patches = [], [], np.zeros((len(chosen), 3), dtype=np.int64)
    for number, position in enumerate(chosen):
        rng = np.random.default_rng([cfg.seed, 0, position]) if cfg.data.crop else None
        encoded = encoder.encode(samples[int(order[position])], rng)
        lengths.append(len(encoded))
        supervised.append(encoded.num_supervised)
        grids = [pixels.shape[0] * pixels.shape[1] // config.image.patch**2 for pixels in encoded.pixels]
        patches[number, : len(grids)] = grids
    what = f"An epoch is that of the shards: {len(order):,} draws, {len(chosen):,} of them opened."
    return Workload(len(order), np.array(lengths), np.array(supervised), patches), what


def values(plan: Plan) -> dict[str, Any]:
    """The tables' numbers, by name."""
    from depictqa.costs.memory import token_budget
    from depictqa.costs.run import hours, samples_per_second

    ways = []
    for strategy, count in plan.ways:
        found = plan.memory(strategy, count)
        rooms = {name: gpu.memory * 1e9 - plan.room for name, gpu in plan.gpus.items()}
        budgets = {name: token_budget(found.standing, plan.cost, room) for name, room in rooms.items()}
        ways.append(
            {"strategy": strategy, "gpus": count, **asdict(found), "total": found.total, "token_budget": budgets}
        )
    gpus = {}
    for name, gpu in plan.gpus.items():
        times = {str(n): hours(plan.draws, plan.draw_flops, gpu.peak, plan.mfu, n) for n in {1, *plan.counts}}
        rate = samples_per_second(plan.draw_flops, gpu.peak, plan.mfu)
        gpus[name] = {**asdict(gpu), "samples_per_second": rate, "hours": times}
        if name in plan.prices:
            gpus[name]["cost"] = plan.prices[name] * times["1"]
    return {
        "parts": [asdict(part) for part in plan.parts],
        "step": {"tokens": plan.tokens, **asdict(plan.cost)},
        "run": {name: getattr(plan, name) for name in ("draws", "draw_tokens", "draw_images", "draw_flops", "mfu")},
        "memory": ways,
        "gpus": gpus,
    }
