"""``acestimator demo``."""

import pytest

from acestimator import cli
from acestimator.demo import run_demo


def test_demo_prints_both_accuracies_and_writes_the_picture(tmp_path, capsys):
    assert cli.main(["demo", "--out", str(tmp_path / "new")]) == 0
    printed = capsys.readouterr().out
    assert "test accuracy, plain training:" in printed
    assert "test accuracy, AutoCleansing:" in printed
    picture = tmp_path / "new" / "suspects.png"
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert str(picture) in printed


def test_demo_finds_most_of_what_was_corrupted(tmp_path):
    result = run_demo(tmp_path)
    assert result.n_train == 1257
    assert result.cleansed_accuracy > result.plain_accuracy + 0.05
    assert result.n_found > 0.9 * result.n_corrupted
    assert abs(result.estimated_noise_rate - result.noise_rate) < 0.08


def test_bad_arguments_end_with_a_message_and_status_2(tmp_path, capsys):
    assert cli.main(["demo", "--rate", "-0.2", "--out", str(tmp_path)]) == 2
    assert "rate is -0.2, expected a probability" in capsys.readouterr().err
    (tmp_path / "file").write_text("")
    assert cli.main(["demo", "--out", str(tmp_path / "file")]) == 2
    assert "file" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        cli.main(["unknown"])
