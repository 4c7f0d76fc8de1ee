"""Makes sources of Parquet tables with a column of image files."""

import itertools
import json

from absl import logging

from keras_isd.compat.optional_imports import needs_extra
from keras_isd.data.sources.function import RowNames, find_part, from_function
from keras_isd.data.sources.image_source import GIBIBYTE
from keras_isd.data.sources.patterns import expand_patterns
from keras_isd.data.sources.recent_items import RecentItems


def from_parquet(files, image="image", label=None, group=None, class_names=None, **options):
    """Makes a source of Parquet tables that hold image files (extra `[parquet]`).

    A row group of a table is read as a whole, its images alone, and the last ones are kept, up to
    1 GiB. With larger tables write small row groups, such as of 100 images: in a random order of
    rows, most images cost the reading of a row group.

    Args:
        files: path of a local table, pattern such as `"train-*.parquet"`, or list of these.
        image: str, the column of images: bytes, or structures with `bytes`, as Hugging Face writes
            them. Defaults to `"image"`.
        label: str, the column of labels, integers or class names, empty if unknown; or None.
            Defaults to None.
        group: str, the column of groups, such as plates or patients; or None. Defaults to None.
        class_names: list of str, the classes in the order of their labels; None for those that
            Hugging Face stores in the table, if any, or the names among the labels. Defaults to
            None.
        **options: `on_error`, `channels`, `dtype` and `decode`, see `from_folder`.

    Returns:
        An `ImageSource`, whose names are such as `train.parquet[7]`.

    Raises:
        ImportError: if the extra is not installed.
        ValueError: if there is no table, or a column is missing or of another type.

    Example:

    >>> import pathlib, tempfile
    >>> import pyarrow as pa, pyarrow.parquet as pq
    >>> from PIL import Image
    >>> png = keras_isd.data.sources.contents.to_contents(Image.new("RGB", (9, 8)))
    >>> file = pathlib.Path(tempfile.mkdtemp(), "train.parquet")
    >>> pq.write_table(pa.table({"image": [png, png], "kind": ["cat", None]}), file)
    >>> source = keras_isd.data.from_parquet(file, label="kind")
    >>> source[1].shape, source.labels.tolist(), source.class_names
    ((8, 9, 3), [0, -1], ['cat'])
    """
    with needs_extra("parquet"):
        import pyarrow.parquet as pq
    paths = expand_patterns("files", files)
    _check_columns(paths, {"image": image, "label": label, "group": group})
    if class_names is None and label is not None:
        class_names = _stored_class_names(pq.read_schema(paths[0]), label)
    images = ParquetImages(paths, image)
    if images.largest > GIBIBYTE:
        logging.warning(
            "A row group has %.1f GiB of images, and is read as a whole, up to once for each "
            "image: write tables with row groups of about 100 images",
            images.largest / GIBIBYTE,
        )
    return from_function(
        images,
        len(images.names),
        label and _read_column(paths, label),
        class_names,
        groups=group and [*map(str, _read_column(paths, group))],
        names=images.names,
        **options,
    )


def find_image_column(path):
    """The first column of a Parquet table that holds image files; None if it has none."""
    with needs_extra("parquet"):
        import pyarrow.parquet as pq

    schema = pq.read_schema(path)
    return next((field.name for field in schema if _is_image(field.type)), None)


def list_columns(path):
    """The names of the columns of a Parquet table."""
    import pyarrow.parquet as pq

    return pq.read_schema(path).names


class ParquetImages:
    """Reads image files from tables, by row groups that are kept in memory.

    Args:
        paths: list of str.
        column: str.
        max_bytes: int, memory of all row groups. Defaults to 1 GiB.

    Attributes:
        names: `RowNames` of all images.
        largest: int, the decompressed bytes of images in the largest row group.
    """

    def __init__(self, paths, column, max_bytes=GIBIBYTE):
        import pyarrow.parquet as pq

        self._arguments = paths, column, max_bytes
        self._paths, self._column = paths, column
        self._ends, counts = [], []  # of the row groups of each table; and the rows of each
        self.largest = 0
        for path in paths:
            about = pq.read_metadata(path)
            groups = [about.row_group(number) for number in range(about.num_row_groups)]
            self._ends.append([*itertools.accumulate(group.num_rows for group in groups)])
            counts.append(about.num_rows)
            self.largest = max([self.largest, *(_column_bytes(g, column) for g in groups)])
        self.names = RowNames(paths, counts)
        self._recent = RecentItems(self._load, lambda images: images.nbytes, max_bytes)

    def __call__(self, row):
        number, row = self.names.find(row)
        group, row = find_part(self._ends[number], row)
        return self._recent((number, group))[row].as_py()

    def _load(self, key):
        """The images of a row group."""
        import pyarrow.parquet as pq

        number, group = key
        with pq.ParquetFile(self._paths[number]) as file:
            return file.read_row_group(group, [self._column])[self._column]

    def __reduce__(self):
        return ParquetImages, self._arguments


def _is_image(kind):
    """Whether a type of a column is that of image files: bytes, or structures with them."""
    import pyarrow.types as types

    if types.is_struct(kind):
        return kind.get_field_index("bytes") >= 0 and _is_image(kind.field("bytes").type)
    return types.is_binary(kind) or types.is_large_binary(kind)


def _check_columns(paths, columns):
    """Raises a ValueError unless all tables have the columns, and images in that of images."""
    import pyarrow.parquet as pq

    for path in paths:
        try:
            schema = pq.read_schema(path)
        except Exception as error:
            raise ValueError(
                f"Argument `files` must be Parquet tables. Received: {path}: {error}"
            ) from error
        for argument, column in columns.items():
            if column is not None and column not in schema.names:
                raise ValueError(
                    f"Argument `{argument}` must name a column. "
                    f"Received: {column}, and {path} has {', '.join(schema.names)}"
                )
        kind = schema.field(columns["image"]).type
        if not _is_image(kind):
            raise ValueError(
                "Argument `image` must name a column of bytes, or of structures with `bytes`. "
                f"Received: {columns['image']} of {kind} in {path}"
            )


def _column_bytes(group, column):
    """The decompressed bytes of a column, with those of its fields, in a row group."""
    parts = map(group.column, range(group.num_columns))
    return sum(
        part.total_uncompressed_size
        for part in parts
        if part.path_in_schema.split(".")[0] == column
    )


def _read_column(paths, column):
    import pyarrow.parquet as pq

    return [
        value
        for path in paths
        for value in pq.read_table(path, columns=[column])[column].to_pylist()
    ]


def _stored_class_names(schema, column):
    """The names of the classes that Hugging Face stores in a table; None without them."""
    about = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))
    feature = about.get("info", {}).get("features", {}).get(column, {})
    return feature.get("names") if isinstance(feature, dict) else None
