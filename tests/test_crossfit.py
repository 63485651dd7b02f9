"""Labels judged by networks that have not seen them: what is asked of whom, and fits."""

import math
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from by_hand import a_trainer, started
from torch import nn

from acestimator import AutoCleansingClassifier, BaselineClassifier
from acestimator.channel import judge as read
from acestimator.channel import levelled
from acestimator.crossfit import (
    _LEAST_STEPS,
    _MOST_FOLDS,
    _TRAININGS,
    concluded,
    copies,
    judged,
    spared,
    times_rarer,
)
from acestimator.estimators.network import NetworkClassifier
from acestimator.evidence import supported
from acestimator.facts import SUREST, Facts
from acestimator.objectives.judge import Judge
from acestimator.objectives.spared import LEFT_OUT, Spared
from acestimator.phases import Trainer

K, N = 4, 200


# --- the phases, with judges whose word a test gives ---


def words(seed=0, noise=0.2, n_samples=N, scale=6.0):
    """Observed labels (N,), which of them are wrong, and two different words (N, K) of judges that know better."""
    rng = np.random.RandomState(seed)
    true = np.arange(n_samples) % K
    wrong = rng.uniform(size=n_samples) < noise
    labels = np.where(wrong, (true + rng.randint(1, K, size=n_samples)) % K, true)
    logits = torch.from_numpy(scale * np.eye(K)[true] + rng.normal(size=(2, n_samples, K)))
    return torch.from_numpy(labels), wrong, torch.softmax(logits, dim=2).float()


def told(said, labels):
    """Log-odds by a word (N, K), and the least rate that there is evidence for."""
    verdict = read(said.double().log(), labels)
    least = supported(said.double().log(), labels, verdict.interval[0])
    rate = float(torch.sigmoid(verdict.log_odds).mean())
    return verdict.log_odds if rate >= least else levelled(verdict.log_odds, least), least


class Scripted:
    """A trainer whose judges say this (N, K), the halves first: they are best at a length, and stop at an end."""

    def __init__(self, labels, first, second, length=10, end=12, max_epochs=100, weight=None, keys=None, density=1.0):
        self.labels, self.first, self.second, self.length, self.end = labels, first, second, length, end
        self.n_classes, self.sample_weight, self.seed, self.dtype = K, weight, 0, torch.float64
        self.plan = SimpleNamespace(max_epochs=max_epochs, steps_per_epoch=lambda n: 4)
        self.samples = SimpleNamespace(keys=lambda: keys, density=lambda: density)
        self.phases = {}

    def run(self, phase, number):
        judge = started(phase.objective, self.labels[phase.keep], K, max_epochs=self.plan.max_epochs)
        if number <= 2:
            said = self.first[phase.judged]
            judge.words = {self.end: 0 * said, self.length: said}
            judge.log_likelihoods = {self.length: -1.0, self.end: -1.0}
        else:
            judge.words = {judge.length: self.second[phase.judged]}
        self.phases[number] = phase


def test_every_judge_is_trained_on_the_others():
    labels, _, (first, second) = words()
    trainer = Scripted(labels, first, second)
    judged(trainer)
    assert [*trainer.phases] == [*range(1, len(trainer.phases) + 1)]  # 0 is for the network that predicts
    phases = list(trainer.phases.values())
    for phase in phases:
        assert not np.intersect1d(phase.keep, phase.judged).size
        assert len(phase.keep) + len(phase.judged) == N
        assert torch.equal(phase.objective.labels, labels[phase.judged])
        assert phase.network is None
    assert (phases[0].objective.beside, phases[1].objective.beside) == (None, phases[0].objective)
    for asked in (phases[:2], phases[2:]):
        assert torch.equal(torch.cat([phase.judged for phase in asked]).sort().values, torch.arange(N))


def test_the_second_judges_are_spared_what_the_first_have_found_and_the_two_rounds_are_averaged():
    labels, wrong, (first, second) = words()
    trainer = Scripted(labels, first, second)
    judgement = judged(trainer)
    (once, least), last = told(first, labels), read(second.double().log(), labels)
    found = once > LEFT_OUT
    assert (found.numpy() == wrong).mean() > 0.9
    for number in range(3, len(trainer.phases) + 1):
        judge = trainer.phases[number].objective
        assert torch.equal(judge.kept == 0, found[trainer.phases[number].keep])
        assert ((judge.kept == 0) | (judge.kept == 1)).all()
        assert judge.length == 10
    expected = 0.5 * (once + last.log_odds)
    assert float(torch.sigmoid(expected).mean()) >= least > 0
    torch.testing.assert_close(judgement.log_odds, expected)
    # By it the network's own first epochs are read, in which it learns all labels, as the first judges did.
    assert torch.equal(judgement.channel.pi, read(first.double().log(), labels).channel.pi)
    assert judgement.length == 10
    assert judgement.rate == pytest.approx(float(torch.sigmoid(judgement.log_odds).mean()))
    low, high = judgement.interval
    assert low == least
    assert low <= judgement.rate <= high
    assert high == max(read(first.double().log(), labels).interval[1], last.interval[1])


