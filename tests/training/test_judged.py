"""Trainings that their objective stops, and samples that it is shown at the end of every epoch."""

import pytest
import torch
from by_hand import a_trainer
from torch import nn

from acestimator.inputs.preprocessing import Preprocessing
from acestimator.inputs.samples import TensorSamples
from acestimator.objectives import CrossEntropy
from acestimator.objectives.judge import Judge
from acestimator.phases import Phase
from acestimator.training import TrainingPlan, train
from acestimator.training.checkpoint import Checkpoint

K = 3
PLAN = TrainingPlan(max_epochs=8, batch_size=8, learning_rate=0.05, optimizer="adamw", momentum=0.9, weight_decay=1e-2)
KEPT, JUDGED = torch.arange(30), torch.arange(30, 50)


def data():
    """Features that say nothing of the labels, so that judges soon stop."""
    generator = torch.Generator().manual_seed(0)
    return torch.randn(50, 4, generator=generator), torch.randint(K, (50,), generator=generator)


def make(n_outputs):
    return nn.Sequential(nn.Linear(4, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.3), nn.Linear(16, n_outputs))


def run(objective, checkpoint=None, **options):
    """The phase of an objective: its network and its history."""
    features, labels = data()
    trainer = a_trainer(make, features, labels, K, PLAN, draws=True, checkpoint=checkpoint)
    return trainer.run(Phase(objective, keep=KEPT, **options))


class StoppedAfter(CrossEntropy):
    """Stops itself, by the hook at the end of an epoch."""

    state = ("stopped",)

    def __init__(self, epochs):
        self.epochs = epochs

    def start(self, training):
        super().start(training)
        self.stopped = False

    def end_epoch(self, epoch):
        self.stopped = epoch + 1 >= self.epochs
        return {}


@pytest.mark.parametrize("epochs", [1, 5, 8, 100])
def test_a_training_that_its_objective_stops_is_the_beginning_of_a_whole_one(epochs):
    (network, history), (_, whole) = run(StoppedAfter(epochs)), run(CrossEntropy())
    assert [record["loss"] for record in history] == [record["loss"] for record in whole][:epochs]
    again = run(StoppedAfter(epochs))[0].state_dict()
    assert all(torch.equal(tensor, again[name]) for name, tensor in network.state_dict().items())


def test_the_judged_samples_are_those_of_the_phase_in_their_order():
    seen = []

    class Asked(CrossEntropy):
        def judge(self, epoch, logits):
            seen.append((epoch, logits))

    order = JUDGED.flip(0)
    network, history = run(Asked(), judged=order)
    assert [epoch for epoch, _ in seen] == list(range(8)) == [record["epoch"] - 1 for record in history]
    with torch.no_grad():
        torch.testing.assert_close(seen[-1][1], network.eval()(data()[0][order]))


def test_an_objective_that_cannot_judge_says_so():
    with pytest.raises(NotImplementedError, match="CrossEntropy must define judge to have samples judged"):
        run(CrossEntropy(), judged=JUDGED)


def judge():
    return Judge(data()[1][JUDGED])


class StoppedError(Exception):
    """A fit is stopped from outside."""


def test_a_judge_goes_on_from_every_epoch_and_not_beyond_its_end(tmp_path, monkeypatch):
    """Bit for bit; what had stopped early is not trained any further."""
    whole = judge()
    network, history = run(whole, judged=JUDGED)
    assert len(history) < PLAN.max_epochs
    save = Checkpoint.save
    for stop in range(1, len(history) + 1):
        path, written = tmp_path / str(stop), []

        def save_and_stop(self, phase, state, stop=stop, written=written):
            save(self, phase, state)
            written.append(state)
            if state is not None and len(state["history"]) == stop:
                raise StoppedError

        with monkeypatch.context() as patches:
            patches.setattr(Checkpoint, "save", save_and_stop)
            stopped = Checkpoint(path, {}, seconds=0.0)
            with pytest.raises(StoppedError):
                run(judge(), stopped, judged=JUDGED)
            stopped.close()
        resumed, trained = judge(), []
        resumed.begin_block = lambda block, trained=trained: trained.append(block.epoch)
        theirs, records = run(resumed, Checkpoint(path, {}, seconds=0.0), judged=JUDGED)
        assert sorted(set(trained)) == list(range(stop, len(history)))
        assert all(torch.equal(tensor, theirs.state_dict()[name]) for name, tensor in network.state_dict().items())
        assert [record["loss"] for record in records] == [record["loss"] for record in history]
        assert resumed.words.keys() == whole.words.keys()
        assert all(torch.equal(word, whole.words[length]) for length, word in resumed.words.items())
        assert resumed.log_likelihoods == whole.log_likelihoods
        assert resumed.stopped


def test_the_end_of_a_judge_is_written_at_once(tmp_path):
    """However little time has gone by since the last write."""
    checkpoint = Checkpoint(tmp_path / "fit.pt", {}, seconds=1e9)
    _, history = run(judge(), checkpoint, judged=JUDGED)
    checkpoint.close()
    state = Checkpoint(tmp_path / "fit.pt", {}).state(0)
    assert len(state["history"]) == len(history) < PLAN.max_epochs
    assert state["objective"]["stopped"]


def test_a_network_has_an_output_for_a_class_that_is_not_among_its_samples():
    features, _ = data()
    labels = torch.arange(50) % 2
    samples = TensorSamples(features[:5], Preprocessing(torch.device("cpu")))
    asked = Judge(torch.full((5,), 2), length=2)
    train(make(K), asked, features, labels, PLAN, n_classes=K, generator=torch.Generator(), judged=samples)
    assert asked.word(2).shape == (5, K)
    assert (asked.word(2)[:, 2].exp() < 1 / K).all()
