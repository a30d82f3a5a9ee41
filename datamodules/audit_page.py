"""An audit as one HTML page: what each split holds, from where, and how it is distributed; plots are inside it."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from datamodules.audit import CLEAN, Audit, Counts
from datamodules.distortions import CLASSES, SEVERITIES, severity_word
from depictqa.whole_file import write_whole

NUM_ANSWERS = 20  # brief answers shown, the commonest first
STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 70rem; padding: 0 1rem; color: #1c1e21; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2.2rem; border-bottom: 1px solid #d5d8dc; }
table { border-collapse: collapse; margin: .6rem 0; }
th, td { padding: .2rem .7rem; text-align: left; border-bottom: 1px solid #e6e8eb; vertical-align: top; }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; }
code { font-size: .85em; } .good { color: #14702e; } .bad { color: #a8201a; } .plots { display: flex; flex-wrap: wrap; }
.plots svg { max-width: 34rem; height: auto; } details { margin: .4rem 0; }
"""


def write_page(audit: Audit, root: Path, path: Path) -> Path:
    """The page under its name only when whole."""
    write_whole(path, render(audit, root))
    return path


def render(audit: Audit, root: Path) -> str:
    """The page's HTML. All that comes from data is escaped."""
    body = [f"<h1>Shards in {escape(root.name)}</h1>", _verdict(audit.problems), _overview(audit)]
    body += [_split(place, audit.manifests[place], audit.counts[place]) for place in audit.manifests]
    title = f"<title>Check of {escape(root.name)}</title>"
    head = f'<!doctype html><html lang="en"><head><meta charset="utf-8">{title}<style>{STYLE}</style></head>'
    return f"{head}<body>{''.join(body)}</body></html>\n"


def _verdict(problems: Sequence[str]) -> str:
    if not problems:
        return '<p class="good">No problem found: sums agree, and no image or reference of train is held out too.</p>'
    return f'<ul class="bad">{"".join(f"<li>{escape(problem)}</li>" for problem in problems)}</ul>'


def _overview(audit: Audit) -> str:
    rows = []
    for place, manifest in audit.manifests.items():
        counts = audit.counts[place]
        megabytes = sum(shard["bytes"] for shard in manifest["shards"]) / 1e6
        repeated = sum(counts.images.values()) - len(counts.images)
        rows.append(
            [place, counts.records, sum(counts.tasks.values()), len(counts.images), repeated, round(megabytes, 1)]
        )
    header = ["source/split", "records", "samples", "different images", "images stored again", "MB"]
    return _table(header, rows)


def _split(place: str, manifest: Mapping[str, Any], counts: Counts) -> str:
    facts = [
        ["source", manifest["source"]],
        ["licence", manifest["licence"]],
        ["seed", str(manifest["seed"])],
        ["code version", manifest["code_version"]],
        ["references", len(manifest["references"])],
    ]
    tasks = sorted({task for task, _ in counts.tasks})
    by_task = [[task, *(counts.tasks[task, reference] for reference in ("with", "without"))] for task in tasks]
    shards = [
        [shard["name"], shard["records"], shard["samples"], shard["bytes"], shard["sha256"]]
        for shard in manifest["shards"]
    ]
    parts = [
        f"<h2>{escape(place)}</h2>",
        _table(None, facts),
        _table(["task", "with reference", "without"], by_task),
        f'<div class="plots">{"".join(_plots(place, counts))}</div>',
        _answers(counts.answers),
        "<details><summary>shards and their hashes</summary>",
        _table(["shard", "records", "samples", "bytes", "sha256"], shards),
        "</details>",
    ]
    return "".join(parts)


def _answers(answers: Counter[str]) -> str:
    if not answers:
        return ""
    total = sum(answers.values())
    rows = [[answer, count, f"{count / total:.1%}"] for answer, count in answers.most_common(NUM_ANSWERS)]
    title = f"<details><summary>the commonest of {len(answers):,} different brief answers</summary>"
    return f"{title}{_table(['answer', 'times', 'share'], rows)}</details>"


