"""Scores of images against people's mean scores, from results alone: by all pairs, or of each image alone."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence

from depictqa.evaluation.result import Result
from depictqa.metrics.accuracy import TIE
from depictqa.metrics.correlation_interval import correlation_figures
from depictqa.metrics.votes import SCORES, WITHOUT_CONFIDENCE, Vote, vote_figures

OWN_SCORES = "scores"
_SHARES = {"a": 1.0, "b": 0.0, TIE: 0.5}
"""Of the vote that A gets."""


def has_opinions(results: Sequence[Result]) -> bool:
    return any("mos" in result.truth for result in results)


def opinion_figures(results: Sequence[Result]) -> dict[str, float]:
    """Figures of one model's results with people's scores, all asked with a reference or all without.

    Of pairs those of `depictqa.metrics.votes.vote_figures`: where all answers have a confidence c, also with c going to
    the image chosen and 1 - c to the other; and `share_parsed`. A pair without a choice is no vote. `scores/...` are of
    the numbers given to single images: those of samples of one image, and those by which a metric chose in pairs. Each
    kind of score is correlated within each reference and over all images, with intervals, where people's scores differ.
    """
    known = [result for result in results if "mos" in result.truth]
    mos = {name: result.truth["mos"][slot] for result in known for slot, name in _images(result)}
    references: dict[str, Hashable] = {
        name: result.truth["names"].get("reference") for result in known for _, name in _images(result)
    }
    pairs = [result for result in known if "b" in result.truth["mos"]]
    votes = [vote for result in pairs if (vote := _vote(result)) is not None]
    sure = all(result.confidence is not None for result in pairs if result.parsed is not None)
    figures: dict[str, float] = {}
    if pairs:
        figures["share_parsed"] = sum(result.parsed is not None for result in pairs) / len(pairs)
    if _differ(mos, {name for vote in votes for name in (vote.first, vote.second)}):
        figures |= vote_figures(votes, mos, references, tuple(SCORES) if sure else WITHOUT_CONFIDENCE)
    if not (votes and sure):  # a confidence says how sure a choice is, and nothing of either image
        figures |= _own_figures(known, mos, references)
    return figures


def _own_figures(
    results: Sequence[Result], mos: Mapping[str, float], references: Mapping[str, Hashable]
) -> dict[str, float]:
    own = {name: result.scores[slot] for result in results for slot, name in _images(result) if slot in result.scores}
    if not _differ(mos, own):
        return {}
    of = [references[name] for name in own]
    found = correlation_figures(
        list(own.values()), [mos[name] for name in own], None if all(one is None for one in of) else of
    )
    return {f"{OWN_SCORES}/{name}": value for name, value in found.items()}


def _images(result: Result) -> Iterator[tuple[str, str]]:
    """(slot, name) of what was assessed."""
    return ((slot, result.truth["names"][slot]) for slot in result.truth["mos"])


def _vote(result: Result) -> Vote | None:
    better = (result.parsed or {}).get("better")
    if better not in _SHARES:
        return None
    share = _SHARES[better]
    if result.confidence is not None and better != TIE:
        share = result.confidence if better == "a" else 1 - result.confidence
    return Vote(result.truth["names"]["a"], result.truth["names"]["b"], share)


def _differ(mos: Mapping[str, float], names: Iterable[str]) -> bool:
    return len({mos[name] for name in names}) > 1
