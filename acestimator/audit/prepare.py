"""From columns as people have them to numbers: skrub reads numbers, categories and dates, tf-idf reads texts.

Legend: N rows.
"""

from __future__ import annotations

from typing import Any

from sklearn.compose import ColumnTransformer
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer

from acestimator.audit.columns import Columns

_TOPICS = 200  # of texts that stand beside other columns


def preparation(columns: Columns, n_rows: int, seed: int) -> ColumnTransformer:
    """Transformer of a frame to what the estimator takes.

    Texts alone become tf-idf, sparse. Beside other columns they become the leading 200 singular vectors of that.

    Parameters
    ----------
    columns : Columns
    n_rows : int
        N, which bounds the number of singular vectors.
    seed : int
        Of the singular vectors.

    Raises
    ------
    ImportError
        If skrub is missing.
    """
    words = make_pipeline(FunctionTransformer(join_texts), TfidfVectorizer())
    if not columns.features:
        parts = [("texts", words, list(columns.texts))]
    else:
        parts = [("table", _table(), list(columns.features))]
        if columns.texts:
            topics = Topics(min(_TOPICS, max(1, n_rows // 10)), random_state=seed)
            parts.append(("texts", make_pipeline(words, topics), list(columns.texts)))
    return ColumnTransformer(parts, sparse_threshold=1.0, verbose_feature_names_out=False)


class Topics(TruncatedSVD):
    """Leading singular vectors: as many as asked for, or as there are words."""

    n_components: int

    def fit_transform(self, X: Any, y: Any = None) -> Any:
        """Coordinates of the samples X (N, number of words)."""
        self.n_components = min(self.n_components, X.shape[1])
        return super().fit_transform(X, y)


def join_texts(frame: Any) -> list[str]:
    """One text a row, by lines; a gap is an empty line."""
    columns = [frame.iloc[:, j].fillna("").astype(str) for j in range(frame.shape[1])]
    return ["\n".join(parts) for parts in zip(*columns, strict=True)]


def _table() -> Pipeline:
    try:
        from skrub import TableVectorizer
    except ImportError as error:
        raise ImportError(f'{error}: tables are read by skrub, pip install "acestimator[audit]".') from error
    # Gaps are told from values: who leaves a question open often has a reason.
    return make_pipeline(TableVectorizer(), SimpleImputer(add_indicator=True, keep_empty_features=True))
