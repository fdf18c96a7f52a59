"""Parquet in the Hugging Face layout: `img` or `image` as struct{bytes, path}, integer `label`."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from lowtide.data.decode import Encoded, decode_all
from lowtide.data.sources import RawData, RawImages
from lowtide.errors import DataError
from lowtide.params import DataParams


def load_parquet(params: DataParams) -> RawData:
    assert params.path is not None
    train, names = _load(params.path, params)
    test = _load(params.test_path, params)[0] if params.test_path else None
    highest = int(train.labels.max()) + 1 if len(train.labels) else 0
    return RawData(train, test, names or tuple(str(label) for label in range(highest)))


def _load(path: Path, params: DataParams) -> tuple[RawImages, tuple[str, ...] | None]:
    import pyarrow
    from pyarrow import parquet

    files = sorted(path.glob("*.parquet")) if path.is_dir() else [path]
    if not files:
        raise DataError(f"no .parquet files in {path}")
    try:
        table = pyarrow.concat_tables([parquet.read_table(file) for file in files])
    except (pyarrow.ArrowException, OSError) as error:
        raise DataError(f"{path} cannot be read as parquet: {error}") from None
    column = next((name for name in ("img", "image") if name in table.column_names), None)
    if column is None or "label" not in table.column_names:
        raise DataError(
            f"{path} needs columns `img` or `image` and `label`; it has "
            f"{', '.join(table.column_names)}"
        )
    encoded = _encoded(table[column], path, column)
    names = [f"{path} row {row}" for row in range(len(encoded))]
    images = decode_all(encoded, names, _labels(table["label"], path), params)
    return images, _class_names(table.schema.metadata)


def _encoded(column: Any, path: Path, name: str) -> list[Encoded]:
    """The bytes of each image; none where a row has no image: an unreadable one."""
    from pyarrow import types

    kind = column.type
    index = kind.get_field_index("bytes") if types.is_struct(kind) else -1
    if index < 0 or not _is_bytes(kind.field(index).type):
        raise DataError(f"{path}: `{name}` holds {kind}, expected struct<bytes: binary, ...>")
    return [(item or {}).get("bytes") or b"" for item in column.to_pylist()]


def _is_bytes(kind: Any) -> bool:
    from pyarrow import types

    return bool(types.is_binary(kind) or types.is_large_binary(kind))


def _labels(column: Any, path: Path) -> np.ndarray:
    labels: np.ndarray = column.to_numpy()
    if not np.issubdtype(labels.dtype, np.integer):
        raise DataError(f"{path}: `label` holds {labels.dtype}, expected integers without gaps")
    return labels.astype(np.int64)


def _class_names(metadata: dict[bytes, bytes] | None) -> tuple[str, ...] | None:
    """From the `huggingface` entry of the schema, where there is one."""
    if not metadata or b"huggingface" not in metadata:
        return None
    features = json.loads(metadata[b"huggingface"]).get("info", {}).get("features", {})
    names = features.get("label", {}).get("names")
    return tuple(names) if names else None
