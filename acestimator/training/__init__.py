"""Algorithm 1: one loop over any network and any objective, and what a training consists of."""

from acestimator.training.loop import BatchOrder, Schedule, TrainingPlan, batch_sizes, predict_logits, train

__all__ = ["BatchOrder", "Schedule", "TrainingPlan", "batch_sizes", "predict_logits", "train"]
