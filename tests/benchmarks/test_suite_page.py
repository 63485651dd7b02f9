"""What the documentation shows of the suite's records."""

import json

import matplotlib.pyplot as plt
import numpy as np
import pytest
from suite import main
from suite_parts import page
from suite_parts.report import judge
from suite_parts.sets import CHOOSING

from acestimator.comparison import Comparison


def record(dataset, process, method, seed, accuracy, **more):
    return {"dataset": dataset, "process": process, "method": method, "seed": seed, "accuracy": accuracy, **more}


@pytest.fixture
def records():
    """Two sets for choosing and one that is held out: the default gains 5, 10 and 20 points, ELR loses one."""
    found = []
    for dataset, gain in (("digits", 0.05), ("iris", 0.1), ("wisconsin", 0.2)):
        for process in ("none", "symmetric_20", "symmetric_40"):
            for seed in range(3):
                plain = 0.6 + 0.01 * seed
                found.append(record(dataset, process, "cross_entropy", seed, plain, auroc=0.7))
                found.append(record(dataset, process, "elr", seed, plain - 0.01, auroc=0.8))
                own = plain + (gain if process != "none" else 0.0)
                found.append(record(dataset, process, "AutoCleansing", seed, own, auroc=0.9, noise_rate=0.2))
    return found


def lines_of(markdown):
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in markdown.splitlines() if line[:1] == "|"]


def test_every_verdict_has_a_question_or_is_of_no_use_to_a_reader():
    asked = {row.what.split()[0] for row in judge(Comparison([]), CHOOSING)}
    assert asked - set(page.ASKED) == {"4a", "4b", "5a", "5b"}
    assert set(page.ASKED) <= asked


def test_the_answers_are_those_of_the_report_and_nothing_is_said_of_what_was_not_run(records):
    text = page.answers(records)
    assert text.count("## ") == 2
    answers = {line[0]: line[1:] for line in lines_of(text)}
    assert page.ASKED["6a"] not in answers  # no oracle has said what can be told
    assert "not run" not in text
    assert "+20.00 (cross_entropy)" in text  # of the set that is held out
    assert "+7.50 (cross_entropy)" in text


def test_the_tables_have_the_means_and_their_errors(records):
    lines = lines_of(page.tables(records))
    assert lines[0] == ["set", "noise", "AutoCleansing", "cross_entropy", "elr"]
    wanted = ["iris", "symmetric_20", "71.0 (0.6)", "61.0 (0.6)", "60.0 (0.6)"]
    assert wanted in lines
    assert ["iris", "symmetric_20", "90.0 (0.0)", "70.0 (0.0)", "80.0 (0.0)"] in lines


def test_the_picture_has_a_row_for_each_set_in_the_order_of_its_gain(records):
    figure = page.draw(records)
    right, wrong = figure.axes
    assert [label.get_text() for label in right.get_yticklabels()] == ["digits", "iris", "wisconsin *"]
    for ax, gains in ((right, [0, 0, 0]), (wrong, [5, 10, 20])):
        dots = {tuple(np.round(line.get_xydata()[0], 6)) for line in ax.lines if len(line.get_xydata()) == 1}
        assert {(gain, row) for row, gain in enumerate(gains)} <= dots
        assert {(-1, row) for row in range(3)} <= dots
    plt.close(figure)


def test_the_command_writes_the_pages(records, tmp_path, capsys):
    file = tmp_path / "suite.jsonl"
    file.write_text("".join(json.dumps(line) + "\n" for line in records))
    assert main(["--report", str(file), "--pages", str(tmp_path / "made")]) == 0
    assert {path.name for path in (tmp_path / "made").iterdir()} == {"suite.md", "suite_tables.md", "suite.png"}
    assert "verdicts" in capsys.readouterr().out
