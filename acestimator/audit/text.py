"""Text of a file and how it is written: another text in the same way is one call."""

from __future__ import annotations

import codecs
import gzip
import hashlib
import re
import zlib
from bisect import bisect_right
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

_MARKS = (  # the longer ones first: that of UTF-32 begins with that of UTF-16
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_KNOWN = {  # first bytes of what people call .csv and is none
    b"PK\x03\x04": "a zip archive or an Excel workbook",
    b"\xd0\xcf\x11\xe0": "an old Excel workbook",
    b"PAR1": "Parquet: name it .parquet",
    b"ARROW1": "Feather: name it .feather",
    b"\x1f\x8b": "compressed by gzip: name it .csv.gz",
    b"BZh": "compressed by bzip2",
    b"\xfd7zXZ": "compressed by xz",
    b"\x93NUMPY": "an array of numpy: name it .npy",
    b"\x89PNG": "an image",
    b"\xff\xd8\xff": "an image",
    b"%PDF": "a PDF",
}
_LINE_END = re.compile("\r\n|\r|\n")
_CONTROLS = re.compile("[\x01-\x08\x0e-\x19\x1c-\x1f]")
_FEW = 0.01  # share of control characters that a text may have


@dataclass(frozen=True)
class TextFile:
    """A file that was read.

    Parameters
    ----------
    path : Path
    raw : bytes
        All of the file.
    mark : bytes
        Byte order mark that the text begins with, or none.
    encoding : str
        ``mark + text.encode(encoding)`` are the bytes of the text.
    text : str
    """

    path: Path
    raw: bytes
    mark: bytes
    encoding: str
    text: str

    @property
    def fingerprint(self) -> str:
        """Of all bytes of the file, as :class:`acestimator.audit.decisions.SourceInfo` has it."""
        return "sha256:" + hashlib.sha256(self.raw).hexdigest()

    def save(self, text: str, temporary: Path, *, compress: bool) -> None:
        """Write a text as this one is written.

        Raises
        ------
        ValueError
            If a character is not in the encoding.
        """
        is_compressed = self.path.name.lower().endswith(".gz")
        if text == self.text and compress == is_compressed:
            temporary.write_bytes(self.raw)
            return
        try:
            content = self.mark + text.encode(self.encoding)
        except UnicodeEncodeError as error:
            raise ValueError(
                f"{self.path} is written in {self.encoding}, which has no {text[error.start]!r}: take another label, "
                "or save the file in UTF-8 first."
            ) from error
        temporary.write_bytes(gzip.compress(content, mtime=0) if compress else content)

    def line(self, position: int) -> int:
        """Number of the line, from 1, that a position of the text is in."""
        return bisect_right(self._line_ends, position) + 1

    @cached_property
    def _line_ends(self) -> list[int]:
        return [found.end() for found in _LINE_END.finditer(self.text)]


def read_text(path: Path) -> TextFile:
    """Read a text in UTF-8, in UTF-16 or UTF-32 with a byte order mark, or in Windows' or ISO's Latin.

    Raises
    ------
    OSError
        If it cannot be read.
    ValueError
        If it is empty, or no text.
    """
    raw = path.read_bytes()
    content = _decompress(path, raw) if path.name.lower().endswith(".gz") else raw
    if not content.strip():
        raise ValueError(f"{path} is empty, expected a header and rows.")
    if kind := next((kind for start, kind in _KNOWN.items() if content.startswith(start)), None):
        raise ValueError(f"{path} is no text, it is {kind}. Save it as text, separated by commas.")
    mark, encoding = next(((mark, name) for mark, name in _MARKS if content.startswith(mark)), (b"", ""))
    candidates = (encoding,) if encoding else ("utf-8", "cp1252", "latin-1")
    text = None
    for encoding in candidates:  # the last of them takes any bytes
        try:
            text = content[len(mark) :].decode(encoding)
            break
        except UnicodeDecodeError as error:
            why = error
    if text is None:
        raise ValueError(f"{path} begins as {encoding} and goes on as something else ({why}): save it as UTF-8.")
    if "\0" in text or len(_CONTROLS.findall(text)) > _FEW * len(text):
        raise ValueError(f"{path} is no text: it holds zeros or control characters. Save it as text in UTF-8.")
    return TextFile(path, raw, mark, encoding, text)


def _decompress(path: Path, raw: bytes) -> bytes:
    try:
        return gzip.decompress(raw)
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError(f"{path} is no whole file of gzip ({error}).") from error
