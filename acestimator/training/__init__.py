"""Algorithm 1: one loop over any network and any objective, and what a training consists of."""

from acestimator.training.loop import train
from acestimator.training.plan import BatchOrder, Schedule, TrainingPlan, batch_sizes
from acestimator.training.predict import predict_logits

__all__ = ["BatchOrder", "Schedule", "TrainingPlan", "batch_sizes", "predict_logits", "train"]
