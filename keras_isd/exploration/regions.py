"""Tiles as polygons on a map, for a geographic information system or a viewer of slides."""

import pathlib
import warnings

import numpy as np

from keras_isd.compat.optional_imports import needs_extra
from keras_isd.data.sources.tiles import tile_corners
from keras_isd.files import atomic_path

DRIVERS = {".geojson": "GeoJSON", ".gpkg": "GPKG"}
GEOJSON_CRS = "EPSG:4326"  # of every GeoJSON: RFC 7946


def write_regions(path, source, **columns):
    """Writes tiles as polygons with values, such as their clusters, to GeoJSON or GeoPackage.

    Polygons of georeferenced TIFF files have the coordinates of the map: in GeoPackage in the
    reference system of the first file, in GeoJSON in degrees of longitude and latitude. Other
    polygons are in pixels of the full resolution, with y downwards, as viewers of slides expect.
    Each polygon has the name of its large image in the column `image`, and that of the tile in
    `tile`.

    Args:
        path: path of the file, which ends in `.geojson` or `.gpkg`.
        source: `ImageSource` of tiles, see `keras_isd.data.tiles`.
        **columns: arrays of N numbers or str, one for each tile.

    Raises:
        ImportError: if a package of the extra `[maps]` is not installed.
        ValueError: if `path` has another ending, the source has no tiles, a column differs in
            length, or only some images are georeferenced.

    Example:

    >>> import json, tempfile
    >>> images = np.random.RandomState(0).randint(0, 256, (1, 64, 96, 3), "uint8")
    >>> tiles = keras_isd.data.tiles(keras_isd.data.from_arrays(images), 32, keep=0)
    >>> file = pathlib.Path(tempfile.mkdtemp(), "clusters.geojson")
    >>> keras_isd.exploration.write_regions(file, tiles, cluster=np.arange(6) % 2)
    >>> found = json.loads(file.read_text())["features"]
    >>> len(found), found[1]["properties"]["tile"], found[1]["properties"]["cluster"]
    (6, 'row 0[32,0,32,32]', 1)
    """
    path = pathlib.Path(path).expanduser()
    _check(path, source, columns)
    with needs_extra("maps"):
        import geopandas
        import pandas

    large, boxes, parts = source.large_images, source.boxes, []
    for number in np.unique(boxes[:, 0]):
        rows = np.flatnonzero(boxes[:, 0] == number)
        shapes, crs = _polygons(large, int(number), boxes[rows])
        values = {name: np.asarray(column)[rows] for name, column in columns.items()}
        names = {"image": large.name(int(number)), "tile": [source.names[row] for row in rows]}
        parts.append(geopandas.GeoDataFrame({**names, **values}, geometry=shapes, crs=crs))
    parts = _in_one_system(parts, path)
    with atomic_path(path) as unfinished:
        options = {"driver": DRIVERS[path.suffix], "engine": "pyogrio", "layer": "tiles"}
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "'crs' was not provided")  # of slides, in pixels
            pandas.concat(parts).to_file(unfinished, **options)


def _check(path, source, columns):
    if path.suffix not in DRIVERS:
        raise ValueError(f"Argument `path` must end in one of {(*DRIVERS,)}. Received: {path}")
    if source.large_images is None:
        raise ValueError(
            "Argument `source` must be of tiles, such as `keras_isd.data.tiles` makes. "
            f"Received: {len(source)} images"
        )
    for name, column in columns.items():
        if len(column) != len(source):
            raise ValueError(
                f"Argument `{name}` must have a value for each tile. "
                f"Received: {len(column)} values, {len(source)} tiles"
            )


def _polygons(large, number, boxes):
    """The polygons of an image's tiles, and their reference system; None for pixels."""
    import shapely

    image = large.open(number)
    corners, crs = tile_corners(image, boxes), None
    if image.is_georeferenced:
        with needs_extra("maps"):
            import rasterio
        with rasterio.open(image.path) as file:
            crs = file.crs
            matrix = np.reshape(file.transform, (3, 3))
        corners = corners @ matrix[:2, :2].T + matrix[:2, 2]
    return shapely.polygons(corners), crs


def _in_one_system(parts, path):
    """All parts in the reference system of the first, or in that of GeoJSON; or all in pixels."""
    known = [part.crs is not None for part in parts]
    if not any(known):
        return parts
    if not all(known):
        raise ValueError(
            "Either all images of `source` must be georeferenced or none. "
            f"Received: {parts[known.index(False)]['image'].iloc[0]} without a reference system"
        )
    wanted = GEOJSON_CRS if path.suffix == ".geojson" else parts[0].crs
    return [part.to_crs(wanted) for part in parts]
