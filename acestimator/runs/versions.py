"""What results were measured with."""

from __future__ import annotations

import platform
from functools import cache
from importlib.metadata import PackageNotFoundError, version


@cache
def versions(*others: str) -> str:
    """Python's version, and those of the packages that matter, and of others, where they are installed."""
    found = [f"Python {platform.python_version()}"]
    for name in ("torch", "numpy", "scikit-learn", "cleanlab", *others):
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            continue
    return ", ".join(found)
