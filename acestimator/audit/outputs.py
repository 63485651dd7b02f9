"""Files of an audit, each of them whole or not there at all.

Legend: N rows.
"""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

import numpy as np

from acestimator.audit.decisions import Decision
from acestimator.audit.judge import Findings
from acestimator.audit.records import requote
from acestimator.audit.summary import FORMAT

PAGE, ISSUES, SUMMARY, TASKS = "review.html", "label_issues.csv", "summary.json", "labelstudio.json"
_PACKAGES = ("acestimator", "torch", "scikit-learn", "numpy", "pandas", "skrub", "pillow")
COLUMNS = (
    *("row", "name", "id", "given_label", "suggested_label", "mislabel_probability", "sure", "label_quality"),
    *("decision", "digest"),
)


@contextmanager
def folder(out: Path) -> Iterator[None]:
    """Make a folder that an audit may write to, before anything is read; take it away again if nothing was written.

    Raises
    ------
    FileExistsError
        If it is a file, or holds a file of one of our names that no audit has written.
    OSError
        If nothing can be written there.
    """
    if os.path.lexists(out) and not os.path.isdir(out):
        raise FileExistsError(f"{out} is a file, expected a folder to write to: give another one by --out.")
    ours = [name for name in (PAGE, ISSUES, SUMMARY, TASKS) if os.path.lexists(out / name)]
    if ours and not _is_audit(out):
        raise FileExistsError(
            f"{out} holds {', '.join(ours)}, which no audit has written: give another folder by --out."
        )
    made: list[Path] = []
    try:
        try:
            for path in reversed((out, *out.parents)):
                if not path.is_dir():
                    path.mkdir()
                    made.append(path)
            with TemporaryFile(dir=out) as trial:  # a full disk is better known now than when all is computed
                trial.write(bytes(1 << 16))
        except OSError as error:
            raise _unwritable(out, error) from error
        yield
    finally:
        with suppress(OSError):  # something is in it
            for path in reversed(made):
                path.rmdir()


def _unwritable(out: Path, error: OSError) -> OSError:
    return type(error)(f"nothing can be written to {out} ({error.strerror}): give another folder by --out.")


def _is_audit(out: Path) -> bool:
    try:
        content = json.loads((out / SUMMARY).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(content, dict) and content.get("format") == FORMAT


def write_files(out: Path, contents: Mapping[str, str]) -> list[Path]:
    """Write texts to files of a folder. All are on the disk before the first gets its name.

    Parameters
    ----------
    out : Path
    contents : mapping of str to str
        Texts by names of files, in the order of writing.

    Returns
    -------
    list of Path
        Of the files, in that order.

    Raises
    ------
    OSError
        If nothing can be written there.
    """
    written = []
    try:
        for name, text in contents.items():
            temporary = out / f".{name}.{os.getpid()}.part"
            written.append((temporary, out / name))
            with temporary.open("w", encoding="utf-8", newline="") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
        for temporary, target in reversed(written):  # the summary first: by it the folder is known as an audit's
            os.replace(temporary, target)
    except OSError as error:
        raise _unwritable(out, error) from error
    finally:
        for temporary, _ in written:
            temporary.unlink(missing_ok=True)
    return [target for _, target in written]


def versions() -> dict[str, str]:
    """Versions of what an audit depends on, by name."""
    found = {"python": platform.python_version()}
    for name in _PACKAGES:
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


def issues_csv(
    findings: Findings, names: list[str], ids: list[str] | None, digests: list[str], decided: Mapping[int, Decision]
) -> str:
    """Table of all N rows, in their order."""
    table: list[tuple[Any, ...]] = [COLUMNS]
    classes = (*findings.classes, "")  # -1 is the last: no label
    for row in range(len(names)):
        decision = decided.get(row)
        table.append(
            (
                *(row, names[row], "" if ids is None else ids[row]),
                *(classes[findings.given[row]], classes[findings.suggested[row]]),
                *(_number(findings.probability[row]), int(findings.sure[row]), _number(findings.quality[row])),
                *("" if decision is None else decision.decision, digests[row]),
            )
        )
    # The csv module leaves a lone CR without quotes, where no reader takes it for a part of a label
    return "".join(",".join(requote("", str(cell), ",") for cell in row) + "\n" for row in table)


def tasks_json(findings: Findings, data: Mapping[int, Mapping[str, Any]], model: str) -> str:
    """Suspects as tasks of Label Studio, with the suggestion as pre-annotation.

    Parameters
    ----------
    findings : Findings
    data : mapping of int to mapping
        Row, and what Label Studio is to show of it, under "text" or "image".
    model : str
        Name and version of what suggests.

    Returns
    -------
    str
        JSON by https://labelstud.io/guide/predictions, for a setup with ``<Choices name="label">`` of an object that is
        called "text" or "image".
    """
    tasks: list[dict[str, Any]] = []
    for row, shown in data.items():
        suggested, probability = int(findings.suggested[row]), float(findings.probability[row])
        result = {
            "from_name": "label",
            "to_name": "image" if "image" in shown else "text",
            "type": "choices",
            "value": {"choices": [findings.classes[suggested]]},
        }
        given = findings.classes[findings.given[row]] if findings.given[row] >= 0 else None
        score = round(probability, 6)
        tasks.append(
            {
                "data": dict(shown) | {"row": row, "given_label": given, "mislabel_probability": score},
                "predictions": [{"model_version": model, "score": score, "result": [result]}],
            }
        )
    return json.dumps(tasks, ensure_ascii=False, indent=1) + "\n"


def _number(value: np.floating) -> str:
    return "" if np.isnan(value) else f"{value:.6g}"
