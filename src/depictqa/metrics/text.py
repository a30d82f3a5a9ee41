"""Is the language alive? Repetition and variety of generated answers, which accuracy does not see."""

from __future__ import annotations

import re
from collections.abc import Sequence

_WORD = re.compile(r"[^\W_]+(?:['’-][^\W_]+)*")


def words(text: str) -> list[str]:
    """Lower-case words; punctuation separates and is dropped."""
    return _WORD.findall(text.lower())


def repeated_ngram_rate(text: str, n: int = 4) -> float:
    """Share of a text's n-grams that it has already said, in 0..1; 0 for texts shorter than n words."""
    grams = _ngrams(words(text), n)
    return 1 - len(set(grams)) / len(grams) if grams else 0.0


def distinct(texts: Sequence[str], n: int) -> float:
    """Different n-grams of all texts over their number (Li et al. 2016, distinct-n), in 0..1."""
    grams = [gram for text in texts for gram in _ngrams(words(text), n)]
    return len(set(grams)) / len(grams) if grams else 0.0


def vocabulary(texts: Sequence[str]) -> int:
    """Number of different words in all texts."""
    return len({word for text in texts for word in words(text)})


def rouge_l(texts: Sequence[str], targets: Sequence[str]) -> float:
    """Mean over texts of ROUGE-L (Lin 2004), the F1 of the longest common subsequence of words with its target."""
    from torchmetrics.functional.text import rouge_score

    return float(rouge_score(texts, targets, rouge_keys="rougeL")["rougeL_fmeasure"])


def text_statistics(texts: Sequence[str]) -> dict[str, float]:
    """Mean repeated 4-gram rate of a text, distinct-1 and -2, vocabulary, mean words, different texts."""
    if not texts:
        return {}
    return {
        "repeated_4gram_rate": sum(map(repeated_ngram_rate, texts)) / len(texts),
        "distinct_1": distinct(texts, 1),
        "distinct_2": distinct(texts, 2),
        "vocabulary": float(vocabulary(texts)),
        "mean_words": sum(len(words(text)) for text in texts) / len(texts),
        "distinct_texts": len(set(texts)) / len(texts),
    }


def _ngrams(tokens: Sequence[str], n: int) -> list[tuple[str, ...]]:
    return [tuple(tokens[i : i + n]) for i in range(len(tokens) - n + 1)]
