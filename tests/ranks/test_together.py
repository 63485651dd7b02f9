"""Several processes find what one does."""

import numpy as np
import pytest
import rank_jobs as jobs
import several
import torch

from acestimator.ranks import ALONE, Ranks

TRAININGS = [
    *(f"trained({name!r})" for name in jobs.OBJECTIVES),
    "trained('AC1', batch_size=3)",
    "trained('momentum', weighted=True, keep=True)",
    "trained('paper', optimizer='sgd', weighted=True)",
]


def in_one(every):
    """Several jobs in one, since starting processes takes longer than training."""
    return (
        f"{{f'{{i}} {{name}}': value for i, found in enumerate([{', '.join(every)}]) for name, value in found.items()}}"
    )


def as_one(job):
    return {name: np.asarray(value) for name, value in eval(job, vars(jobs)).items()}


@pytest.mark.parametrize("n_processes", [2, 3])
def test_trainings_in_float64_are_those_of_one_process(n_processes, tmp_path):
    job = (
        "{f'{i} {name}': value for i, found in enumerate(["
        + ", ".join(TRAININGS)
        + "]) for name, value in found.items()}"
    )
    expected = as_one(job)
    for found in several.results(n_processes, job, tmp_path / "run"):
        assert found.keys() == expected.keys()
        for name, value in expected.items():
            np.testing.assert_allclose(found[name], value, rtol=0, atol=1e-10, err_msg=name)


FITS = [
    "fitted('cleansing', batch_size=400, max_epochs=20)",
    "fitted('cleansing', batch_size=400, max_epochs=20, variant='AC2', weighted=True)",
    "fitted('cleansing', batch_size=400, max_epochs=20, reviewed=True)",
]


def test_the_default_with_all_its_stages_is_that_of_one_process(tmp_path):
    """In one batch, where it is computed in float64."""
    job = in_one(FITS)
    expected = as_one(job)
    for found in several.results(2, job, tmp_path / "run"):
        assert found.keys() == expected.keys()
        for name, value in expected.items():
            atol = 1e-5 if "alpha_" in name else 1e-10  # float32
            if "rank" not in name:
                np.testing.assert_allclose(found[name].astype(float), value.astype(float), atol=atol, err_msg=name)


def test_in_float32_the_same_labels_are_flagged(tmp_path):
    job = "fitted('cleansing', max_epochs=30)"
    expected = as_one(job)
    for found in several.results(2, job, tmp_path / "run"):
        for name in ("predicted", "suggested_labels_", "left_out_", "n_iter"):
            np.testing.assert_array_equal(found[name], expected[name])
        np.testing.assert_array_equal(found["mislabel_proba_"] > 0.5, expected["mislabel_proba_"] > 0.5)


def test_constants_are_gathered_where_they_are_wanted(tmp_path):
    settings = "max_epochs=2, preset='paper'"
    expected = as_one(f"fitted('cleansing', {settings})")
    first, second = several.results(2, f"fitted('cleansing', {settings}, gather_alpha='rank0')", tmp_path / "first")
    np.testing.assert_allclose(first["alpha_"], expected["alpha_"], atol=1e-5)
    assert "alpha_" not in second
    for found in several.results(2, f"fitted('cleansing', {settings}, gather_alpha='none')", tmp_path / "none"):
        assert "alpha_" not in found
        np.testing.assert_allclose(found["mislabel_proba_"], expected["mislabel_proba_"], atol=1e-2)


def test_a_seed_that_is_drawn_is_that_of_the_first(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "import sys, numpy as np; from acestimator import BaselineClassifier\n"
        "X = np.random.RandomState(0).normal(size=(40, 3)); y = np.arange(40) % 2\n"
        "clf = BaselineClassifier(max_epochs=1).fit(X, y); print(float(next(clf.module_.parameters()).sum()))\n"
    )
    outputs = several.ended(several.start(2, "", tmp_path, script=script))
    assert [status for _, status in outputs] == [0, 0]
    assert len({output.splitlines()[-1] for output, _ in outputs}) == 1


WRONG = {
    "X = X + rank": "rank 1 of 2 was given other X than rank 0",
    "y = (y + rank) % 2": "rank 1 of 2 was given other y than rank 0",
    "weight = np.full(100, 1.0 + rank * (np.arange(100) > 50))": "rank 1 of 2 was given other sample_weight",
    "settings = {'max_epochs': 2 + rank}": "rank 1 of 2 was given other parameters",
    "settings = {'checkpoint': 'fit.pt'}": "2 processes train together, which write none yet",
    "settings = {'learning_rate': 1e30, 'optimizer': 'sgd', 'batch_size': 16}": "the loss became NaN or inf",
    "kind, settings = BaselineClassifier, {'method': 'elr'}": "expected 'cross_entropy'",
    "settings = {'learning_rate': 1e30, 'optimizer': 'sgd'}": "the trained network gives NaN or infinite logits",
}
SCRIPT = """
import os, sys
import numpy as np
from acestimator import AutoCleansingClassifier, BaselineClassifier
rank = int(os.environ["RANK"])
for change in CHANGES:
    X, y = np.random.RandomState(0).normal(size=(100, 3)), np.arange(100) % 2
    kind, weight, settings = AutoCleansingClassifier, None, {}
    exec(change)
    try:
        kind(**{"random_state": 0, "max_epochs": 2, **settings}).fit(X, y, weight)
    except Exception as error:
        print(f"{change}: {type(error).__name__}: {error}")
"""


def test_what_goes_wrong_is_said_on_all_ranks_which_go_on(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(SCRIPT.replace("CHANGES", repr([*WRONG])))
    for output, status in several.ended(several.start(2, "", tmp_path, script=script)):
        assert status == 0, output
        said = [line for line in output.splitlines() if line.startswith(tuple(WRONG))]
        assert len(said) == len(WRONG)
        for line, (change, expected) in zip(said, WRONG.items(), strict=True):
            assert line.startswith(change)
            assert expected in line


def test_where_one_is_killed_the_other_ends_and_says_so(tmp_path):
    script = tmp_path / "script.py"
    settings = "settings = {'max_epochs': 10 ** 6, 'batch_size': 8}"
    change = f"{settings}\nif rank: import threading; threading.Timer(2, os._exit, [9]).start()"
    script.write_text(SCRIPT.replace("CHANGES", repr([change])))
    (output, status), (_, killed) = several.ended(several.start(2, "", tmp_path, script=script))
    assert (status, killed) == (0, 9)
    assert "another of the processes that train together has ended" in output


def test_alone_nothing_is_asked(monkeypatch):
    for name in ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.setenv(name, "5")  # nobody is there: looking for the others would wait
    job = "fitted('baseline', max_epochs=1, distributed=False)"
    found, again = as_one(job), as_one(job)
    assert found["weights"].tobytes() == again["weights"].tobytes()


def test_every_sample_has_one_owner():
    positions = torch.tensor([3, 8, 1, 12, 5])
    shares = [Ranks(rank, 3).share(positions) for rank in range(3)]
    assert torch.equal(torch.cat([share.own for share in shares]).sort().values, torch.arange(5))
    assert [positions[share.own].remainder(3).unique().tolist() for share in shares] == [[0], [1], [2]]
    assert ALONE.share(positions).own is None
