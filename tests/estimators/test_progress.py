"""The progress bar: of whoever asks for it, with what an epoch's record has."""

import re

from acestimator import AutoCleansingClassifier
from acestimator.estimators.progress import progress
from acestimator.objectives import CrossEntropy
from acestimator.phases import Phase


def test_who_does_not_ask_sees_nothing(capsys):
    with progress(0, 3) as on_epoch:
        assert on_epoch is None
    assert capsys.readouterr().err == ""


def test_a_bar_counts_epochs_and_shows_what_is_there(capsys):
    with progress(1, 3) as on_epoch:
        phase = Phase(CrossEntropy())
        on_epoch(phase, {})
        on_epoch(phase, {"loss": 1.25, "lr": 0.1})
        on_epoch(phase, {"loss": 0.75, "noise_rate": 0.2, "lr": 0.1})
    shown = capsys.readouterr().err
    assert "2/3" in shown
    assert "loss=0.750, noise_rate=0.200" in shown
    assert "lr" not in shown


def test_verbose_shows_loss_and_noise_rate(noisy_digits, capsys):
    AutoCleansingClassifier(verbose=1, max_epochs=10, random_state=0).fit(*noisy_digits[:2])
    shown = capsys.readouterr().err
    assert "loss=" in shown
    assert "noise_rate=" in shown


def test_one_bar_goes_on_through_all_phases_and_says_which(noisy_digits, capsys, monkeypatch):
    monkeypatch.setenv("TQDM_MININTERVAL", "0")
    AutoCleansingClassifier(verbose=1, max_epochs=80, random_state=0).fit(*noisy_digits[:2])
    shown = capsys.readouterr().err
    states = re.findall(r"\r([^\r:]*): .*?(\d+)/(\d+) \[", shown)
    done = [int(n) for _, n, _ in states]
    assert done == sorted(done)  # it never begins anew
    assert done[-1] == int(states[-1][2])
    assert states[0][2] == "240"  # two judges and the network at most
    names = [*dict.fromkeys(name for name, _, _ in states)]
    assert names[:2] == ["judge 1 of 2, round 1", "judge 2 of 2, round 1"]
    assert re.fullmatch(r"judge 1 of (\d+), round 2", names[2])
    assert names[-1] == "network"
    # From the second round on, its length is known
    assert len({total for name, _, total in states if "round 2" in name}) == 1
