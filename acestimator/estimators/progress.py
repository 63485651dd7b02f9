"""Progress bar of a fit."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from acestimator.phases import Phase

OnEpoch = Callable[[Phase, dict[str, Any]], None]


@contextmanager
def progress(verbose: int, max_epochs: int) -> Iterator[OnEpoch | None]:
    """Yield a function of a phase and an epoch's record, empty at its beginning, that moves a bar; None if not verbose.

    It is one bar for all phases. Judges stop when they have learnt enough, so its length is what is left at most, and
    is known better with each phase.
    """
    if not verbose:
        yield None
        return
    from tqdm.auto import tqdm

    with tqdm(total=max_epochs, unit="epoch") as bar:

        def on_epoch(phase: Phase, record: dict[str, Any]) -> None:
            if not record:
                bar.total = bar.n + (phase.left or max_epochs)
                bar.set_description(phase.name)
                return
            shown = {name: f"{record[name]:.3f}" for name in ("loss", "noise_rate") if name in record}
            bar.set_postfix(shown, refresh=False)
            bar.update()

        yield on_epoch
