"""What a sweep varied: means and deviations are those of the runs' own figures."""

from __future__ import annotations

from statistics import mean, stdev

import pytest

from depictqa.report.point_plots import point_plots
from depictqa.report.points import point_table, point_values
from depictqa.report.renderers import csv, html, latex, markdown
from depictqa.report.report import tables
from depictqa.report.runs import read_runs, run_names

NAMES = {"0": "data=full_mix", "1": "data=full_mix", "2": "data=a_b"}


@pytest.fixture(scope="module")
def measured(write_run, tmp_path_factory):
    folder = tmp_path_factory.mktemp("sweep")
    for seed in range(3):
        write_run(folder / "s" / str(seed), seed, num=10)
    assert set(run_names([folder / "s"]).values()) == set(NAMES)
    return read_runs([folder / "s"])


def test_a_row_is_the_mean_and_the_deviation_of_its_runs(measured):
    table = point_table(measured, NAMES)
    assert [row.head for row in table.rows] == [("data=full_mix",), ("data=a_b",)]
    place = [column.full_name for column in table.columns].index("comparison %: with reference")
    both, alone = (row.cells[place] for row in table.rows)
    own = {
        one.run: 100 * one.figures["full_reference/accuracy"]
        for one in measured
        if (one.benchmark, one.model) == ("comparison", "depictqa")
    }
    assert (both.value, both.sd, both.n) == (mean([own["0"], own["1"]]), stdev([own["0"], own["1"]]), 2)
    assert (alone.value, alone.sd, alone.n) == (own["2"], None, 1)
    assert "loss: comparison" not in [column.full_name for column in table.columns]  # nobody measured it


def test_every_format_has_the_deviation(measured):
    table = point_table(measured, NAMES)
    cell = table.rows[0].cells[0]
    assert f"± {cell.sd:.1f} n=2" in markdown.render(table)
    assert f"<small>± {cell.sd:.1f}</small><small>n=2</small>" in html.render(table)
    assert rf"{{\scriptsize $\pm$ {cell.sd:.1f} n=2}}" in latex.render(table)
    header, line = csv.render(table).splitlines()[:2]
    assert header.startswith('point,source,comparison %: with reference,"comparison %: with reference, sd"')
    assert line.split(",")[3] == f"{cell.sd:.10g}"


def test_it_stands_first_and_only_with_a_sweep(measured):
    assert tables(measured, NAMES)[0].name == "points"
    assert "points" not in [table.name for table in tables(measured)]
    assert point_table([], NAMES) is None


def test_a_plot_for_each_group_that_has_values(measured):
    plots = point_plots(measured, NAMES)
    assert all(png.startswith(b"\x89PNG") for _, _, png in plots)
    groups = {column.group for values in point_values(measured, NAMES).values() for column, v in values.items() if v}
    assert {name.removeprefix("points_") for name, *_ in plots} == groups and "loss" not in groups
