"""The console's table of a run: a row for each figure of each model, a column for with, without and either
reference.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.table import Table

from depictqa.evaluation.answerer import MODEL
from depictqa.evaluation.score import ERRORS, FULL, NONE, Scores

HEADLINES = (
    "accuracy",
    "accuracy_parsed",
    "share_parsed",
    "conclusion_accuracy",
    "conclusion_accuracy_parsed",
    "conclusion_share_parsed",
    "field_accuracy",
    "field_accuracy_constant",
    "target/field_accuracy",
    "distortion_accuracy",
    "target/distortion_accuracy",
    "distortion_f1",
    "judge_score",
    "judge_unparsed",
    "rouge_l",
    "rouge_l_chance",
    "text/repeated_4gram_rate",
    "loss",
    "n",
)
"""The figures that the table shows; `metrics.json` has all of them."""

_WORDS = {
    "field_accuracy": "fields correct",
    "field_accuracy_constant": "  if always the commonest",
    "target/field_accuracy": "  of the true texts",
    "distortion_accuracy": "distortion named correctly",
    "target/distortion_accuracy": "  of the true texts",
    "distortion_f1": "distortion F1",
    "judge_score": "score by a language model as judge",
    "judge_unparsed": "  replies without grades",
    "rouge_l": "ROUGE-L with the true text",
    "rouge_l_chance": "  with another image's",
    "text/repeated_4gram_rate": "repeated 4-grams",
}
_COUNTS = ("n", "judge_unparsed")
_RAW = ("loss",)


def results_table(scores: Scores, metrics: Sequence[str] = HEADLINES, title: str = "held out") -> Table:
    """Shares are shown in percent, losses in nats a token, `n` as a number; `-` where there is no such
    figure.
    """
    table = Table(title=title, title_justify="left")
    for column in ("benchmark", "model", "figure"):
        table.add_column(column)
    for column in ("with reference", "without", "all"):
        table.add_column(column, justify="right")
    table.caption = " ".join(_foot(scores)) or None
    table.caption_justify = "left"
    previous = None
    for (benchmark, model), values in scores.items():
        for name in metrics:
            columns = [values.get(f"{FULL}/{name}"), values.get(f"{NONE}/{name}"), values.get(name)]
            if all(value is None for value in columns):
                continue
            if previous is not None and previous != (benchmark, model):
                table.add_section()
            head = (benchmark, model) if previous != (benchmark, model) else ("", "")
            previous = (benchmark, model)
            table.add_row(*head, _words(name), *(_number(name, value) for value in columns))
    return table


def _foot(scores: Scores) -> Iterator[str]:
    if any(model != MODEL for _, model in scores):
        yield "Baselines that need a reference skip samples without one; their exact ties count half."
    unread = [
        f"{values[ERRORS]:.0f} of {values['n']:.0f} ({benchmark}, {model})"
        for (benchmark, model), values in scores.items()
        if ERRORS in values and benchmark != "loss"
    ]
    if unread:
        yield (
            f"Without an answer: {', '.join(unread)}. An image could not be read, or a request failed: the results say "
            "which (error). Where right and wrong are counted these are wrong; correlations leave them out."
        )


def _words(name: str) -> str:
    return _WORDS.get(name, name.removeprefix("text/").replace("_", " "))


def _number(name: str, value: float | None) -> str:
    if value is None:
        return "-"
    if name in _COUNTS:
        return f"{value:.0f}"
    return f"{value:.3f}" if name in _RAW else f"{100 * value:.1f} %"
