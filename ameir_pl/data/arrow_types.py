"""Arrow's types that Polars does not take over: brought to ones that it does, with the same values."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc


def known_types(table: pa.Table) -> pa.Table:
    """Return a table with its rare types as plain ones.

    Extensions become what they are stored as (UUIDs text), run-length and dictionary encodings their values, views of
    lists lists, decimals of more than 38 digits and intervals text. Nested values with such a type inside become
    nested values without: they are refused by name later.
    """
    for i, column in enumerate(table.schema):
        kind = column.type
        if not _is_rare(kind):
            continue
        whole = table.column(i).combine_chunks()
        table = table.set_column(i, column.name, _plain(whole, kind))
    return table


def _plain(values: pa.Array, kind: pa.DataType) -> pa.Array:
    if isinstance(values, pa.ChunkedArray):
        values = pa.concat_arrays(values.chunks) if values.num_chunks else pa.array([], kind)
    if isinstance(kind, pa.UuidType):
        return pa.array([None if value is None else str(value) for value in values.to_pylist()], pa.string())
    if isinstance(kind, pa.Bool8Type):
        return pc.cast(values.storage, pa.bool_())
    if isinstance(kind, pa.BaseExtensionType):
        return _plain(values.storage, kind.storage_type)
    if pa.types.is_run_end_encoded(kind):
        return _plain(pc.run_end_decode(values), kind.value_type)
    if pa.types.is_dictionary(kind) and _is_rare(kind):
        return _plain(values.dictionary_decode(), kind.value_type)
    if not _is_rare(kind):
        return values
    if pa.types.is_decimal256(kind) or pa.types.is_interval(kind):
        return pa.array([None if value is None else _text(value) for value in values.to_pylist()], pa.string())
    if _is_list(kind) and not pa.types.is_nested(kind.value_type):
        given = pa.array(values.to_pylist(), pa.list_(kind.value_type))
        inner = _plain(given.flatten(), kind.value_type)
        lengths = pc.fill_null(pc.list_value_length(given), 0).to_pylist()
        offsets = [0]
        for value, length in zip(given.is_valid().to_pylist(), lengths, strict=True):
            offsets.append(offsets[-1] + (length if value else 0))
        mask = pa.array([not there for there in given.is_valid().to_pylist()])
        return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), inner, mask=mask)
    return pa.array([{"": None}] * len(values), pa.struct([("", pa.null())]))


def _is_list(kind: pa.DataType) -> bool:
    tests = (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list, pa.types.is_list_view,
             pa.types.is_large_list_view)
    return any(test(kind) for test in tests)


def _is_rare(kind: pa.DataType) -> bool:
    """Whether Polars does not take a type over, or something in it."""
    if isinstance(kind, pa.BaseExtensionType) or pa.types.is_decimal256(kind) or pa.types.is_interval(kind) \
            or pa.types.is_run_end_encoded(kind) or pa.types.is_union(kind) or pa.types.is_list_view(kind) \
            or pa.types.is_large_list_view(kind):
        return True
    if pa.types.is_dictionary(kind):
        return _is_rare(kind.value_type)
    if pa.types.is_nested(kind):
        return any(_is_rare(kind.field(i).type) for i in range(kind.num_fields))
    return False


def _text(value: object) -> str:
    if isinstance(value, tuple):  # an interval
        parts = zip(value, ("months", "days", "ns"), strict=True)
        return " ".join(f"{number} {unit}" for number, unit in parts if number)
    text = format(value, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text
