"""Grades as judges write them; a reply that leaves a doubt is not read."""

from __future__ import annotations

import pytest

from depictqa.judges.grades import NOT_FOUND, OUTSIDE, UNCLEAR, read_grades

TWO = [
    ("8 9", (8, 9)),
    ("8 9.\nThe first misses the noise.", (8, 9)),
    ("8, 9", (8, 9)),
    ("8.5 and 9", (8.5, 9)),
    ("8/10 9/10", (8, 9)),
    ("8 / 10, 9 / 10", (8, 9)),
    ("8 9 (out of 10)", (8, 9)),
    ("8-9", (8, 9)),
    ("8 - 9", (8, 9)),
    ("8\n9", (8, 9)),
    ("10 10", (10, 10)),
    ("0 0", (0, 0)),
    ("[8, 9]", (8, 9)),
    ("| 8 | 9 |", (8, 9)),
    ("Rating: [[8]] [[9]]", (8, 9)),
    ("**8** **9**", (8, 9)),
    ("Scores: 8 9", (8, 9)),
    ("Scores for Assistant 1 and Assistant 2: 8 9", (8, 9)),
    ("1. 8\n2. 9", (8, 9)),
    ("1) 8/10\n2) 9/10", (8, 9)),
    ("Assistant 1: 8, Assistant 2: 7/10", (8, 7)),
    ("Assistant 1: 8\nAssistant 2: 7", (8, 7)),
    ("Assistant 2: 7\nAssistant 1: 8", (8, 7)),
    ("**Assistant 1:** 8/10\n\n**Assistant 2:** 9/10\n\nBoth name the blur.", (8, 9)),
    ("Assistant 1 (8/10)\nAssistant 2 (9/10)", (8, 9)),
    ("Assistant 1's score: 7.5\nAssistant 2's score: 6", (7.5, 6)),
    ("Score of Assistant 1: 8\nScore of Assistant 2: 9", (8, 9)),
    ('{"assistant_1": 8, "assistant_2": 7}', (8, 7)),
    ('```json\n{"Assistant 1": 8, "Assistant 2": 7}\n```', (8, 7)),
    ("I would give Assistant 1 an 8 and Assistant 2 a 9.", (8, 9)),
    ("Assistant 1 gets 8 out of 10; Assistant 2 gets 7 out of 10.", (8, 7)),
    ("The first answer earns 8/10, the second 6/10.", (8, 6)),
    ("Assistant 1 deserves 9 because it is right. Assistant 2 deserves 4 because it is not.", (9, 4)),
    ("Assistant 1 scores an 8 as it names blur; Assistant 2 scores 9.", (8, 9)),
    ("8 9\nAssistant 1 misses 2 flaws, Assistant 2 names 3.", (8, 9)),
    ("<think>Perhaps 3 4?\n5 6</think>\n8 9", (8, 9)),
    ("Assistant 1: 8 Assistant 2: 9\n\nFinal: 8 9", (8, 9)),
]
NOT_TWO = [
    ("", NOT_FOUND),
    ("none", NOT_FOUND),
    ("Both are good.", NOT_FOUND),
    ("8", NOT_FOUND),
    ("8 9 7", NOT_FOUND),
    ("eight nine", NOT_FOUND),
    ("80/100 90/100", NOT_FOUND),
    ("80% 90%", NOT_FOUND),
    ("4/5 3/5", NOT_FOUND),
    ("Assistant 1 names 3 distortions, Assistant 2 names 2.", NOT_FOUND),
    ("3 4 of the 5 flaws are named", NOT_FOUND),
    ("Assistant 1 and 2: 8, 9", NOT_FOUND),
    ("In 2024 there were 2 assistants.", NOT_FOUND),
    ("11 9", OUTSIDE),
    ("-1 5", OUTSIDE),
    ("Assistant 1: 80, Assistant 2: 90", OUTSIDE),
    ("8 9\nAfter reflection:\n7 9", UNCLEAR),
    ("Assistant 1 gets 8/10. No, Assistant 1 gets 6/10. Assistant 2 gets 9/10.", UNCLEAR),
]
ONE = [
    ("8", 8),
    ("8/10", 8),
    ("7.5", 7.5),
    ("0", 0),
    ("10", 10),
    ("8 points", 8),
    ("**9**\n\nIt names the blur.", 9),
    ("Score: 7", 7),
    ("Grade: 8\nIt names 3 flaws.", 8),
    ("Consistency: 8 out of 10", 8),
    ("The score is 6.", 6),
    ("I rate it 7/10.", 7),
    ("I would grade this answer an 8.", 8),
    ("Rating of 9.5 out of 10", 9.5),
    ("On a scale of 0 to 10, I give 8/10", 8),
    ("Score: 8/10. Two of 3 flaws.", 8),
]
NOT_ONE = [
    ("none", NOT_FOUND),
    ("8 9", NOT_FOUND),
    ("8,5", NOT_FOUND),
    ("4/5", NOT_FOUND),
    ("The answer gets 2 of 3 flaws", NOT_FOUND),
    ("11", OUTSIDE),
    ("8\n\nIt could also be\n\n9", UNCLEAR),
]


@pytest.mark.parametrize(("text", "grades"), TWO)
def test_two_grades(text: str, grades: tuple[float, float]) -> None:
    assert read_grades(text, 2) == (grades, None)


@pytest.mark.parametrize(("text", "grade"), ONE)
def test_one_grade(text: str, grade: float) -> None:
    assert read_grades(text, 1) == ((grade,), None)


@pytest.mark.parametrize(("text", "reason"), NOT_TWO)
def test_what_is_not_two_grades(text: str, reason: str) -> None:
    assert read_grades(text, 2) == (None, reason)


@pytest.mark.parametrize(("text", "reason"), NOT_ONE)
def test_what_is_not_one_grade(text: str, reason: str) -> None:
    assert read_grades(text, 1) == (None, reason)
