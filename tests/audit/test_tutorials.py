"""The tutorials' scripts make what their pages say."""

import re
import runpy
import sys
from pathlib import Path

import pytest

from acestimator.audit.sources import open_source

DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture
def script(tmp_path, monkeypatch):
    """Run one of the scripts in an empty folder."""

    def run(name, *arguments):
        monkeypatch.setattr(sys, "argv", [name, *arguments])
        return runpy.run_path(str(DOCS / "data" / name), run_name="__main__")

    monkeypatch.chdir(tmp_path)
    return run


def told(page):
    """Number and percentage of the labels that were changed, as the page has them."""
    text = " ".join((DOCS / page).read_text(encoding="utf-8").split())
    n, percent = re.search(r"(\d+) (?:were changed|of 1,797 images were in a wrong folder), ([\d.]+) %", text).groups()
    return int(n), float(percent) / 100


def test_table(script, capsys):
    pytest.importorskip("pandas")
    script("make_table.py")
    source = open_source("patients.csv", label="diagnosis", id="patient")
    assert source.classes == ["benign", "malignant"]
    frame = source.frame()
    assert 0.03 < frame.iloc[:, 1:-1].isna().to_numpy().mean() < 0.07
    script("count_right.py", "patients_right.csv", "patients.csv")
    n_wrong, rate = told("audit-table.md")
    assert capsys.readouterr().out == f"patients.csv: {569 - n_wrong} of 569 labels are right\n"
    assert abs(n_wrong / 569 - rate) < 0.0005


def test_texts(script, capsys):
    pytest.importorskip("pandas")
    script("make_texts.py")
    source = open_source("functions.csv", label="part")
    assert len(source.classes) == 10
    assert source.info.n_rows > 1000
    script("count_right.py", "functions_right.csv", "functions.csv")
    n_right = int(re.match(r"functions.csv: (\d+) of ", capsys.readouterr().out)[1])
    _, rate = told("audit-texts.md")
    assert abs(1 - n_right / source.info.n_rows - rate) < 0.03  # another SciPy has other texts


def test_images(script, capsys):
    pytest.importorskip("pandas")
    script("make_images.py")
    source = open_source("digits")
    assert len(source.classes) == 10
    assert source.info.n_rows == 1797
    script("count_right.py", "digits_right.csv", "digits")
    n_wrong, rate = told("audit-images.md")
    assert capsys.readouterr().out == f"digits: {1797 - n_wrong} of 1797 labels are right\n"
    assert abs(n_wrong / 1797 - rate) < 0.0005


def test_pictures_are_there_and_small():
    for page in (*DOCS.glob("*.md"), DOCS.parent / "README.md"):
        for name in re.findall(r"!\[[^\]]+\]\(([^)]+\.png)\)", page.read_text(encoding="utf-8")):
            assert 1_000 < (page.parent / name).stat().st_size < 200_000, (page, name)
