"""Write patients.csv: measurements of 569 tumours, a tenth of the diagnoses changed, and gaps put in."""

import numpy as np
from sklearn.datasets import load_breast_cancer

from acestimator.noise import corrupt, symmetric

frame = load_breast_cancer(as_frame=True).frame
right = frame.pop("target").map({0: "malignant", 1: "benign"}).rename("diagnosis")
codes, names = right.factorize()
rng = np.random.default_rng(0)

frame = frame.mask(rng.random(frame.shape) < 0.05)  # one cell of twenty is empty
frame.insert(0, "patient", [f"P-{number:04d}" for number in rng.permutation(9000)[: len(frame)] + 1000])
frame["visited"] = [f"2023-{month:02d}-{day:02d}" for month, day in rng.integers(1, (13, 29), (len(frame), 2))]
frame["diagnosis"] = names[corrupt(codes, symmetric(2, 0.1), random_state=0)]
frame.to_csv("patients.csv", index=False)
right.to_csv("patients_right.csv", index=False)  # to see in the end what was gained
