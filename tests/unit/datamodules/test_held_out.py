"""Held-out names: a function of name and seed, in whole shares."""

from __future__ import annotations

from collections import Counter

import pytest

from datamodules.held_out import position, split_names

NAMES = [f"I{number:02d}.png" for number in range(1, 82)]


def test_positions_are_spread_and_fixed() -> None:
    positions = sorted(position(f"photo{number}", 0) for number in range(1000))
    assert 0 <= positions[0] and positions[-1] < 1
    assert max(abs(found - number / 1000) for number, found in enumerate(positions)) < 0.06
    assert position("photo1", 0) == position("photo1", 0) != position("photo1", 1)


def test_shares_are_whole_numbers_of_names() -> None:
    splits = split_names(NAMES, 0, val=0.05, test=0.2)
    assert splits.keys() == set(NAMES)
    assert Counter(splits.values()) == {"test": 16, "val": 4, "train": 61}
    assert splits == split_names(reversed(NAMES + NAMES), 0, val=0.05, test=0.2)
    assert splits != split_names(NAMES, 1, val=0.05, test=0.2)


def test_test_names_do_not_depend_on_the_share_of_val() -> None:
    few, many = (split_names(NAMES, 0, val=val, test=0.2) for val in (0.0, 0.5))
    assert [name for name in NAMES if few[name] == "test"] == [name for name in NAMES if many[name] == "test"]


def test_all_may_be_held_out_and_none() -> None:
    assert set(split_names(NAMES, 0, val=0.0, test=1.0).values()) == {"test"}
    assert set(split_names(NAMES, 0, val=0.0, test=0.0).values()) == {"train"}
    assert sorted(split_names(["a", "b", "c"], 0, val=0.5, test=0.5).values()) == ["test", "test", "val"]
    assert split_names([], 0, val=0.1, test=0.1) == {}


@pytest.mark.parametrize(("val", "test"), [(-0.1, 0.0), (0.0, 1.1), (0.6, 0.6)])
def test_shares_that_do_not_fit_are_refused(val: float, test: float) -> None:
    with pytest.raises(ValueError, match=f"val is {val}, test {test}; give shares of the references"):
        split_names(NAMES, 0, val=val, test=test)
