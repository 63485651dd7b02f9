"""A table of texts as a figure, as wide and as high as its texts need."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.text import Text

_POINTS = 8
_LINE, _GAP, _PAD = 0.14, 0.06, 0.06  # inches: height of a line, between rows, and on both sides of a text
_TITLE = 0.4  # inches above


def draw_table(header: list[str], rows: list[list[str]], colors: Sequence[Sequence[str]]) -> tuple[Figure, Axes]:
    """Draw a table on a new figure, with room for a title.

    Parameters
    ----------
    header : list of str
        The last one is over all columns that are left.
    rows : list of list of str
        Lines of a text end in a line feed. A row may be shorter than another.
    colors : sequence of sequence of str
        Of the header's texts, and of those of each row.

    Returns
    -------
    figure : matplotlib.figure.Figure
    ax : matplotlib.axes.Axes
    """
    import matplotlib.pyplot as plt
    from matplotlib.transforms import Bbox

    n_columns = max(len(header), *map(len, rows)) if rows else len(header)
    texts = [[*row, *[""] * (n_columns - len(row))] for row in (header, *rows)]
    figure, ax = plt.subplots(layout="constrained")
    ax.set_axis_off()
    table = ax.table(texts, cellLoc="left", bbox=Bbox.unit(), edges="horizontal")
    table.auto_set_font_size(False)
    cells = table.get_celld()
    for (i, j), cell in cells.items():
        color = colors[i][j] if j < len(colors[i]) else "0"
        cell.get_text().set(fontsize=_POINTS, parse_math=False, color=color)
    measured = [[_inches(cells[i, j].get_text()) for j in range(n_columns)] for i in range(len(texts))]
    width = _widths(measured, len(header))
    height = [_GAP + _LINE * (1 + max(text.count("\n") for text in row)) for row in texts]
    for (i, j), cell in cells.items():
        cell.set(width=width[j], height=height[i], linewidth=0.4, edgecolor="0.8")
        cell.PAD = _PAD / width[j]
    figure.set_size_inches(sum(width), sum(height) + _TITLE)
    return figure, ax


def _inches(text: Text) -> float:
    """Width of a drawn text."""
    return float(text.get_window_extent().width / text.figure.dpi) if text.get_text() and text.figure else 0.0


def _widths(measured: list[list[float]], n_headed: int) -> list[float]:
    """Of each column, in which the header's last text may reach over all that are left."""
    last = n_headed - 1
    columns = [list(column) for column in zip(*measured, strict=True)]
    title, columns[last][0] = columns[last][0], 0.0
    width = [2 * _PAD + max(column) for column in columns]
    width[-1] += max(0.0, 2 * _PAD + title - sum(width[last:]))
    return width
