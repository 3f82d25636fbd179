"""The report of a results folder: what it says, what it warns of, and that it works in a browser."""

import base64
import io
import re
from html import unescape

import numpy as np
import pandas
import pytest
import xarray
from click.testing import CliRunner

import gdsim as gd
from gdsim.cli import main
from gdsim.report.cells import verdict_of
from gdsim.report.conclusion import warnings
from gdsim.report.contents import figures
from gdsim.report.page import write_report
from gdsim.report.tables import BEST, Call, number, share
from tests.report.browser import in_browser

MOONS = gd.datasets.load("moons", validation=0.25)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A sweep of two optimizers, some of whose cells diverge, in a folder whose name is no HTML."""
    place = tmp_path_factory.mktemp("reports") / "moons <b> & co"
    problem = gd.MLP(MOONS, hidden=[4], activation="relu", loss="log_loss")
    optimizers = [gd.SGD(lr=[0.01, 0.3, 1e6]), gd.Momentum(lr=[0.01, 0.1], momentum=[0.0, 0.9])]
    gd.Sweep(problem=problem, optimizer=optimizers, starts=12, steps=60, batch=16, stop=[gd.Target(0.3)]).run(out=place)
    return place


@pytest.fixture(scope="module")
def page(folder):
    """The text of its report."""
    return write_report(folder).read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("asked", "titles"),
    [
        ({"record": gd.Record(sharpness=True)}, ["Sharpness"]),
        ({"tangents": ["lr", "momentum"]}, ["Derivative of the loss by lr", "Derivative of the loss by momentum"]),
    ],
)
def test_what_a_sweep_was_asked_for_has_its_figures(asked, titles):
    optimizers = [gd.SGD(lr=0.01), gd.Momentum(lr=0.01)]
    result = gd.Sweep(problem=gd.functions.Booth(), optimizer=optimizers, starts=8, steps=20, **asked).run()
    found = dict(figures(result))
    assert [title for title in found if title.startswith(("Sharpness", "Derivative"))] == titles


def test_a_report_of_workers_says_what_training_cost(tmp_path):
    kinds = [None, gd.LocalSGD(workers=2, period=[1, 4], compression=gd.grid(None, gd.ErrorFeedback(gd.TopK(fraction=0.2))))]
    sweep = gd.Sweep(problem=gd.MLP(gd.datasets.load("xor"), hidden=[2]), optimizer=gd.SGD(lr=0.1), batch=1, starts=6, steps=20, distribution=kinds)
    sweep.run(out=tmp_path / "runs")
    page = write_report(tmp_path / "runs").read_text(encoding="utf-8")
    check_code_lines(tmp_path / "runs", page)
    for title in ("How the loss falls by what training costs", "Where cells end, by what they communicate", "How far workers are apart"):
        assert title in page
    assert "Not drawn" not in page
    (rows,) = (rows_of(table) for table in re.findall(r'<table class="data">(.*?)</table>', page, re.DOTALL) if "bytes that a worker sent" in table)
    costs = {int(float(row["cell"][0])): [row[name][1] for name in ("samples", "rounds", "bytes that a worker sent")] for row in rows}
    assert [costs[c] for c in (0, 1, 2)] == [["20", "0", "0"], ["40", "20", "960"], ["40", "5", "240"]]  # twelve numbers of four bytes in an exchange
    assert "ErrorFeedback(TopK)" in page


def rows_of(table):
    """[{column: (value by which it is sorted, text, ends of the interval or None)}, ...] of a table's
    HTML.
    """
    found = []
    for row in re.findall(r"<tr>(<td.*?)</tr>", table, re.DOTALL):
        fields = re.findall(r'<td data-name="(.*?)" data-value="(.*?)">(.*?)</td>', row)
        found.append(
            {unescape(name): (unescape(value), *re.match(r"([^<]*?) *(?:<small>\[(.*), (.*)\]</small>)?$", text).groups()) for name, value, text in fields}
        )
    return found


def read_number(text):
    """A number as the page shows it."""
    plain = text.replace(",", "").replace("\u221e", "inf")
    return float(plain.removesuffix("%")) / (100 if text.endswith("%") else 1)


def given_for(given, name, key):
    """The numbers that a line of code gives for the row of a cell, or of an optimizer: one, or one and its
    interval's ends.
    """
    if isinstance(given, (pandas.DataFrame, pandas.Series)):
        return np.atleast_1d(np.asarray(given.loc[int(float(key))])).tolist()
    at = given.sel({name: int(float(key)) if name == "cell" else key})
    return [v.item() for v in at.data_vars.values()] if isinstance(at, xarray.Dataset) else [at.item()]


def check_column(name, code, rows, result):
    """Whether what a column shows is what its line of code gives."""
    given = eval(code, {"gd": gd, "result": result})
    for row in rows:
        first = next(iter(row))
        value, *ends = given_for(given, first, row[first][0])
        shown, text, *bounds = row[name]
        if isinstance(value, str):
            assert (shown, text) == (value, value), code
            continue
        assert float(shown) == value or (np.isnan(value) and (shown, text) == ("nan", "")), (code, row)
        if np.isfinite(value):
            assert read_number(text) == pytest.approx(value, rel=5e-3), (code, row)
        for bound, end in zip(bounds, ends, strict=False):
            assert bound is None or read_number(bound) == pytest.approx(end, rel=5e-3), (code, row)
        assert bounds == [None, None] or len(ends) == 2, code


def check_code_lines(folder, page):
    """Runs every line of code of a page, and compares what it gives with what the page shows; how many
    columns and figures there are.
    """
    result, columns, figures = gd.open(folder), 0, 0
    for table, codes in re.findall(r'<table class="data">(.*?)</table>.*?<details class="how">(.*?)</details>', page, re.DOTALL):
        rows = rows_of(table)
        for name, code in (unescape(c).split(": ", 1) for c in re.findall(r"<code>(.*?)</code>", codes)):
            check_column(name, code, rows, result)
            columns += 1
    for png, caption, code in re.findall(r'base64,([^"]*)">\s*<figcaption>(.*?)</figcaption><code>(.*?)</code></figure>', page):
        figure, sink = eval(unescape(code), {"gd": gd, "result": result}), io.BytesIO()
        assert figure.caption == unescape(caption), code
        figure.set_caption("")
        figure.savefig(sink, dpi=100)
        assert sink.getvalue() == base64.b64decode(png), code
        figures += 1
    assert figures == page.count("<figure>")
    return columns, figures


def test_every_code_line_gives_what_the_page_shows(folder, page):
    columns, figures = check_code_lines(folder, page)
    assert columns > 20
    assert figures > 8


def test_the_page_says_what_was_run_and_warns(page):
    for text in (
        "moons &lt;b&gt; &amp; co",
        "of 7 cells",
        "SHA-256",
        "run-steps",
        "log_loss",
        "moons",
        "target (loss = 0.3)",
        "Cells have as few as 12 runs",
    ):
        assert text in page
    assert "diverged: they count as infinite losses" in page
    assert "<b>" not in page
    assert not re.search(r'(src|href)="(?!data:|#)', page)


def test_tables_hold_the_numbers_of_the_analysis(folder, page):
    result = gd.open(folder)
    success = gd.analysis.success_probability(result, target=0.3)
    for k in range(7):
        value, low, high = (float(success[n][k]) for n in ("probability", "low", "high"))
        assert f">{share(value)} <small>[{share(low)}, {share(high)}]</small></td>" in page
    for k in (k for k in range(7) if k != 2):  # of which all runs diverged
        losses = result.final_loss.values[result.cell.values == k]
        assert f">{number(np.quantile(losses, 0.5, method='inverted_cdf'))} <small>[" in page
    assert "infinite<" not in page
    assert "none met it" in page


def test_pictures_are_whole(page):
    pictures = re.findall(r'src="data:image/png;base64,([^"]+)"', page)
    assert len(pictures) >= 9
    assert all(base64.b64decode(p).startswith(b"\x89PNG") for p in pictures)
    assert "Not drawn" not in page


def test_it_works_in_a_browser(folder, page, tmp_path):
    async def visit(browser):
        await browser.resize(1200, 900)
        await browser.open(folder / "report.html")
        column = "[...document.querySelectorAll('.data tbody')[0].rows].filter(r => !r.hidden).map(r => r.cells[{}].textContent)"
        heads = await browser.value("[...document.querySelectorAll('.data')[0].querySelectorAll('th')].map(h => h.textContent.trim())")
        lr = heads.index("lr")
        click = f"document.querySelectorAll('.data')[0].querySelectorAll('th button')[{lr}].click()"
        for reverse in (False, True):
            await browser.value(click)
            shown = [float(v) for v in await browser.value(column.format(lr))]
            assert shown == sorted(shown, reverse=reverse)
        loss = heads.index("median training loss at the end")
        await browser.value(f"document.querySelectorAll('.data')[0].querySelectorAll('th button')[{loss}].click()")
        shown = await browser.value(column.format(loss))
        assert shown[-1].startswith("diverged")
        await browser.value("{const f = document.querySelector('.filter'); f.value = 'momentum lr=0.1'; f.dispatchEvent(new Event('input'))}")
        assert await browser.value(column.format(heads.index("optimizer"))) == ["Momentum"] * 2
        assert "2 of 7 rows" in await browser.value("document.querySelector('.count').textContent")
        drawn = "c => (c.font = getComputedStyle(f).font, c.measureText(f.placeholder).width)"
        widths = await browser.value(
            f"(f => [({drawn})(document.createElement('canvas').getContext('2d')), f.clientWidth - 24])(document.querySelector('.filter'))"
        )
        assert widths[0] <= widths[1]  # what the field asks for is not cut
        await browser.resize(1400, 900)
        cut = "[...document.querySelectorAll('.wide')].some(w => w.scrollWidth > w.clientWidth)"
        assert not await browser.value(cut)
        for width in (1200, 390):
            await browser.resize(width, 800)
            assert await browser.value("document.documentElement.scrollWidth") <= width
            loaded = await browser.value("[...document.images].every(i => i.complete && i.naturalWidth > 0 && i.clientWidth <= document.body.clientWidth)")
            assert loaded
        assert not await browser.value(cut)  # on a phone each row is a card, whose fields say their columns
        assert await browser.value("getComputedStyle(document.querySelector('.data tbody td'), '::before').content") == '"cell"'
        printed = base64.b64decode((await browser.call("Page.printToPDF"))["data"])
        assert printed.startswith(b"%PDF")
        assert browser.complaints == []
        assert [r for r in browser.requests if not r.startswith(("file:", "data:"))] == []

    in_browser(tmp_path, visit)


def test_a_report_begins_with_what_came_out(tmp_path):
    """A rate twenty times as large is the better one on a parabola from every start; without a target none is
    spoken of.
    """
    booth = {"problem": gd.functions.Booth(), "starts": 40, "steps": 30}
    gd.Sweep(**booth, optimizer=gd.SGD(lr=[0.0025, 0.05])).run(out=tmp_path / "clear")
    text = write_report(tmp_path / "clear").read_text()
    assert "lr = 0.05 is the first of 2 cells by the median final loss: its median is" in text
    assert "That is beyond noise: its interval meets that of no other cell; with the starts drawn anew it is the first in 100% of resamples." in text
    assert verdict_of(gd.table(tmp_path / "clear"))[1] in text  # as the terminal says
    assert text.index("What came out") < text.index("Outcome by cell") < text.index("What was run, and how")
    assert 'data-name="converged"' not in text
    assert 'data-name="worse than start"' in text
    gd.Sweep(**booth, optimizer=gd.SGD(lr=[0.05, 0.05000001])).run(out=tmp_path / "even")
    text = write_report(tmp_path / "even").read_text()
    assert "lr = 0.05000001" in text  # as many digits as tell the cells apart
    assert "beyond noise" not in text
    assert verdict_of(gd.table(tmp_path / "even"))[1].removeprefix("its") in text
    gd.Sweep(**{**booth, "starts": 2}, optimizer=gd.SGD(lr=[0.0025, 0.05])).run(out=tmp_path / "few")
    text = write_report(tmp_path / "few").read_text()
    assert "Whether that is noise, 2 runs cannot tell: take 6 or more." in text
    moons = gd.MLP(gd.datasets.load("moons", validation=0.2), hidden=[2])
    gd.Sweep(problem=moons, optimizer=gd.SGD(lr=[0.1, 0.2]), starts=1, steps=5).run(out=tmp_path / "one")
    assert "1 run cannot tell" in write_report(tmp_path / "one").read_text()  # medians of accuracies too are without intervals
    assert "beyond noise" not in text


def test_where_no_cell_meets_the_target_in_half_of_its_runs_the_one_that_does_most_often_is_first(folder, page):
    met = gd.open(folder).groupby("cell").map(lambda runs: (runs.status == "converged").sum()).values
    assert 0 < met.max() <= 6
    assert met.argmax() == 6
    assert "No cell reaches the loss 0.3, by which the sweep is ranked, in more than half of its runs; Momentum, lr = 0.1, momentum = 0.9 reaches" in page
    assert "beyond noise" not in page


def test_a_report_compares_optimizers_in_words_and_in_a_figure(folder, page):
    words = gd.analysis.sentences(gd.analysis.compare_tuned(gd.open(folder)))
    assert " ".join(words) in unescape(page)
    assert "gd.plots.compare_tuned(result)" in page


def test_pictures_have_their_captions_in_words(page):
    captions = re.findall(r"<figcaption>(.*?)</figcaption>", page)
    assert len(captions) >= 9
    assert all(re.search(r"\d+ (runs?|starts?|even ones)", unescape(text)) for text in captions)


def test_a_summary_a_single_run_and_a_race_have_reports(tmp_path):
    rosenbrock = {"problem": gd.functions.Rosenbrock(), "optimizer": gd.SGD(lr=[1e-4, 1e-3]), "steps": 30}
    gd.Sweep(**rosenbrock, starts=50, keep="summary").run(out=tmp_path / "summary")
    assert "the middles of bins" in write_report(tmp_path / "summary").read_text()
    gd.Sweep(problem=gd.functions.Booth(), optimizer=gd.SGD(), steps=5, record=gd.Record(every="ends")).run(out=tmp_path / "one")
    assert "Where runs end" in write_report(tmp_path / "one", tmp_path / "elsewhere.html").read_text()
    assert not (tmp_path / "one" / "report.html").exists()
    gd.Sweep(**rosenbrock, record=gd.Record(every=1, trajectory=True)).run(out=tmp_path / "race")
    assert "The race from start 0" in write_report(tmp_path / "race").read_text()


def test_mistakes_are_one_line(folder, tmp_path):
    for arguments in (["report", str(tmp_path / "none")], ["report", str(folder), "--out", str(tmp_path / "no" / "r.html")]):
        found = CliRunner().invoke(main, arguments)
        assert found.exit_code == 2
        assert found.output.count("\n") == 1
    found = CliRunner().invoke(main, ["report", str(folder), "--out", str(tmp_path / "r.html")])
    assert found.exit_code == 0
    assert (tmp_path / "r.html").stat().st_size < 5_000_000


def test_numbers_are_short_and_honest():
    assert [number(v) for v in (np.nan, np.inf, 12.0, 0.000123456, 1234567.0)] == ["", "∞", "12", "0.000123", "1,234,567"]
    assert share(0.12345) == "12.3%"
    assert Call(gd.plots, "ecdf", {"unit": "steps"}).code == "gd.plots.ecdf(result, unit='steps')"


@pytest.mark.parametrize(
    ("share", "told"), [(None, "A test set tells what the choice is worth."), (0.2, "Its test set tells what the choice is worth: gd.evaluate(")]
)
def test_who_has_a_test_set_is_not_told_to_take_one(share, told):
    moons = gd.MLP(gd.datasets.load("moons", validation=0.2, test=share), hidden=[2])
    result = gd.Sweep(problem=moons, optimizer=gd.SGD(lr=[0.1, 0.2]), starts=1, steps=5).run()
    assert sum(told in text for text in warnings(result, BEST.made(result))) == 1
