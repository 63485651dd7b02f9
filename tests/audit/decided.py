"""Decisions as a reviewer makes them, for the tests of what is done with them."""

from acestimator.audit.decisions import Decision, Decisions, Stratum
from acestimator.audit.sources import DROP, open_source


def decide(source, choices):
    """Decisions of some rows: "keep", "unsure", DROP, or ("relabel", text)."""
    digests = source.digests()
    decisions = []
    for row, choice in choices.items():
        label = choice[1] if isinstance(choice, tuple) else None
        word = "drop" if choice is DROP else choice[0] if isinstance(choice, tuple) else choice
        name = None if source.ids is None else source.ids[row]
        decisions.append(Decision(row, name, digests[row], source.labels[row], word, label))
    return Decisions(source.info, tuple(source.classes), tuple(decisions), (Stratum(0.0, 0.5, 3, 2),))


def opened(path, content, **options):
    """A source of what is written to a file."""
    path.write_bytes(content)
    return open_source(path, **options)


def left(folder):
    """Names of all that is in a folder, hidden files too."""
    return sorted(path.name for path in folder.iterdir())
