"""Tables and the figure show what was measured, and what was not."""

import json
from itertools import pairwise

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest
from comparison_records import NOISE, PROCESSES, ideal, partly_run, record
from scipy.stats import sem

from acestimator.comparison import Comparison, draw, verdicts
from acestimator.comparison.tables import as_markdown, as_numbers, as_text, coverage, sections

mpl.use("agg")


def test_tables_tell_what_was_not_run():
    tables = dict(sections(partly_run()))
    header, *rows = tables["Test accuracy after the last epoch, %: digits"]
    assert header == ["method", "none", "symmetric_40", "pair_30", "instance_40", "outside_20"]
    entries = {row[0]: row[1:] for row in rows}
    error = 100 * np.std(NOISE, ddof=1) / np.sqrt(5)
    assert entries["AutoCleansing"] == ["94.0 (0.1)"] * 4 + ["not run"]
    assert error == pytest.approx(0.1, abs=0.05)
    assert entries["gce"][-1] == "failed"
    assert entries["cleanlab"][-1] == "81.0 (0.6), n = 3"
    two_classes = {row[0]: row[1:] for row in tables["Test accuracy after the last epoch, %: breast_cancer"]}
    assert two_classes["gce"][-1] == "not possible"
    everywhere = Comparison([record("gce", error="ValueError: no"), record("oracle", accuracy=0.5)])
    assert ["gce", "failed"] in dict(sections(everywhere))["Test accuracy after the last epoch, %: digits"]
    runs_table = {row[0]: row[1:] for row in tables["Runs"]}
    assert runs_table["process"] == ["digits", "breast_cancer"]
    assert runs_table["none"] == ["30 of 30", "30 of 30"]
    assert runs_table["outside_20"] == ["3 of 30, 5 failed", "not possible"]
    more = coverage(partly_run(), ["wine"], ["class_20"])
    assert more[0] == ["process", "wine", "digits", "breast_cancer"]
    assert more[1] == ["class_20", "not run", "not run", "not run"]


def test_tables_of_other_metrics():
    tables = dict(sections(partly_run()))
    gap = {row[0]: row[1:] for row in tables["Share of the gap between plain cross-entropy and the oracle: digits"]}
    assert gap["method"] == ["symmetric_40", "pair_30", "instance_40"]
    assert gap["AutoCleansing"][0] == f"{0.24 / 0.242:.2f}"
    assert gap["oracle"] == ["1.00"] * 3
    rate = {row[0]: row[1:] for row in tables["Error of the estimated noise rate, absolute, points: digits"]}
    assert rate["AutoCleansing"][:2] == ["2.0 (0.0)"] * 2
    filters = dict(tables["F1 of cleanlab's filters, %, mean of 6 settings"][1:])
    assert filters["AutoCleansing"] == "90.0"
    assert filters["both"] == "80.0"
    assert dict(tables["Seconds against plain cross-entropy, median"][1:])["gce"] == "1.00"
    f1 = [row[0] for row in tables["F1 of the flagged set (probability above one half), %: digits"]]
    assert "cleanlab" not in f1  # it has a set for each filter, not one


def test_text_and_markdown_have_the_same_entries():
    c = partly_run()
    tables = sections(c)
    text, markdown = as_text(tables), as_markdown(tables, verdicts(c))
    for title, rows in tables:
        assert title in text
        assert f"## {title}\n" in markdown
        for row in rows:
            assert "| " + " | ".join(row[1:]) + " |" in markdown
    assert "| **AutoCleansing** |" in markdown
    assert "| reached |" in markdown
    for block in markdown.split("\n\n"):
        lines = [line for line in block.splitlines() if line.startswith("|")]
        assert all(a.count("|") == b.count("|") for a, b in pairwise(lines))


def test_numbers():
    c = partly_run()
    numbers = json.loads(json.dumps(as_numbers(c, verdicts(c)), allow_nan=False))
    cell = {(r["method"], r["dataset"], r["process"]): r for r in numbers["cells"]}
    ours = cell["AutoCleansing", "digits", "pair_30"]
    assert ours["accuracy"]["mean"] == pytest.approx(c.mean("accuracy", "AutoCleansing", ("digits", "pair_30")))
    assert ours["accuracy"]["standard_error"] == pytest.approx(sem(0.94 + NOISE))
    assert ours["gap closed"]["mean"] == pytest.approx(0.24 / 0.242)
    assert cell["gce", "breast_cancer", "outside_20"]["state"] == "not possible"
    assert cell["gce", "digits", "outside_20"]["state"] == "failed"
    assert cell["aum", "digits", "outside_20"]["state"] == "not run"
    assert len(numbers["verdicts"]) == len(verdicts(c))
    assert numbers["failures"] == ["gce on digits outside_20, seed 0 and 4 more: ValueError: no"]


def test_the_figure_has_a_dot_for_each_difference():
    c = partly_run()
    figure = draw(c)
    assert [ax.get_title() for ax in figure.axes] == ["digits", "breast_cancer"]
    names = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert set(names) == set(c.methods) - {"oracle"}
    assert names[-1] == "AutoCleansing"  # the best is on top
    dots = {
        (float(x), round(float(y)))
        for line in figure.axes[0].lines
        if line.get_marker() != "None"
        for x, y in zip(line.get_xdata(), line.get_ydata(), strict=True)
    }
    for process in PROCESSES:
        for method in names:
            difference = 100 * c.difference("accuracy", method, "oracle", ("digits", process)).mean()
            assert any(abs(x - difference) < 1e-9 and names[y] == method for x, y in dots)
    figure.canvas.draw()
    plt.close(figure)


def test_dots_of_fewer_seeds_are_hollow():
    records = [r for r in partly_run().records if not (r["method"] == "aum" and r["seed"])]
    figure = draw(Comparison(records))
    names = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    dots = [line for ax in figure.axes for line in ax.lines if line.get_marker() != "None"]
    hollow = {names[round(float(line.get_ydata()[0]))] for line in dots if line.get_markerfacecolor() == "white"}
    filled = {names[round(float(line.get_ydata()[0]))] for line in dots if line.get_markerfacecolor() != "white"}
    assert hollow == {"aum"}
    assert filled == set(names) - {"aum"}
    plt.close(figure)


def test_the_figure_without_the_oracle_or_anything():
    records = [r for r in ideal().values() if r["method"] != "oracle"]
    figure = draw(Comparison(records))
    assert "less that of cross_entropy" in figure.get_supxlabel()
    plt.close(figure)
    with pytest.raises(ValueError, match="neither 'oracle' nor 'cross_entropy' was run"):
        draw(Comparison([r for r in records if r["method"] == "gce"]))
