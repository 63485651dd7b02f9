"""Write functions.csv: what functions of SciPy do, and the part that each is from; a tenth of the parts changed."""

import re
from importlib import import_module

import pandas as pd

from acestimator.noise import corrupt, symmetric

PARTS = ("integrate", "interpolate", "linalg", "ndimage", "optimize", "signal", "sparse", "spatial", "special", "stats")

rows = []
for part in PARTS:
    module = import_module(f"scipy.{part}")
    for name in module.__all__:
        doc = getattr(module, name).__doc__ or ""
        text = re.split(r"\n *\w[\w ]*\n *---", doc)[0]  # what stands above "Parameters"
        text = " ".join(re.sub(r"(?m)^ *\w+\(.*", "", text).split()[:80])  # without lines of calls
        if len(text.split()) > 4:
            rows.append((name, text, part))

frame = pd.DataFrame(rows, columns=["function", "description", "part"]).drop_duplicates("description")
frame = frame.sample(frac=1, random_state=0)
codes, names = pd.factorize(frame["part"])
frame["part"] = names[corrupt(codes, symmetric(len(names), 0.1), random_state=0)]
frame.to_csv("functions.csv", index=False)
pd.Series(names[codes], name="part").to_csv("functions_right.csv", index=False)
