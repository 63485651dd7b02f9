"""Parquet and Feather: a corrected copy has the same schema, with its metadata; of Parquet, the same codec.

Legend: N rows.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from acestimator.audit.contents import as_labels, check_ids, find_columns
from acestimator.audit.decisions import SourceInfo, row_digest
from acestimator.audit.source import DROP, Drop, TableSource, suffix
from acestimator.audit.values import by_label, flat, text_of

_GAP = b"\xff"  # of a digest: no text has these bytes


class ArrowSource(TableSource):
    """A file of columns.

    Parameters
    ----------
    path : Path
        ``.parquet`` or ``.feather``.
    label, id
        As of :class:`acestimator.audit.csv_source.CsvSource`. Labels are texts, categories, numbers or truth values.

    Raises
    ------
    ImportError
        If pyarrow is missing.
    OSError
        If it cannot be read.
    ValueError
        If it holds something else: what.
    """

    def __init__(self, path: Path, label: str | None, id: str | None = None) -> None:
        raw = path.read_bytes()
        self.table, self._codecs = _read(path, raw)
        columns = [str(name) for name in self.table.column_names]
        self._at, at_id = find_columns(path, label, id, columns)
        values = self._values(path, self._at)
        if odd := {type(value).__name__ for value in values} & {"list", "dict", "tuple"}:
            raise ValueError(f"{path}, column {columns[self._at]!r}, holds a {odd.pop()} a row, expected a label.")
        labels = as_labels([text_of(value) for value in values])
        ids, id_name = None, None
        if at_id is not None:
            id_name = columns[at_id]
            texts = [text_of(value) for value in self._values(path, at_id)]
            ids = check_ids(path, id_name, texts, lambda row: f"row {row}")
        fingerprint = "sha256:" + hashlib.sha256(raw).hexdigest()
        super().__init__(
            path, SourceInfo(path.name, "table", fingerprint, columns[self._at], id_name, len(labels)), labels, ids
        )

    def _values(self, path: Path, position: int) -> list[Any]:
        """Values (N,) of a column, or ValueError where Python has no such dates or texts."""
        try:
            return list(self.table.column(position).to_pylist())
        except (OverflowError, ValueError, SystemError) as error:
            name = self.table.column_names[position]
            raise ValueError(
                f"{path}, column {name!r}, holds values that cannot be read ({error}): give it another type, or take "
                "it out of the file."
            ) from error

    def digests(self) -> list[str]:
        return self._digests

    @cached_property
    def _digests(self) -> list[str]:
        rest = [position for position in range(self.table.num_columns) if position != self._at]
        parts = [[_part(value) for value in self._values(self.path, position)] for position in rest]
        return [row_digest(row) for row in zip(*parts, strict=True)]

    def frame(self) -> object:
        import pyarrow as pa

        rest = self.table
        for position, field in enumerate(rest.schema):
            if pa.types.is_nested(field.type) or "binary" in str(field.type):
                texts = [None if value is None else str(flat(value)) for value in self._values(self.path, position)]
                rest = rest.set_column(position, field.name, pa.array(texts, pa.string()))
        rest = rest.remove_column(self._at)
        try:
            # Without the metadata, a column that pandas has made of an index is a column
            return rest.to_pandas(ignore_metadata=True)
        except (pa.ArrowException, ValueError, OverflowError) as error:
            raise ValueError(
                f"{self.path} has a column of a type that pandas has not ({error}): take it out of the file."
            ) from error

    def _save(self, changes: Mapping[int, str | Drop], temporary: Path, target: Path, *, move: bool) -> list[str]:
        raw = self.path.read_bytes()
        if self.info.fingerprint != "sha256:" + hashlib.sha256(raw).hexdigest():
            raise ValueError(f"{self.path} was changed since it was opened: begin again.")
        labels = {row: str(label) for row, label in changes.items() if label is not DROP}
        labels = {row: label for row, label in labels.items() if label != self.labels[row]}
        dropped = [row for row, label in changes.items() if label is DROP]
        if not labels and not dropped:
            temporary.write_bytes(raw)
            return []
        field = self.table.schema.field(self._at)
        column = relabelled(self.table.column(self._at), labels, self.path)
        table = self.table.set_column(self._at, field, column)
        self._write(without(table, dropped), temporary)
        return []

    def _write(self, table: Any, temporary: Path) -> None:
        if suffix(self.path) == ".parquet":
            import pyarrow.parquet as pq

            pq.write_table(table, temporary, **self._codecs)
        else:
            import pyarrow.feather as feather

            feather.write_feather(table, str(temporary), **self._codecs)


def without(table: Any, rows: Sequence[int]) -> Any:
    """A table without some rows, which are sorted. Columns may be of types that pyarrow cannot filter."""
    if not rows:
        return table
    import pyarrow as pa

    starts, stops = [0, *(row + 1 for row in rows)], [*rows, table.num_rows]
    parts = [table.slice(start, stop - start) for start, stop in zip(starts, stops, strict=True)]
    return pa.concat_tables(parts).combine_chunks()


def relabelled(column: Any, labels: Mapping[int, str], path: Path) -> Any:
    """A column with other values in some rows, of the same type.

    Parameters
    ----------
    column : pyarrow.ChunkedArray of length N
    labels : mapping of int to str
        Rows, and texts of their new labels.
    path : Path
        For errors.

    Raises
    ------
    ValueError
        If a text cannot be a value of that type.
    """
    import pyarrow as pa

    is_category = pa.types.is_dictionary(column.type)
    value_type = column.type.value_type if is_category else column.type
    values = column.to_pylist()
    known = by_label(values)
    new = {text: known[text] if text in known else _cast(text, value_type, path) for text in {*labels.values()}}
    if not is_category:
        for row, text in labels.items():
            values[row] = new[text]
        return pa.chunked_array([pa.array(values, type=column.type)])
    return pa.chunked_array([_recoded(column, {row: new[text] for row, text in labels.items()}, path)])


def _recoded(column: Any, values: Mapping[int, Any], path: Path) -> Any:
    """Categories with other values in some rows; new ones come after the old ones, whose order stays."""
    import pyarrow as pa

    n_codes = 2 ** (column.type.index_type.bit_width - pa.types.is_signed_integer(column.type.index_type))
    try:
        array = column.unify_dictionaries().combine_chunks()
        array = array.chunk(0) if isinstance(array, pa.ChunkedArray) else array
        categories, codes = array.dictionary.to_pylist(), array.indices.to_pylist()
        at = {value: code for code, value in enumerate(categories)}
        for row, value in values.items():
            if value not in at:
                at[value] = len(categories)
                categories.append(value)
            codes[row] = at[value]
        indices = pa.array(codes, type=column.type.index_type)
    except (pa.ArrowInvalid, OverflowError) as error:
        raise ValueError(f"{path}: its labels cannot have more than {n_codes} categories ({error}).") from error
    dictionary = pa.array(categories, type=column.type.value_type)
    return pa.DictionaryArray.from_arrays(indices, dictionary, ordered=column.type.ordered)


def _cast(text: str, value_type: Any, path: Path) -> Any:
    import pyarrow as pa

    try:
        value = pa.scalar(text, pa.string()).cast(value_type).as_py()
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        value = None
    if text_of(value) != text:
        raise ValueError(f"the new label {text!r} cannot be one of {path}, whose labels are of the type {value_type}.")
    return value


def _read(path: Path, raw: bytes) -> tuple[Any, dict[str, Any]]:
    """Table, and what its writer has to be told."""
    try:
        import pyarrow as pa
        import pyarrow.feather as feather
        import pyarrow.parquet as pq
    except ImportError as error:
        raise ImportError(f'{error}: {path} is read by pyarrow, pip install "acestimator[audit]".') from error
    if not raw:
        raise ValueError(f"{path} is empty, expected a table.")
    try:
        if suffix(path) == ".feather":
            return feather.read_table(io.BytesIO(raw)), {}
        file = pq.ParquetFile(io.BytesIO(raw))
        return file.read(), _codecs(file.metadata)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, OSError) as error:
        raise ValueError(f"{path} is no whole {suffix(path)[1:].capitalize()} file ({error}).") from error


def _codecs(metadata: Any) -> dict[str, Any]:
    """How a Parquet file was compressed, and how many rows a group of it has."""
    if not metadata.num_row_groups:
        return {}
    group = metadata.row_group(0)
    columns = [group.column(j) for j in range(group.num_columns)]
    codecs = {column.path_in_schema: column.compression for column in columns}
    codec = {name: "NONE" if codec == "UNCOMPRESSED" else codec for name, codec in codecs.items()}
    return {"compression": codec, "row_group_size": max(1, group.num_rows), "version": metadata.format_version}


def _part(value: Any) -> bytes:
    return _GAP if value is None else str(value).encode("utf-8", "surrogatepass")
