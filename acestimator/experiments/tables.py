"""The paper's tables as data: which training stands in which cell, and what the paper has there.

Accuracies in percent on the test set, after the last epoch.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Run:
    """One kind of training.

    Parameters
    ----------
    dataset, network : str
        Of a recipe: see :func:`acestimator.recipes.find`.
    augment : str
        As :func:`acestimator.augment.pipeline` takes it.
    method : {"cross_entropy", "AC1", "AC2", "aum", "trimmed"}
        "trimmed" drops AC1's suspects by Algorithm 2, and trains by cross-entropy on the others (Figure 3).
    percent : float
        Of the training samples that "trimmed" drops.
    """

    dataset: str
    network: str
    augment: str
    method: str
    percent: float = 0.0


@dataclass(frozen=True)
class Entry:
    """A cell of a table.

    Parameters
    ----------
    row, column : str
    run : Run
    paper : tuple of float, or None
        The paper's accuracy, followed by the top-5 accuracy on ImageNet; None where it has a curve and no number.
    error : float or None
        As the paper has it behind its plus-minus sign.
    """

    row: str
    column: str
    run: Run
    paper: tuple[float, ...] | None
    error: float | None = None


@dataclass(frozen=True)
class Table:
    """A table.

    Parameters
    ----------
    title : str
    columns : tuple of str
    entries : tuple of Entry
    """

    title: str
    columns: tuple[str, ...]
    entries: tuple[Entry, ...]

    @property
    def rows(self) -> list[str]:
        """In the paper's order."""
        return list(dict.fromkeys(entry.row for entry in self.entries))


# Column to augmentation and method. The values of all columns but AC1's and AC2's are quoted in the paper, from the
# authors of the augmentations and of AUM.
_COLUMNS = {
    "Baseline": ("baseline", "cross_entropy"),
    "Cutout": ("cutout", "cross_entropy"),
    "AA": ("autoaugment", "cross_entropy"),
    "FAA": ("fast_autoaugment", "cross_entropy"),
    "PBA": ("pba", "cross_entropy"),
    "AUM": ("baseline", "aum"),
    "AC1": ("baseline", "AC1"),
    "AC1+AA": ("autoaugment", "AC1"),
    "AC2+AA": ("autoaugment", "AC2"),
}

# A row: data set, network, the values of the columns (None for a dash), and the errors of the last of them.
_Values = tuple[float | tuple[float, ...] | None, ...]
_Rows = tuple[tuple[str, str, _Values, _Values], ...]
_AUGMENTATIONS = ("Baseline", "Cutout", "AA", "FAA", "PBA", "AC1+AA")

_TABLE_2: _Rows = (
    ("cifar10", "wide_resnet_40_2", (94.70, 95.90, 96.30, 96.30, None, 96.56), (0.11,)),
    ("cifar10", "wide_resnet_28_10", (96.13, 96.92, 97.32, 97.30, 97.42, 97.53), (0.08,)),
    ("cifar10", "shake_shake_26_2x32d", (96.45, 96.98, 97.53, 97.50, 97.46, 97.60), (0.07,)),
    ("cifar10", "shake_shake_26_2x96d", (97.14, 97.44, 98.01, 98.00, 97.97, 98.12), (0.11,)),
    ("cifar10", "shake_shake_26_2x112d", (97.18, 97.43, 98.11, 98.10, 97.97, 98.27), (0.05,)),
    ("cifar10", "pyramidnet_272_a200_shakedrop", (97.33, 97.69, 98.52, 98.30, 98.54, 98.59), (0.05,)),
)
_TABLE_3: _Rows = (
    ("cifar100", "wide_resnet_40_2", (74.00, 74.80, 79.30, 79.40, None, 79.94), (0.20,)),
    ("cifar100", "wide_resnet_28_10", (81.20, 81.59, 82.91, 82.70, 83.27, 84.07), (0.18,)),
    ("cifar100", "shake_shake_26_2x96d", (82.95, 84.00, 85.72, 85.40, 84.69, 86.19), (0.12,)),
    ("cifar100", "pyramidnet_272_a200_shakedrop", (86.01, 87.81, 89.33, 88.30, 89.06, 89.40), (0.11,)),
)
_TABLE_4: _Rows = (("svhn", "wide_resnet_28_10", (98.50, 98.70, 98.93, 98.90, 98.82, 98.96), ()),)
_TABLE_5: _Rows = (("imagenet", "resnet50", ((75.30, 92.20), (77.63, 93.82), (77.60, 93.70), (77.71, 93.58)), ()),)
_TABLE_6: _Rows = (
    ("cifar10", "resnet32", (91.9, 92.1, 92.75), (0.06,)),
    ("cifar100", "resnet32", (67.0, 68.2, 69.13), (0.24,)),
)
_TABLE_8: _Rows = (
    ("cifar10", "wide_resnet_40_2", (96.30, 96.56, 96.54), (0.11, 0.11)),
    ("cifar10", "wide_resnet_28_10", (97.32, 97.53, 97.48), (0.08, 0.06)),
    ("cifar100", "wide_resnet_40_2", (79.30, 79.94, 79.86), (0.20, 0.19)),
    ("cifar100", "wide_resnet_28_10", (82.91, 84.07, 84.12), (0.18, 0.17)),
)
DROPPED = tuple(tenths / 10 for tenths in range(11))  # percent, Figure 3


def _table(title: str, columns: tuple[str, ...], rows: _Rows) -> Table:
    entries = []
    for dataset, network, values, errors in rows:
        known = dict(zip(reversed(columns), reversed(errors), strict=False))
        for column, value in zip(columns, values, strict=True):
            if value is not None:
                paper = value if isinstance(value, tuple) else (value,)
                run = Run(dataset, network, *_COLUMNS[column])
                entries.append(Entry(f"{dataset} {network}", column, run, paper, known.get(column)))  # type: ignore[arg-type]
    return Table(title, columns, tuple(entries))


def _figure_3() -> Table:
    columns = (*(f"{percent:.1f} % dropped" for percent in DROPPED), "AC1+AA")
    entries = []
    for dataset, network, (_, value, _), (error, _) in (_TABLE_8[0], _TABLE_8[2]):
        row = f"{dataset} {network}"
        for percent, column in zip(DROPPED, columns, strict=False):
            method = "trimmed" if percent else "cross_entropy"
            entries.append(Entry(row, column, Run(dataset, network, "autoaugment", method, percent), None))
        run = Run(dataset, network, "autoaugment", "AC1")
        entries.append(Entry(row, columns[-1], run, (value,), error))  # type: ignore[arg-type]
    return Table("Figure 3: trained without the first suspects, against AutoCleansing", columns, tuple(entries))


TABLES = {
    "table2": _table("Table 2: test accuracy (%) on CIFAR-10", _AUGMENTATIONS, _TABLE_2),
    "table3": _table("Table 3: test accuracy (%) on CIFAR-100", _AUGMENTATIONS, _TABLE_3),
    "table4": _table("Table 4: test accuracy (%) on SVHN", _AUGMENTATIONS, _TABLE_4),
    "table5": _table(
        "Table 5: top-1 and top-5 test accuracy (%) on ImageNet", ("Baseline", "AA", "FAA", "AC2+AA"), _TABLE_5
    ),
    "table6": _table("Table 6: AutoCleansing and the area under the margin", ("Baseline", "AUM", "AC1"), _TABLE_6),
    "table8": _table(
        "Table 8: constants for all categories, and for the label alone", ("AA", "AC1+AA", "AC2+AA"), _TABLE_8
    ),
    "figure3": _figure_3(),
}
