"""What a plan takes, and what it refuses."""

import numpy as np
import pytest

from acestimator.training import TrainingPlan, batch_sizes
from acestimator.training.plan import check_schedule

SETTINGS = {
    "max_epochs": 6,
    "batch_size": 8,
    "learning_rate": 0.1,
    "optimizer": "sgd",
    "momentum": 0.9,
    "weight_decay": 1e-3,
}


@pytest.mark.parametrize("kind", [np.int8, np.uint8, np.int32, np.uint64])
def test_counts_may_be_any_integers(kind):
    plan = TrainingPlan(**SETTINGS | {"max_epochs": kind(6), "batch_size": kind(8)})
    assert plan == TrainingPlan(**SETTINGS)
    assert type(plan.max_epochs) is type(plan.batch_size) is int
    assert batch_sizes(1000, kind(8)) == [8] * 125  # more samples than such an integer can count
    assert all(type(size) is int for size in batch_sizes(1000, kind(8)))


@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64])
def test_rates_may_be_any_numbers(kind):
    given = {"learning_rate": kind(0.5), "momentum": kind(0.25), "weight_decay": kind(0.125)}
    plan = TrainingPlan(**SETTINGS | given | {"schedule": (kind(1.5), np.int16(3))})
    expected = {"learning_rate": 0.5, "momentum": 0.25, "weight_decay": 0.125, "schedule": (1.5, 3.0)}
    assert plan == TrainingPlan(**SETTINGS | expected)
    assert {type(number) for number in (plan.learning_rate, plan.momentum, *plan.schedule)} == {float}
    assert [plan.lr_scale(step, 12) for step in range(12)] == [1.0] * 3 + [0.1] * 3 + [0.1**2] * 6


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"batch_size": True}, "batch_size is True, expected an integer of at least 1"),
        ({"batch_size": 0}, "batch_size is 0, expected an integer of at least 1"),
        ({"max_epochs": 2.0}, "max_epochs is 2.0, expected an integer of at least 1"),
        ({"max_epochs": np.bool_(True)}, "max_epochs is .*True.*, expected an integer"),
        ({"momentum": 1.5}, "momentum is 1.5, expected a number from 0 to below 1"),
        ({"momentum": float("nan")}, "momentum is nan"),
        ({"learning_rate": float("inf")}, "learning_rate is inf, expected a finite number >= 0"),
        ({"weight_decay": -1.0}, "weight_decay is -1.0, expected a finite number >= 0"),
        ({"optimizer": "adam"}, "optimizer is 'adam', expected 'adamw' or 'sgd'"),
        ({"schedule": (3, 1)}, r"schedule is \(3, 1\), expected 'cosine' or rising numbers of epochs"),
    ],
)
def test_what_is_out_of_range_is_refused(changed, message):
    with pytest.raises(ValueError, match=message):
        TrainingPlan(**SETTINGS | changed)


@pytest.mark.parametrize("schedule", ["cosine", None, (150, 225), [1.5], (), (0, np.float32(2.5), np.int8(7))])
def test_schedules_are_rising_numbers(schedule):
    check_schedule(schedule)


@pytest.mark.parametrize(
    "schedule",
    [
        "linear",
        3,
        (True,),
        (np.bool_(True), 2),
        (2, 2),
        (3, 1),
        (-1,),
        (float("nan"),),
        (float("inf"),),
        ("1",),
        {1, 2},
    ],
)
def test_what_is_no_schedule_is_refused(schedule):
    with pytest.raises(ValueError, match="expected 'cosine' or rising numbers of epochs"):
        check_schedule(schedule)