def test_of_samples_that_are_all_but_empty_two_rounds_of_second_judges_are_averaged_and_alone_decide():
    labels, _, (first, second) = words()
    third = words(seed=1)[2][1]
    once = Scripted(labels, first, second)
    judged(once)
    n_folds = len(once.phases) - 2

    class Changing(Scripted):
        def run(self, phase, number):
            self.second = second if number <= 2 + n_folds else third
            super().run(phase, number)

    trainer = Changing(labels, first, second, density=0.001)
    judgement = judged(trainer)
    assert len(trainer.phases) == 2 + 2 * n_folds
    last = read((0.5 * (second + third)).double().log(), labels)
    torch.testing.assert_close(judgement.log_odds, last.log_odds, rtol=1e-4, atol=1e-4)
    assert torch.equal(judgement.channel.pi, read(first.double().log(), labels).channel.pi)


@pytest.mark.parametrize("density", [0.001, 0.02])
def test_constants_have_a_say_unless_samples_are_all_but_empty(density):
    labels, _, (first, second) = words()
    judgement = judged(Scripted(labels, first, second))
    constants = torch.from_numpy(np.random.RandomState(0).normal(size=N))
    log_odds, at_least = concluded(judgement, judgement.log_odds, constants, None, density)
    same_order = torch.equal(log_odds.argsort(), judgement.log_odds.argsort())
    assert same_order == torch.equal(at_least.argsort(), judgement.log_odds.argsort()) == (density < 0.01)
    assert float(torch.sigmoid(log_odds).mean()) == pytest.approx(judgement.rate)


