"""What language models as judges said of results, as results keep it, and its figures.

    result.judgements[PROTOCOL][JUDGE] = {"judge": "gpt-4-0613", "date": "2026-11-27", "prompt": "1f0c9a3e",
        "score": 0.89, "grades": [9, 8], "reply": "9 8 ...", "reason": null, "exchanged": {"score": ..., ...}}

`JUDGE` is the name that was asked for, `judge` the one that answered; `grades` are (person's, model's) in either order
of asking; `score` is None with the `reason` where no grades could be read; `exchanged` is the same with the texts in
the other order, where that was asked.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from depictqa.evaluation.result import Result
from depictqa.metrics.bootstrap import mean_figures

RELATIVE = "relative"
"""The protocol of the paper's table, which stands before any other."""

EXCHANGED = "exchanged"

Judge = tuple[str, str]
"""(protocol, judge's name)."""


@dataclass(frozen=True)
class Said:
    """Which judges answered under one name, on which days."""

    protocol: str
    names: tuple[str, ...]
    dates: tuple[str, ...]

    @property
    def words(self) -> str:
        """`relative by gpt-4-0613 on 2026-11-27`"""
        days = "" if not self.dates else f" on {self.dates[0]}"
        if len(self.dates) > 1:
            days = f" from {self.dates[0]} to {self.dates[-1]}"
        return f"{self.protocol} by {', '.join(self.names)}{days}"


def judges_of(results: Sequence[Result]) -> list[Judge]:
    """The one whose figures stand in tables first: by protocol (the paper's before others), latest judgement, name."""
    latest: dict[Judge, str] = {}
    for result in results:
        for protocol, by_judge in result.judgements.items():
            for name, judgement in by_judge.items():
                date = judgement.get("date") or ""
                latest[protocol, name] = max(date, latest.get((protocol, name), ""))
    by_name = sorted(latest, key=lambda judge: judge[1])
    by_date = sorted(by_name, key=lambda judge: latest[judge], reverse=True)
    return sorted(by_date, key=lambda judge: (judge[0] != RELATIVE, judge[0]))


def said_by(results: Sequence[Result], judge: Judge) -> Said:
    found = judgements_of(results, judge)
    names = sorted({one["judge"] for one in found if one.get("judge")})
    dates = sorted({one["date"] for one in found if one.get("date")})
    return Said(judge[0], tuple(names) or (judge[1],), tuple(dates))


def judgements_of(results: Sequence[Result], judge: Judge) -> list[Mapping[str, Any]]:
    """One judge's, of the results that it was asked about; pairs asked in the other order too are not judged."""
    protocol, name = judge
    found = [result.judgements.get(protocol, {}).get(name) for result in results if result.swap_of is None]
    return [one for one in found if one is not None]


def judge_figures(results: Sequence[Result], judge: Judge | None = None) -> dict[str, float]:
    """Figures of one judge, by default of the first of `judges_of`; nothing where nobody judged.

    `judge_score` in 0..1 is the mean over the replies that grades could be read from, `judge_n` their number, and
    `judge_unparsed` that of the others. Where the texts were also shown in the other order: `judge_score_exchanged`;
    and over what was read in both, `judge_order_n`, `judge_order_bias` (how much higher the score is where the person's
    text stands first) and, where there are two grades, `judge_order_agreement`, the share with the same text preferred.
    Score and bias have the ends of their 95 % bootstrap interval.
    """
    if judge is None:
        judge = next(iter(judges_of(results)), None)
    if judge is None:
        return {}
    found = judgements_of(results, judge)
    scores = [one["score"] for one in found if one["score"] is not None]
    figures = {"judge_n": float(len(scores)), "judge_unparsed": float(len(found) - len(scores))}
    return figures | mean_figures("judge_score", scores) | _order_figures(found)


def _order_figures(found: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    exchanged = [one[EXCHANGED] for one in found if one.get(EXCHANGED)]
    scores = [one["score"] for one in exchanged if one["score"] is not None]
    if not exchanged:
        return {}
    figures = mean_figures("judge_score_exchanged", scores)
    figures["judge_unparsed_exchanged"] = float(len(exchanged) - len(scores))
    both = [one for one in found if one.get(EXCHANGED) and one["grades"] and one[EXCHANGED]["grades"]]
    figures |= mean_figures("judge_order_bias", [one["score"] - one[EXCHANGED]["score"] for one in both])
    figures["judge_order_n"] = float(len(both))
    pairs = [(one["grades"], one[EXCHANGED]["grades"]) for one in both]
    alike = [_preferred(*first) == _preferred(*second) for first, second in pairs if len(first) == len(second) == 2]
    return figures | ({"judge_order_agreement": float(np.mean(alike))} if alike else {})


def _preferred(person: float, model: float) -> float:
    return float(np.sign(model - person))
