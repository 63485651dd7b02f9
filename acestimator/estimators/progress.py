"""Progress bar of a fit."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

OnEpoch = Callable[[dict[str, Any]], None]


@contextmanager
def progress(verbose: int, max_epochs: int) -> Iterator[OnEpoch | None]:
    """Yield a function of an epoch's record that moves a bar showing loss and noise rate; None if not verbose."""
    if not verbose:
        yield None
        return
    from tqdm.auto import tqdm

    with tqdm(total=max_epochs, unit="epoch") as bar:

        def on_epoch(record: dict[str, Any]) -> None:
            if record.get("epoch") == 1:  # of the next phase: judges, and the network that predicts
                bar.reset(total=max_epochs)
            shown = {name: f"{record[name]:.3f}" for name in ("loss", "noise_rate") if name in record}
            bar.set_postfix(shown, refresh=False)
            bar.update()

        yield on_epoch
