"""Count the right labels of tables or class folders: ``python count_right.py RIGHT.csv COPY ...``."""

import sys
from pathlib import Path

import pandas as pd


def labels(path):
    """Labels by what names their rows: the number of the row, or the name of the image."""
    if path.is_dir():
        return pd.Series({image.name: image.parent.name for image in sorted(path.glob("*/*"))})
    return pd.read_csv(path).iloc[:, -1]


right, *copies = map(Path, sys.argv[1:])
truth = pd.read_csv(right)
truth = truth.set_index("file")["label"] if "file" in truth else truth.iloc[:, -1]
for copy in copies:
    found = labels(copy)
    print(f"{copy}: {(found == truth[found.index]).sum()} of {len(found)} labels are right")