def _plots(place: str, counts: Counts) -> Iterable[str]:
    """SVG of classes by severity, of A and B, of answers' lengths, of image sizes; only of what there is."""
    if counts.severities:
        yield _severities(f"{place}: distortions by class and severity", counts.severities)
    if counts.better:
        yield _bars(f"{place}: the better image of a pair", dict(sorted(counts.better.items())))
    if counts.words:
        lengths: Counter[str] = Counter()
        for words, count in counts.words.items():
            lengths[_range_of(words)] += count
        yield _bars(f"{place}: words of an answer", {name: lengths[name] for name in _RANGES if lengths[name]})
    if counts.sizes:
        common = counts.sizes.most_common(8)
        named = {f"{width}x{height}": count for (width, height), count in common}
        if len(counts.sizes) > len(common):
            named["other"] = sum(counts.sizes.values()) - sum(named.values())
        yield _bars(f"{place}: image size, px", named)


_RANGES = ("1-2", "3-6", "7-15", "16-30", "31-60", "61 and more")


def _range_of(words: int) -> str:
    return next(name for name, most in zip(_RANGES, (2, 6, 15, 30, 60, 10**9), strict=True) if words <= most)


def _severities(title: str, counts: Counter[tuple[str, int]]) -> str:
    figure, axes = _figure(height=4.2)
    names = [name for name in (CLEAN, *CLASSES) if any(counts[name, level] for level in (0, *SEVERITIES))]
    left = [0] * len(names)
    for level in (0, *SEVERITIES):
        widths = [counts[name, level] for name in names]
        if any(widths):
            label = CLEAN if level == 0 else f"{level} {severity_word(level)}"
            color = "0.7" if level == 0 else _shade(level)
            axes.barh(names, widths, left=left, label=label, color=color)
            left = [start + width for start, width in zip(left, widths, strict=True)]
    axes.invert_yaxis()
    axes.legend(fontsize=8, loc="upper left", bbox_to_anchor=(1, 1), frameon=False)
    return _svg(figure, axes, title)


def _shade(level: int) -> Any:
    import matplotlib

    return matplotlib.colormaps["viridis"](1 - level / len(SEVERITIES))


def _bars(title: str, values: Mapping[str, int]) -> str:
    figure, axes = _figure(height=0.7 + 0.3 * len(values))
    bars = axes.barh(list(values), list(values.values()), color="#3a6ea5")
    axes.bar_label(bars, [f" {count:,} ({count / sum(values.values()):.1%})" for count in values.values()], fontsize=8)
    axes.set_xlim(0, max(values.values()) * 1.35)
    axes.invert_yaxis()
    return _svg(figure, axes, title)


def _figure(height: float) -> tuple[Any, Any]:
    from matplotlib.figure import Figure  # not pyplot: no display, no global state

    figure = Figure(figsize=(6.2, max(1.5, height)), layout="constrained")
    return figure, figure.subplots()


def _svg(figure: Any, axes: Any, title: str) -> str:
    import matplotlib

    axes.set_title(title, fontsize=10)
    axes.tick_params(labelsize=8)
    axes.spines[["top", "right"]].set_visible(False)
    buffer = io.StringIO()
    with matplotlib.rc_context({"svg.hashsalt": title}):  # names within the page: one plot's own, and always the same
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    text = buffer.getvalue()
    return text[text.index("<svg") :]


def _table(header: Sequence[str] | None, rows: Iterable[Sequence[Any]]) -> str:
    def cell(value: Any, tag: str = "td") -> str:
        if isinstance(value, int | float):
            return f'<{tag} class="number">{value:,}</{tag}>'
        return f"<{tag}>{escape(str(value))}</{tag}>"

    head = "" if header is None else f"<tr>{''.join(cell(name, 'th') for name in header)}</tr>"
    lines = [f"<tr>{''.join(map(cell, row))}</tr>" for row in rows]
    return f"<table>{head}{''.join(lines)}</table>"
