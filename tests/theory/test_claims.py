"""The runner: what it tries, how it sums up, what it prints, and the figures. Long claims have tests of their own."""

import dataclasses

import matplotlib.pyplot as plt
import numpy as np
import pytest

from theory import claims, figures
from theory.__main__ import COLUMNS, cells_of, lines_of, main
from theory.claim import ClaimResult
from theory.claims import PROCESSES, Entry, definition1, merge, table_1, theorem_1, theorem_2
from theory.facts.group_recovery import PhaseTransition
from theory.paper.counterexamples import COUNTEREXAMPLES
from theory.trained.learned import SamplingError


def result(margin, tolerance=0.0, n_cases=1, claim="a claim", worst_case=()):
    return ClaimResult(claim, ("an assumption",), n_cases, margin, worst_case, tolerance, margin >= -tolerance)


@pytest.mark.parametrize(
    ("section", "n_held", "n_failed"),
    [
        (definition1, 1, 0),
        (theorem_1, len(PROCESSES) + 1, len(PROCESSES)),
        (theorem_2, 6, len(COUNTEREXAMPLES)),
        (table_1, 3, 0),
    ],
)
def test_every_verdict_is_the_expected_one(section, n_held, n_failed):
    entries = list(section())
    assert all(entry.as_expected for entry in entries)
    assert sum(entry.result.holds for entry in entries) == n_held
    assert sum(not entry.result.holds for entry in entries) == n_failed
    # a claim that nothing was tried on would hold, too
    assert all(entry.result.n_cases >= (50 if entry.result.holds and section is theorem_2 else 1) for entry in entries)


def test_a_wrong_closed_form_is_noticed(monkeypatch):
    right = claims.optimal_alpha
    monkeypatch.setattr(claims, "optimal_alpha", lambda pi, m: -right(pi, m))
    assert not any(entry.as_expected for entry in definition1())


def test_merge_takes_the_case_nearest_to_breaking():
    # the second's margin is smaller, the third's excess over what rounding may take is
    merged = merge([result(1.0), result(-0.1, tolerance=0.5, n_cases=2), result(0.2, n_cases=3, worst_case=(7,))])
    assert (merged.worst_margin, merged.worst_case, merged.n_cases, merged.holds) == (0.2, (7,), 6, True)
    broken = merge([result(1.0), result(-1.0, n_cases=2, worst_case=(1,))])
    assert (broken.worst_margin, broken.worst_case, broken.n_cases, broken.holds) == (-1.0, (1,), 3, False)


@pytest.mark.parametrize(
    ("margin", "counterexample", "expected"), [(1, "", True), (-1, "", False), (-1, "x", True), (1, "x", False)]
)
def test_what_is_expected(margin, counterexample, expected):
    assert Entry(result(margin), counterexample).as_expected is expected


def test_rows_of_the_table():
    long = result(-1.0, n_cases=12345, claim="word " * 40, worst_case=(3,))
    lines = list(lines_of(cells_of(Entry(long))))
    assert len({line.index("word") for line in lines if "word" in line}) == 1
    assert all(len(line) <= sum(COLUMNS.values()) + 2 * (len(COLUMNS) - 1) for line in lines)
    text = " ".join(" ".join(lines).split())
    assert "12,345" in text
    assert "UNEXPECTED: fails: at (3,)" in text
    assert "fails: the example" in " ".join(" ".join(lines_of(cells_of(Entry(long, "the example")))).split())


def sampling_error():
    n = np.array([10, 100, 1000])
    return SamplingError(
        **{field.name: getattr(result(0.1), field.name) for field in dataclasses.fields(ClaimResult)},
        n_labels=n,
        errors=n**-0.5,
        predicted=n**-0.5,
        slope=-0.5,
        slope_error=0.01,
    )


def phase_transition():
    fields = {field.name: getattr(result(0.1), field.name) for field in dataclasses.fields(ClaimResult)}
    grid = {"fractions": np.array([0.1, 0.3, 0.5]), "dimensions": np.array([1, 4])}
    return PhaseTransition(
        **fields, **grid, success=np.array([[1, 1, 0.2], [1, 0.5, 0]]), half=np.array([0.4, 0.3]), undecided=0
    )


def test_main(monkeypatch, tmp_path, capsys):
    sections = {"One": lambda: iter([Entry(sampling_error()), Entry(result(-1.0), "known")])}
    monkeypatch.setattr("theory.__main__.SECTIONS", sections)
    assert main(["--figures", str(tmp_path / "new" / "folder")]) == 0
    printed = capsys.readouterr().out
    assert "--- One ---" in printed
    assert "2 claims: 1 hold, 1 fail, 0 other than expected" in printed
    assert "2.2, first constant zero" in printed
    assert "(C) Multiple objects" in printed
    assert sorted(path.name for path in (tmp_path / "new" / "folder").iterdir()) == ["concept.png", "convergence.png"]
    sections["Two"] = lambda: iter([Entry(result(-1.0))])
    assert main(["--figures", str(tmp_path)]) == 1
    assert "1 other than expected" in capsys.readouterr().out


def test_figures_show_what_they_are_given():
    _, axes = plt.subplots(1, 3)
    figures.convergence(sampling_error(), axes[0])
    dots = next(line for line in axes[0].lines if line.get_marker() == "o")
    np.testing.assert_allclose(dots.get_xydata(), np.c_[sampling_error().n_labels, sampling_error().errors])
    figures.recovery(phase_transition(), axes[1])
    np.testing.assert_array_equal(axes[1].images[0].get_array(), phase_transition().success)
    np.testing.assert_allclose(
        axes[1].lines[0].get_xdata(), [1.5, 1.0]
    )  # .4 lies half-way between the second and third
    fit = figures.concept_fit()
    figures.concept(fit, axes[2])
    plt.close("all")
    # What the picture is to show: the cleansed network has the true shape, which plain training has bent, and the
    # constants of wrong labels pull against it.
    cleansed, plain = (np.corrcoef(outputs, fit.true)[0, 1] for outputs in (fit.cleansed, fit.plain))
    assert cleansed > 0.85 > 0.65 > plain
    pull = -fit.alpha * np.sign(fit.cleansed_at_x)
    assert pull[fit.is_wrong].min() > np.abs(fit.alpha[~fit.is_wrong]).max()
