"""Writes an HTML page to explore images: one file that opens offline in any browser.

    keras-isd explore features.parquet
    keras-isd explore features.parquet --output=photos.html --method=umap --clusters=20
    keras-isd explore features.parquet --local_outliers

The page has a map of the images with zoom and thumbnails, each image's nearest neighbours,
clusters, and possible duplicates side by side. The images must be where the table names them. With
`--local_outliers` it has heat maps of the images with the most unusual places, too, see
keras-isd outliers --kind=local. For tiles it shows the clusters on the large images.
"""

import datetime
import os
import pathlib

import numpy as np

import keras_isd
from keras_isd.command.tables import add_root_argument, open_images
from keras_isd.command.values import fraction, natural_int, path, positive_int

DRAWN_OUTLIERS = 20  # with a heat map, or a frame on their large image


def add_arguments(parser):
    add = parser.add_argument
    add("features", nargs="+", metavar="FEATURES", help='table that "keras-isd embed" wrote')
    add_root_argument(parser)
    add("--output", type=path, default="explore.html", help="page to write")
    add("--method", choices=["tsne", "umap", "pca"], default="tsne", help="method of the map")
    add("--clusters", type=positive_int, help="number of clusters; chosen if not given")
    add("--ratio", type=fraction, default=0.3, help="relative distance of possible duplicates")
    add("--thumbnail", type=positive_int, default=64, help="longer side of thumbnails in pixels")
    add("--channels", type=positive_int, help="number of channels, if the files differ")
    add("--local_outliers", action="store_true", help="heat maps of unusual places; takes longer")
    add("--title", default="A map of the images", help="title of the page")
    add("--seed", type=natural_int, default=0, help="random seed of map and clusters")


def run(arguments):
    if not pathlib.Path(arguments.output).absolute().parent.is_dir():
        raise ValueError(f"--output must lie in an existing folder. Received: {arguments.output}")
    with keras_isd.files.lock(arguments.output):
        _explore(arguments)
    print(f"written to {arguments.output}: open it in a browser")


def _short_names(found):
    """The names relative to the images' folder: the page may be sent to others."""
    inside = "" if found.root is None else f"{found.root}{os.sep}"
    return [name.removeprefix(inside) for name in found.names]


def _explore(arguments):
    exploration = keras_isd.exploration
    found = keras_isd.evaluation.load_features(arguments.features, arguments.root)
    if found.names is None:
        raise ValueError("The table must have the images' names. Received: a table without names")
    source = open_images(arguments, found.names, channels=arguments.channels)
    figures = {}
    if arguments.local_outliers:
        outliers = exploration.find_local_outliers(source, seed=arguments.seed)
        figures["Unusual places"] = outliers.plot(source, DRAWN_OUTLIERS)
    clusters = exploration.cluster_features(found.features, arguments.clusters, seed=arguments.seed)
    if source.large_images is not None:
        scores = exploration.outlier_scores(found.features)
        unusual = np.argsort(-scores, kind="stable")[:DRAWN_OUTLIERS]
        figures["Large images: clusters of tiles, and unusual tiles in frames"] = (
            keras_isd.visualization.plot_scenes(source, clusters, unusual)
        )
    duplicates = exploration.find_duplicates(found.features, arguments.ratio)
    exploration.write_explorer(
        arguments.output,
        found.features,
        source,
        _short_names(found),
        found.labels,
        found.class_names,
        clusters=clusters,
        duplicates=[rows.tolist() for rows in duplicates],
        method=arguments.method,
        thumbnail=arguments.thumbnail,
        facts={
            "images": f"{len(found.names):,}",
            "features": found.features.shape[1],
            "date": datetime.date.today().isoformat(),
            "keras_isd": keras_isd.__version__,
        },
        figures=figures,
        title=arguments.title,
        seed=arguments.seed,
    )