@pytest.mark.parametrize(("length", "end"), [(1, 3), (4, 6), (10, 13), (45, 50), (49, 60), (50, 60), (100, 100)])
def test_the_second_round_has_as_many_folds_as_fit_into_what_the_first_has_left(length, end):
    """Of nearly two trainings, of which the halves have had the longer's length, and the network gets its own."""
    labels, _, (first, second) = words()
    trainer = Scripted(labels, first, second, length=length, end=end)
    judgement = judged(trainer)
    n_folds = len(trainer.phases) - 2
    rarer = times_rarer(told(first, labels)[0])
    assert rarer > 2
    final = min(max(math.ceil(rarer * length), _LEAST_STEPS // 4), 100)
    fits = [n for n in range(2, _MOST_FOLDS + 1) if (n - 1) * length <= _TRAININGS * 100 - final - end]
    assert n_folds == max(fits, default=0)
    if not fits:
        verdict = read(first.double().log(), labels)
        torch.testing.assert_close(judgement.log_odds, told(first, labels)[0])
        torch.testing.assert_close(judgement.channel.pi, verdict.channel.pi)


@pytest.mark.parametrize("weighted", [False, True])
def test_wrong_labels_are_as_much_rarer_as_those_that_are_left_out_were_more_frequent(weighted):
    odds = torch.tensor([0.25, 1.0, 3.0, 1 / 9], dtype=torch.float64)  # probabilities .2, .5, .75, .1
    weight = torch.tensor([1.0, 2.0, 5.0, 1.0]).double() if weighted else None
    expected = (5.05 / 9) / (1.3 / 4) if weighted else (1.55 / 4) / (0.8 / 3)
    assert times_rarer(odds.log(), weight) == pytest.approx(expected)
    assert times_rarer(odds[odds <= 1].log()) == 1.0
    assert times_rarer(odds[odds > 1].log()) == 1.0


@pytest.mark.parametrize("are_pairs", [True, False])
def test_second_judges_are_trained_on_facts_and_nobody_says_anything_of_them(are_pairs):
    labels, wrong, (first, second) = words()
    true = torch.arange(N) % K
    known = torch.from_numpy(np.random.RandomState(3).uniform(size=N) < 0.3)
    in_use = torch.where(known, true, labels)
    facts = Facts(known, in_use, labels, known if are_pairs else torch.zeros_like(known))
    trainer = Scripted(in_use, first, second)
    judgement = judged(trainer, facts)
    assert len(trainer.phases) > 2
    for number, phase in trainer.phases.items():
        learned = labels if number <= 2 else in_use  # the first judges are those of a fit without facts
        assert torch.equal(phase.labels, learned)
        assert torch.equal(phase.objective.labels, learned[phase.judged])
        if phase.objective.kept is not None:
            assert (phase.objective.kept[known[phase.keep]] == 1).all()
    assert torch.equal(judgement.known, known)
    assert (judgement.log_odds[known] == -SUREST).all()
    assert torch.equal(judgement.channel.pi, read(first.double().log(), labels, None, facts).channel.pi)
    of_others = judgement.log_odds[~known]
    assert judgement.rate == pytest.approx(float(torch.sigmoid(of_others).mean()))
    assert ((of_others > 0).numpy() == wrong[~known.numpy()]).mean() > 0.9
    low, high = judgement.interval
    assert low <= wrong[~known.numpy()].mean() <= high
    assert low > 0 or not are_pairs
    constants = torch.from_numpy(np.random.RandomState(4).normal(size=N))
    log_odds, at_least = concluded(judgement, judgement.log_odds, constants, None)
    alone = concluded(replace(judgement, known=None), of_others, constants[~known], None)
    for found, expected in zip((log_odds, at_least), alone, strict=True):
        torch.testing.assert_close(found[~known], expected)
        assert (found[known] <= -SUREST).all()


def test_where_all_labels_are_facts_nobody_is_asked():
    labels, _, (first, second) = words()
    everything = torch.ones(N, dtype=torch.bool)
    trainer = Scripted(labels, first, second)
    judgement = judged(trainer, Facts(everything, labels, labels, everything))
    assert trainer.phases == {}
    assert (judgement.interval, judgement.rate) == ((0.0, 0.0), 0.0)
    assert (judgement.log_odds == -SUREST).all()
    assert spared(trainer, judgement) is trainer


def test_where_no_label_is_found_the_second_judges_are_not_asked():
    labels, _, (first, _) = words(noise=0.0, scale=12.0)
    trainer = Scripted(labels, first, None)
    judgement = judged(trainer)
    assert [*trainer.phases] == [1, 2]
    assert judgement.rate < 0.05
    assert (judgement.log_odds <= LEFT_OUT).all()
    assert judgement.interval[0] == 0.0


def test_weights_are_copies():
    """As the channel has them, and the judges; a weight of two is the sample twice."""
    labels, _, said = words(scale=3.0)
    twice = torch.from_numpy(np.random.RandomState(0).randint(1, 3, size=N))
    keys = torch.arange(N)
    trainer = Scripted(labels, *said, weight=twice.double(), keys=keys)
    ours = judged(trainer)
    for number in (1, 2):
        phase = trainer.phases[number]
        assert torch.equal(phase.objective.weight, twice[phase.judged].double())
    repeated = [part.repeat_interleave(twice, dim=0) for part in (labels, *said, keys)]
    theirs = judged(Scripted(*repeated[:3], keys=repeated[3]))
    torch.testing.assert_close(ours.log_odds.repeat_interleave(twice), theirs.log_odds, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(ours.channel.pi, theirs.channel.pi, rtol=1e-6, atol=1e-9)
    assert ours.rate == pytest.approx(theirs.rate)


@pytest.mark.parametrize("scale", [1e-200, 0.1])
def test_of_weights_below_one_only_the_ratios_count(scale):
    labels, _, said = words(scale=3.0)
    weight = torch.from_numpy(np.random.RandomState(0).uniform(0.5, 2, size=N))
    ours, theirs = (judged(Scripted(labels, *said, weight=w)) for w in (scale * weight, weight / weight.mean()))
    torch.testing.assert_close(ours.log_odds, theirs.log_odds)
    torch.testing.assert_close(copies(scale * weight).mean(), torch.tensor(1.0, dtype=torch.float64))
    assert torch.equal(copies(3 * weight), 3 * weight)
    assert copies(None) is None
    equal = judged(Scripted(labels, *said, weight=torch.full((N,), 0.3).double()))
    torch.testing.assert_close(equal.log_odds, judged(Scripted(labels, *said)).log_odds)


def nothing_is_told(judgement):
    assert not torch.sigmoid(judgement.log_odds).gt(1e-6).any()
    assert (judgement.rate, judgement.interval, judgement.length) == (0.0, (0.0, 1.0), 100)


def test_judges_that_have_learnt_nothing_are_not_heard():
    """Their word goes against the labels, or is the same of all samples."""
    labels, _, (first, second) = words(noise=0.0)
    for wrong in ((1 - first) / (K - 1), torch.full_like(first, 1 / K)):
        trainer = Scripted(labels, wrong, second)
        nothing_is_told(judged(trainer))
        assert [*trainer.phases] == [1, 2]


@pytest.mark.parametrize("keys", [None, torch.tensor([5])])
def test_one_sample_is_not_judged(keys):
    trainer = Scripted(torch.tensor([1]), None, None, keys=keys)
    nothing_is_told(judged(trainer))
    assert not trainer.phases


def test_nor_are_samples_that_are_all_one():
    trainer = Scripted(torch.ones(30, dtype=torch.int64), None, None, keys=torch.zeros(30, dtype=torch.int64))
    nothing_is_told(judged(trainer))
    assert not trainer.phases


def test_a_judge_that_overflows_is_an_error_with_the_cure():
    """On the half that it judges alone: no loss shows it."""

    class Overflowing(nn.Linear):
        def forward(self, x):
            return super().forward(x) if self.training else torch.full((len(x), self.out_features), torch.inf)

    labels = torch.arange(20) % 2
    plan = NetworkClassifier._plan(SimpleNamespace(compile=False), NETWORK_SETTINGS, False)
    trainer = a_trainer(lambda n_outputs: Overflowing(3, n_outputs), torch.randn(20, 3), labels, 2, plan)
    with pytest.raises(FloatingPointError, match=r"NaN or infinite logits.*lower learning_rate"):
        judged(trainer)


NETWORK_SETTINGS = SimpleNamespace(
    max_epochs=2,
    batch_size=8,
    learning_rate=0.01,
    optimizer="adamw",
    momentum=0.9,
    weight_decay=0.0,
    schedule="cosine",
)


# --- fits ---


@pytest.fixture
def phases(monkeypatch):
    """Objectives of the phases that are run, by their number."""
    run, found = Trainer.run, []

    def run_and_keep(self, phase, number=0):
        found.append((number, phase.objective))
        return run(self, phase, number)

    monkeypatch.setattr(Trainer, "run", run_and_keep)
    return found


@pytest.mark.parametrize("variant", ["AC1", "AC2"])
def test_right_labels_are_left_alone(phases, variant):
    """Of classes without overlap: the network is that of plain training from the same seed, bit for bit."""
    y = np.arange(600) % 3
    X = np.random.RandomState(0).normal(size=(600, 4)) + 10.0 * np.eye(3, 4)[y]
    clf = AutoCleansingClassifier(variant=variant, random_state=0).fit(X, y)
    assert [(number, type(objective)) for number, objective in phases] == [(1, Judge), (2, Judge), (0, Spared)]
    plain = BaselineClassifier(random_state=0).fit(X, y)
    np.testing.assert_array_equal(clf.decision_function(X), plain.decision_function(X))
    assert (clf.mislabel_scores_ < LEFT_OUT).all()
    assert clf.noise_rate_ < 0.01
    assert [record["loss"] for record in clf.history_] == [record["loss"] for record in plain.history_]


def test_wrong_labels_are_found_and_the_network_is_spared_them(noisy_digits, phases):
    X, observed, true, X_test, y_test = noisy_digits
    settings = {"max_epochs": 20, "random_state": 0}
    clf = AutoCleansingClassifier(**settings).fit(X, observed)
    wrong, found = observed != true, clf.mislabel_proba_ > 0.5
    assert found[wrong].mean() >= 0.9
    assert found[~wrong].mean() < 0.03
    assert clf.noise_rate_ == pytest.approx(wrong.mean(), abs=0.04)
    assert clf.score(X_test, y_test) > BaselineClassifier(**settings).fit(X, observed).score(X_test, y_test)
    (kept,) = (objective.kept.numpy() == 1 for _, objective in phases if isinstance(objective, Spared))
    np.testing.assert_array_equal(kept, clf.mislabel_scores_ <= LEFT_OUT)
    assert kept[~wrong].mean() > 0.95


def test_a_fit_repeats_and_its_seed_counts(small):
    X, y = small[0], np.where(np.arange(150) % 10 == 0, (small[1] + 1) % 3, small[1])
    fits = [AutoCleansingClassifier(max_epochs=8, random_state=s).fit(X, y) for s in (0, 0, 1)]
    np.testing.assert_array_equal(fits[0].mislabel_scores_, fits[1].mislabel_scores_)
    np.testing.assert_array_equal(fits[0].decision_function(X), fits[1].decision_function(X))
    assert (fits[0].mislabel_scores_ != fits[2].mislabel_scores_).any()


@pytest.mark.parametrize("max_epochs", [1, 2, 7])
@pytest.mark.parametrize(
    "y",
    [
        *([0, 1], [0, 0, 1], [0, 1, 2], [0, 0, 1, 1], [0, 1, 0, 1, 1, 0, 2, 2, 1]),
        *([0] * 20 + [1], [0] * 10 + [1] * 10 + [2], [0] * 10 + [1] * 10 + [2, 2]),
    ],
    ids=str,
)
def test_few_samples_and_rare_classes(y, max_epochs):
    """A class that one half does not have, folds that would be empty: all K outputs and finite numbers."""
    X = np.random.RandomState(0).normal(size=(len(y), 3))
    for seed in range(3):
        clf = AutoCleansingClassifier(max_epochs=max_epochs, batch_size=4, random_state=seed).fit(X, y)
        assert clf.decision_function(X).reshape(len(y), -1).shape[1] == (1 if max(y) == 1 else max(y) + 1)
        assert np.isfinite(clf.decision_function(X)).all()
        assert np.isfinite(clf.mislabel_scores_).all()
        assert ((clf.mislabel_proba_ >= 0) & (clf.mislabel_proba_ <= 1)).all()


def test_of_equal_samples_nothing_is_told(phases):
    """The same sample thirty times, of two labels: each label is one group, and both may fall into one half."""
    X, y = np.ones((30, 2)), np.arange(30) % 2
    judges = set()
    for seed in range(8):
        phases.clear()
        clf = AutoCleansingClassifier(max_epochs=2, random_state=seed, standardize=False).fit(X, y)
        judges.add(len(phases) - 1)
        assert type(phases[-1][1]) is Spared
        assert not (clf.mislabel_proba_ > 0.5).any()
        assert clf.noise_rate_interval_ == (0.0, 1.0)
    assert judges == {0, 2}


def test_a_fit_has_the_weights_of_its_samples(small):
    """Samples of weight 0 take no part; of others that are less than one only the ratios count."""
    X, y = small[0], np.where(np.arange(150) % 8 == 0, (small[1] + 1) % 3, small[1])
    weight = np.random.RandomState(0).uniform(0.2, 1, size=150)
    weight[:10] = 0
    clf = AutoCleansingClassifier(max_epochs=10, batch_size=32, random_state=0, class_weight="balanced")
    fitted = clf.fit(X, y, sample_weight=weight)
    proba = fitted.mislabel_proba_
    alone = AutoCleansingClassifier(**fitted.get_params()).fit(X[10:], y[10:], sample_weight=1e-50 * weight[10:])
    np.testing.assert_allclose(proba[10:], alone.mislabel_proba_, rtol=1e-3, atol=1e-4)
    assert fitted.noise_rate_ == pytest.approx(np.average(proba, weights=weight))


def test_a_network_of_ones_own_that_normalises_by_batches(small):
    X, y = small
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(4, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.2), nn.Linear(16, 3))
    clf = AutoCleansingClassifier(net, random_state=0).fit(X, y)
    plain = BaselineClassifier(backbone=net, random_state=0).fit(X, y)
    assert clf.score(X, y) >= plain.score(X, y) - 0.01
    assert clf.noise_rate_ < 0.03


@pytest.mark.parametrize("n_samples", [2, 3, 4, 5])
def test_a_network_that_normalises_by_batches_is_not_trained_on_one_sample(n_samples):
    """Its error would be torch's, of a batch that no user has made."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(3, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 2))
    X, y = np.random.RandomState(0).normal(size=(n_samples, 3)), np.arange(n_samples) % 2
    for seed in range(5):
        clf = AutoCleansingClassifier(net, max_epochs=2, random_state=seed).fit(X, y)
        assert np.isfinite(clf.mislabel_scores_).all()


@pytest.mark.parametrize("parameters", [{"alpha_lr": 0}, {"alpha_lr": "paper"}, {"preset": "paper", "max_epochs": 3}])
def test_plain_training_and_the_papers_have_no_judges(small, phases, parameters):
    AutoCleansingClassifier(**({"max_epochs": 3, "random_state": 0} | parameters)).fit(*small)
    assert [number for number, _ in phases] == [0]
