"""The progress bar: of whoever asks for it, with what an epoch's record has."""

from acestimator import AutoCleansingClassifier
from acestimator.estimators.progress import progress


def test_who_does_not_ask_sees_nothing(capsys):
    with progress(0, 3) as on_epoch:
        assert on_epoch is None
    assert capsys.readouterr().err == ""


def test_a_bar_counts_epochs_and_shows_what_is_there(capsys):
    with progress(1, 3) as on_epoch:
        on_epoch({"loss": 1.25, "lr": 0.1})
        on_epoch({"loss": 0.75, "noise_rate": 0.2, "lr": 0.1})
    shown = capsys.readouterr().err
    assert "2/3" in shown
    assert "loss=0.750, noise_rate=0.200" in shown
    assert "lr" not in shown


def test_verbose_shows_loss_and_noise_rate(noisy_digits, capsys):
    AutoCleansingClassifier(verbose=1, max_epochs=10, random_state=0).fit(*noisy_digits[:2])
    shown = capsys.readouterr().err
    assert "loss=" in shown
    assert "noise_rate=" in shown
