"""Which columns of a table are samples' features: what numbers the rows, or repeats the label, is left out and named.

Legend: N rows.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from acestimator.audit.contents import find_column

_PROSE = 4.0  # words, on average, from which on a column is read as text
_TOKEN = 40  # characters: longer values are no names of rows
_MOSTLY = 0.95  # share of distinct values, from which on a column of single words names the rows
_WORD = re.compile(r"\b\w\w+\b")  # what scikit-learn's TfidfVectorizer takes for one
_FEWEST = 20  # rows, below which distinct values are no evidence of anything


@dataclass(frozen=True)
class Columns:
    """What a table's columns are used for.

    Parameters
    ----------
    features : tuple of str
        Numbers, categories, dates.
    texts : tuple of str
    left_out : tuple of (str, str)
        Name and reason.
    """

    features: tuple[str, ...]
    texts: tuple[str, ...]
    left_out: tuple[tuple[str, str], ...]


def choose_columns(
    path: Path,
    frame: Any,
    labels: np.ndarray,
    *,
    texts: Sequence[str] = (),
    drop: Sequence[str] = (),
    id_column: str | None = None,
) -> Columns:
    """Sort the columns by what they hold.

    Parameters
    ----------
    path : Path
        Of the table, for errors.
    frame : pandas.DataFrame of N rows
        All columns but the label.
    labels : ndarray of object, shape (N,)
        Texts, or None.
    texts : sequence of str
        Columns to read as text; if there are none, those that look so.
    drop : sequence of str
        Columns to leave out.
    id_column : str, optional
        Column that names the rows.

    Returns
    -------
    Columns

    Raises
    ------
    ValueError
        If a column is named that is not there, or named twice, or none is left, or one cannot be learned from.
    """
    names = [str(name) for name in frame.columns]
    texts = [names[find_column(path, name, names, "--text")] for name in texts]
    drop = [names[find_column(path, name, names, "--drop")] for name in drop]
    both = set(texts) & set(drop)
    if both:
        raise ValueError(f"column {sorted(both)[0]!r} is named by --text and by --drop: name it once.")
    left_out, features, prose = [], [], []
    for position, name in enumerate(names):
        values = frame.iloc[:, position]
        reason = "it names the rows" if name == id_column else "as asked" if name in drop else None
        if reason is None and name not in texts:
            reason = why_left_out(name, values, labels)
        if reason is not None:
            left_out.append((name, reason))
        elif name in texts or (not texts and is_prose(values)):
            if not _has_words(values.dropna()):
                raise ValueError(f"{path}, column {name!r}, holds no words of two letters: leave it out of --text.")
            prose.append(name)
        else:
            _check_finite(path, name, values)
            features.append(name)
    if not (features or prose):
        reasons = "; ".join(f"{name!r}: {reason}" for name, reason in left_out)
        raise ValueError(f"{path}: no column is left to learn from. Left out are {reasons}.")
    return Columns(tuple(features), tuple(prose), tuple(left_out))


def why_left_out(name: str, values: Any, labels: np.ndarray) -> str | None:
    """Reason to leave out a column that nobody spoke of, or None."""
    known = values.dropna()
    n_distinct = known.nunique()
    if n_distinct == 0:
        return "it is empty"
    if n_distinct == 1 and len(known) == len(values):
        return "all its values are the same"
    if _is_index(name, values):
        return "it numbers the rows"
    if len(known) == n_distinct and _is_run(known):
        return "it numbers the rows"
    if len(known) >= _FEWEST and n_distinct >= _MOSTLY * len(known) and _is_token(known):
        return "almost every row has another value, as names and numbers of rows have"
    if repeats_label(values, labels):
        return "it is the label in other words: each of its values goes with one label, and each label with one of them"
    return None


def repeats_label(values: Any, labels: np.ndarray) -> bool:
    """Whether a column and the labels are one to one, with no row against it.

    A column that tells the right label is welcome: it disagrees where the given one is wrong. One that agrees with all
    labels was made from them, mistakes and all, and would hide every mistake.
    """
    given = np.array([label is not None for label in labels])
    codes = _codes(values)[given]
    if not len(codes):
        return False
    _, label_codes = np.unique(labels[given].astype(str), return_inverse=True)
    pairs = np.unique(np.stack([codes, label_codes]), axis=1)  # (2, number of pairs)
    n_labels = len(np.unique(label_codes))
    return n_labels > 1 and pairs.shape[1] == n_labels == len(np.unique(codes))


def is_prose(values: Any) -> bool:
    """Whether a column holds text of several words, most rows another."""
    known = values.dropna()
    if not len(known) or not _holds_text(known):
        return False
    sample = known if len(known) <= 1000 else known.sample(1000, random_state=0)
    n_words = np.mean([len(str(text).split()) for text in sample])
    return bool(n_words >= _PROSE and sample.nunique() > 0.5 * len(sample) and _has_words(sample))


def _has_words(values: Any) -> bool:
    return any(_WORD.search(str(text)) for text in values)


def _check_finite(path: Path, name: str, values: Any) -> None:
    if values.dtype.kind == "f" and (values.abs() > np.finfo(np.float32).max).any():
        raise ValueError(
            f"{path}, column {name!r}, holds infinity, or numbers above 3e38: correct it, or leave it out by --drop."
        )


def _is_index(name: str, values: Any) -> bool:
    unnamed = name.strip() == "" or name.startswith("Unnamed:") or name.lower() in ("index", "__index_level_0__")
    return unnamed and values.notna().all() and _is_run(values)


def _is_run(values: Any) -> bool:
    """Whether values are whole numbers, one after the other without a gap."""
    if len(values) < _FEWEST or (values.dtype.kind not in "iu" and str(values.dtype) not in ("Int64", "UInt64")):
        return False
    numbers = values.to_numpy(dtype=np.int64)
    return bool((np.diff(np.sort(numbers)) == 1).all())


def _is_token(values: Any) -> bool:
    """Whether values are single words, such as C-0042 or a UUID; dates and decimals are none."""
    if not _holds_text(values):
        return False
    texts = values.astype(str)
    if (texts.str.contains(r"\s") | (texts.str.len() > _TOKEN)).mean() > 1 - _MOSTLY:
        return False
    import pandas as pd

    return bool(
        pd.to_numeric(texts, errors="coerce").isna().mean() > 0.5
        and pd.to_datetime(texts, errors="coerce", format="mixed").isna().mean() > 0.5
    )


def _holds_text(values: Any) -> bool:
    import pandas as pd

    return bool(pd.api.types.is_string_dtype(values) or pd.api.types.is_object_dtype(values))


def _codes(values: Any) -> np.ndarray:
    """Number of each value; a gap is a value, too."""
    import pandas as pd

    return pd.factorize(values, use_na_sentinel=True)[0]
