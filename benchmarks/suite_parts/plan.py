"""Which cells there are: of the full suite, of the quick one, and the seeds that a mean needs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from acestimator.comparison import Cell, Comparison
from acestimator.comparison.runs import CLEANLAB, DEFAULT, ORACLE, PLAIN
from suite_parts.numbers import seeds_needed
from suite_parts.rows import n_test
from suite_parts.sets import BOTH, CHOOSING, HELD_OUT, MAIN, METHODS, SETS, DataSet

ALL = "all"
_ORACLE_SEEDS = 3  # where all labels are right: what can be told of a set hardly depends on the split

# Processes, methods and seeds of the quick suite. Its cells are some of the full one's.
QUICK: dict[str, tuple[Sequence[str], Sequence[str], int]] = {
    "iris": (MAIN, METHODS, 2),
    "vehicle": (MAIN, METHODS, 2),
    "contraceptive": (MAIN, METHODS, 2),
    "breast_cancer": (MAIN, METHODS, 2),
    "digits": ((*MAIN, "instance_40", "outside_20"), METHODS, 2),
    "fifteen": (MAIN, METHODS, 2),
    "debian_topics": (MAIN, METHODS, 1),
    "embedding_100": (MAIN, METHODS, 1),
    "cifar_features": (("none", "human_aggregate", "human_random1"), BOTH, 1),
    "rare_2": (("none",), (PLAIN, ORACLE, DEFAULT), 5),
    "half_plane:linear": (("none",), BOTH, 2),
    "half_plane:dropout_1e-2": (("none",), BOTH, 2),
    "digits:rate_1e-4": (("none",), BOTH, 2),
    "digits:batch_512": (("none",), BOTH, 2),
}


def choose(group: str = CHOOSING, names: Iterable[str] | None = None) -> list[DataSet]:
    """The sets of a group, or those of them that are named.

    Raises
    ------
    ValueError
        If there is no such set, or it is not of the group.
    """
    of_group = {name: data for name, data in SETS.items() if group in (data.group, ALL)}
    if names is None:
        return list(of_group.values())
    for name in names:
        if name not in SETS:
            raise ValueError(f"set is {name!r}, expected one of {', '.join(map(repr, of_group))}.")
        if name not in of_group:
            raise ValueError(
                f"{name!r} is of the group {SETS[name].group!r}, and {group!r} was asked for: give --groups "
                f"{SETS[name].group} if you mean to run it. What is held out must not be chosen on."
            )
    return [SETS[name] for name in dict.fromkeys(names)]


def plan(
    sets: Iterable[DataSet],
    *,
    processes: Sequence[str] | None = None,
    methods: Sequence[str] | None = None,
    n_seeds: int | None = None,
    quick: bool = False,
) -> list[Cell]:
    """All cells to be run, seed by seed.

    Parameters
    ----------
    sets : iterable of DataSet
    processes, methods : sequence of str, optional
        In place of what a set prescribes, as far as it can have these processes.
    n_seeds : int, optional
        In place of the sets' own numbers.
    quick : bool
        Leave out all but the cells of the quick suite.

    Returns
    -------
    list of Cell
    """
    found: dict[Cell, None] = {}
    for data in sets:
        if quick and data.name not in QUICK:
            continue
        own = QUICK[data.name] if quick else (data.processes, data.methods, data.n_seeds)
        for process in processes or own[0]:
            if not _can_have(data, process):
                continue
            for method in methods or own[1]:
                for seed in range(_seeds(data, process, method, n_seeds or own[2])):
                    found[Cell(data.name, process, seed, method)] = None
    return sorted(found, key=lambda cell: cell.seed)


def _can_have(data: DataSet, process: str) -> bool:
    if process.startswith("human"):
        return process in data.processes
    return data.n_classes > 2 or process.rpartition("_")[0] not in ("pair", "outside")


def _seeds(data: DataSet, process: str, method: str, n_seeds: int) -> int:
    if method == CLEANLAB:
        return min(n_seeds, data.n_cleanlab)
    return min(n_seeds, _ORACLE_SEEDS) if (method, process) == (ORACLE, "none") else n_seeds


def more_cells(comparison: Comparison, cells: Iterable[Cell]) -> list[Cell]:
    """Cells of plain training and the default that would settle how far apart they are in a setting.

    They bring the standard error of the difference to .35 points. Where the default is more than a point below plain
    training, half a point with right labels, there are as many as may be: three seeds can hardly make a test of
    a hundred cells significant.

    Parameters
    ----------
    comparison : Comparison
        Of what was run.
    cells : iterable of Cell
        Of the plan: settings that are in none of them are let alone.

    Returns
    -------
    list of Cell
        Some are new; empty where all is settled.
    """
    added = []
    for setting in dict.fromkeys((cell.dataset, cell.process) for cell in cells):
        difference = comparison.difference("accuracy", DEFAULT, PLAIN, setting)
        n, most = len(difference), SETS[setting[0]].most_seeds
        wanted = seeds_needed(difference, most, n_test(comparison, setting))
        if n and difference.mean() < -(0.005 if setting[1] == "none" else 0.01):
            wanted = max(wanted, min(most, 2 * n))
        if wanted > n:
            added += [Cell(*setting, seed, method) for seed in range(wanted) for method in BOTH]
    return sorted(added, key=lambda cell: cell.seed)


def group_of(name: str) -> str:
    """Group of a set; of one that the suite does not have any more, the first."""
    return SETS[name].group if name in SETS else CHOOSING


GROUPS = (CHOOSING, HELD_OUT, ALL)
