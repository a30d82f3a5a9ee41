from __future__ import annotations

import csv as reader
from html.parser import HTMLParser

import pytest
from rich.console import Console

from depictqa.report.renderers import csv, html, latex, markdown
from depictqa.report.renderers.console import print_tables
from depictqa.report.table import Cell, Column, Row, Source, Table

NASTY = r"a_b%&<i>|[c]$#{~^\*`"
TABLE = Table(
    "small",
    "Small",
    ("method", "reference"),
    (Column("2AFC", "cnn"), Column("majority", "cnn"), Column("parsed")),
    (
        Row((NASTY, "with"), (Cell(50.04, 40.0, 60.25, 1200), Cell(1.0), Cell())),
        Row(("Theirs", ""), (Cell(80.3), Cell("fail"), Cell()), Source.PUBLISHED),
    ),
    (f"note {NASTY}",),
)


def test_markdown():
    name = r"a\_b%&amp;\<i\>\|\[c\]\$\#\{\~^\\\*\`"
    assert markdown.render(TABLE) == (
        "## Small\n\n"
        "| method | reference | source | cnn: 2AFC | cnn: majority | parsed |\n"
        "| --- | --- | --- | ---: | ---: | ---: |\n"
        f"| {name} | with | measured | 50.0 \\[40.0, 60.2\\] n=1,200 | 1.0 | - |\n"
        "| *Theirs †* |  | published | 80.3 | fail | - |\n\n"
        f"- note {name}\n"
    )
    text = markdown.document("R", ["from a_b"], [TABLE], [("a plot", "plots/x.png")])
    assert "![a plot](plots/x.png)" in text and text.startswith("# R\n\n- from a\\_b\n\n## Small\n")


def test_latex():
    name = (
        r"a\_b\%\&\textless{}i\textgreater{}\textbar{}{[}c{]}\$\#\{\textasciitilde{}\textasciicircum{}"
        r"\textbackslash{}*`"
    )
    text = latex.render(TABLE)
    assert text.splitlines()[2:13] == [
        r"\caption{Small}\label{tab:small}",
        r"\resizebox{\ifdim\width>\textwidth\textwidth\else\width\fi}{!}{%",
        r"\begin{tabular}{lllrrr}",
        r"\toprule",
        r" &  &  & \multicolumn{2}{c}{cnn} & \multicolumn{1}{c}{} \\",
        r"\cmidrule(lr){4-5}",
        r"method & reference & source & 2AFC & majority & parsed \\",
        r"\midrule",
        name + r" & with & measured & 50.0 {\scriptsize {[}40.0, 60.2{]} n=1,200} & 1.0 & -- \\",
        r"\textit{Theirs \dag{}} &  & \textit{published} & \textit{80.3} & \textit{fail} & \textit{--} \\",
        r"\bottomrule",
    ]
    assert rf"\footnotesize note {name}" in text
    plain = text.replace(r"\{", "").replace(r"\}", "")
    assert plain.count("{") == plain.count("}") and text.count(r"\begin") == text.count(r"\end{")
    assert "booktabs" in latex.document([TABLE])


class Page(HTMLParser):
    """Rows as lists of their cells' text, and the tags that are open at the end."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.tags: list[str] = []
        self.classes: list[str | None] = []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        if tag in ("meta", "img"):
            assert not dict(attributes).get("src", "data:").startswith("http")
            return
        self.tags.append(tag)
        if tag == "tr":
            self.rows.append([])
            self.classes.append(dict(attributes).get("class"))
        if tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_endtag(self, tag):
        assert self.tags.pop() == tag

    def handle_data(self, data):
        if self.tags and {"td", "th"} & set(self.tags):
            self.rows[-1][-1] += f" {data}" if self.rows[-1][-1] else data


def test_html_is_one_page_and_shows_names_as_they_are():
    text = html.page("R <&>", ["from a_b|<c>"], [TABLE], [('plot "1"', b"\x89PNG")])
    page = Page(text)
    assert not page.tags and page.rows[0] == ["", "cnn", ""]
    assert page.rows[1] == ["method", "reference", "source", "2AFC", "majority", "parsed"]
    assert page.rows[2] == [NASTY, "with", "measured", "50.0 [40.0, 60.2] n=1,200", "1.0", "-"]
    assert page.rows[3] == ["Theirs †", "", "published", "80.3", "fail", "-"]
    assert page.classes[2:] == [None, "published"]
    assert "<i>" not in text and "<c>" not in text and 'src="data:image/png;base64,iVBORw=="' in text
    assert "http" not in text and "<script" not in text


def test_csv_is_read_back_whole():
    header, ours, theirs = reader.reader(csv.render(TABLE).splitlines())
    assert header == [
        "method", "reference", "source", "cnn: 2AFC", "cnn: 2AFC, low", "cnn: 2AFC, high", "cnn: 2AFC, n",
        "cnn: majority", "parsed",
    ]  # fmt: skip
    assert ours == [NASTY, "with", "measured", "50.04", "40", "60.25", "1200", "1", ""]
    assert theirs == ["Theirs †", "", "published", "80.3", "", "", "", "fail", ""]


@pytest.mark.parametrize(("width", "titles"), [(120, ["Small"]), (78, ["Small: cnn"])])
def test_the_console_shows_all_numbers_whole_at_any_width(width, titles):
    console = Console(width=width)
    with console.capture() as shown:
        print_tables(console, [TABLE])
    text = shown.get()
    assert [line.strip() for line in text.splitlines() if line.startswith("Small")] == titles
    for part in (NASTY, "50.0", "[40.0, 60.2]", "n=1,200", "80.3", "Theirs †", "published", "note"):
        assert part in text
    assert "…" not in text
