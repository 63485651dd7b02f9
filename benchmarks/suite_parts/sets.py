"""All data sets of the suite: how each is loaded, in which group it is, and what is run on it."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, replace

from acestimator.comparison.runs import CLEANLAB, DEFAULT, ORACLE, PLAIN
from acestimator.comparison.tasks import Split
from suite_parts import generated, networks, pictures, tables, texts
from suite_parts.sources import Sources

CHOOSING, HELD_OUT = "choosing", "held_out"
MAIN = ("none", "symmetric_20", "symmetric_40", "pair_30")
MORE = ("symmetric_10", "class_40", "instance_40", "outside_20")
LARGE = ("none", "symmetric_20", "symmetric_40")
METHODS = (PLAIN, ORACLE, "elr", CLEANLAB, DEFAULT)
MORE_METHODS = ("sop", "gce", "trimmed")
BOTH = (PLAIN, DEFAULT)


@dataclass(frozen=True)
class DataSet:
    """A data set.

    Parameters
    ----------
    name : str
    n_classes : int
    read : callable
        Seed and sources to the split.
    group : {"choosing", "held_out"}
        What the default may be chosen on, and what it must not be chosen on.
    kind : str
        "table", "text", "image", "embedding", "scaling"; or what is judged on its own, "rare" and "setting".
    processes : tuple of str
        Of label noise, as :func:`acestimator.comparison.make_task` takes them.
    methods : tuple of str
    n_seeds, most_seeds : int
        At first, and where more are added.
    n_cleanlab : int
        Seeds of cleanlab, which trains six networks.
    setting : str
        One of :data:`suite_parts.networks.SETTINGS`, or "".
    epochs : int, optional
        Of all methods, in place of the default.
    """

    name: str
    n_classes: int
    read: Callable[[int, Sources], Split]
    group: str = CHOOSING
    kind: str = "table"
    processes: tuple[str, ...] = MAIN
    methods: tuple[str, ...] = METHODS
    n_seeds: int = 3
    most_seeds: int = 20
    n_cleanlab: int = 3
    setting: str = ""
    epochs: int | None = None


def _six(data: DataSet) -> DataSet:
    """With all kinds of noise and all methods."""
    processes = (*MAIN, *MORE)
    if data.n_classes == 2:
        # With two classes no class can be held out; and one that is mistaken more often than not is the other one.
        processes = tuple(p for p in processes if p not in ("class_40", "outside_20"))
    return replace(data, processes=processes, methods=(*METHODS, *MORE_METHODS))


def _table(name: str, n_classes: int, group: str = CHOOSING, *, gaps: bool = False) -> DataSet:
    return DataSet(name, n_classes, functools.partial(tables.table, name, gaps=gaps), group)


def _shipped(name: str, n_classes: int) -> DataSet:
    return DataSet(name, n_classes, functools.partial(tables.shipped, name))


def _blobs(n_classes: int, n_train: int) -> DataSet:
    return DataSet(
        f"blobs_{n_classes}_of_{n_train}",
        n_classes,
        functools.partial(generated.blobs, n_classes, n_train),
        kind="scaling",
        processes=MAIN if n_train <= 3000 else LARGE,
        n_cleanlab=3 if n_train <= 3000 else 1,
    )


def _setting(data: DataSet, setting: str) -> DataSet:
    """The set of that setting: the default against plain training, which has the same setting."""
    name = f"{data.name}:{setting}"
    return replace(data, name=name, kind="setting", setting=setting, processes=("none", "symmetric_20"), methods=BOTH)


_HALF_PLANE = DataSet("half_plane", 2, generated.half_plane)
_SETS = (
    _table("contraceptive", 3),
    _table("german", 2),
    _table("pima", 2, gaps=True),
    _six(_table("segment", 7)),
    _six(_table("splice", 3)),
    _six(_table("vehicle", 4, gaps=True)),
    _six(_shipped("digits", 10)),
    _shipped("wine", 3),
    _shipped("iris", 3),
    _six(_shipped("breast_cancer", 2)),
    DataSet("eleven", 11, functools.partial(generated.many_classes, 11, 484, 2.1)),
    DataSet("fifteen", 15, functools.partial(generated.many_classes, 15, 252, 1.7)),
    _six(DataSet("fashion_10000", 10, functools.partial(pictures.fashion, 10_000), kind="image", n_cleanlab=1)),
    DataSet(
        "cifar_features",
        10,
        pictures.cifar_features,
        kind="embedding",
        processes=("none", "human_aggregate", "human_random1", "symmetric_20"),
        n_cleanlab=1,
    ),
    DataSet(
        "cifar_images",
        10,
        pictures.cifar_images,
        kind="image",
        processes=("none", "human_random1"),
        most_seeds=5,
        n_cleanlab=1,
        epochs=16,
    ),
    DataSet("debian_topics", 31, texts.debian_topics, kind="text", n_cleanlab=1),
    DataSet("debian_words", 31, texts.debian_words, kind="text", n_cleanlab=1),
    DataSet("embedding_10", 10, functools.partial(generated.embedding, 10, 4.8), kind="embedding", n_cleanlab=1),
    DataSet("embedding_100", 100, functools.partial(generated.embedding, 100, 3.2), kind="embedding", n_cleanlab=1),
    *(
        DataSet(
            f"rare_{percent}",
            2,
            functools.partial(generated.rare, percent),
            kind="rare",
            processes=("none",),
            methods=(PLAIN, ORACLE, DEFAULT),
            n_seeds=20,
        )
        for percent in (1, 2, 5)
    ),
    *(_blobs(k, n) for k in (2, 10) for n in (100, 300, 1000, 3000, 10_000, 50_000)),
    *(_blobs(k, 3000) for k in (30, 100)),
    *(_setting(data, name) for data in (_shipped("digits", 10), _HALF_PLANE) for name in networks.SETTINGS),
    _table("australian", 2, HELD_OUT),
    _table("crx", 2, HELD_OUT),
    _table("mammographic", 2, HELD_OUT),
    _table("mushroom", 2, HELD_OUT),
    _table("phoneme", 2, HELD_OUT),
    _table("spambase", 2, HELD_OUT),
    _table("wisconsin", 2, HELD_OUT),
    DataSet("docstrings", 12, texts.docstrings_topics, HELD_OUT, "text", n_cleanlab=1),
    DataSet("fashion_features", 10, pictures.fashion_features, HELD_OUT, "embedding", n_cleanlab=1),
)
SETS = {data.name: data for data in _SETS}


@functools.lru_cache(maxsize=2)
def load(name: str, seed: int, sources: Sources) -> Split:
    """A set's rows, by its name; labels are 0..K-1. The last ones are kept: many cells in a row are of one split.

    Raises
    ------
    MissingError
        If its files are not there.
    """
    return SETS[name].read(seed, sources)
