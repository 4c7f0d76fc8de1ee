"""Writes an HTML page to explore images: one file that opens offline in any browser.

    keras-isd explore features.parquet
    keras-isd explore features.parquet --output=photos.html --method=umap --clusters=20

The page has a map of the images with zoom and thumbnails, each image's nearest neighbours,
clusters, and possible duplicates side by side. The images must be where the table names them.
"""

import datetime
import pathlib

import keras_isd
from keras_isd.command.values import fraction, natural_int, path, positive_int


def add_arguments(parser):
    add = parser.add_argument
    add("features", nargs="+", metavar="FEATURES", help='table that "keras-isd embed" wrote')
    add("--output", type=path, default="explore.html", help="page to write")
    add("--method", choices=["tsne", "umap", "pca"], default="tsne", help="method of the map")
    add("--clusters", type=positive_int, help="number of clusters; chosen if not given")
    add("--ratio", type=fraction, default=0.3, help="relative distance of possible duplicates")
    add("--thumbnail", type=positive_int, default=64, help="longer side of thumbnails in pixels")
    add("--channels", type=positive_int, help="number of channels, if the files differ")
    add("--title", default="A map of the images", help="title of the page")
    add("--seed", type=natural_int, default=0, help="random seed of map and clusters")


def run(arguments):
    exploration = keras_isd.exploration
    if not pathlib.Path(arguments.output).absolute().parent.is_dir():
        raise ValueError(f"--output must lie in an existing folder. Received: {arguments.output}")
    found = keras_isd.evaluation.load_features(arguments.features)
    if found.names is None:
        raise ValueError("The table must have the images' names. Received: a table without names")
    clusters = exploration.cluster_features(found.features, arguments.clusters, seed=arguments.seed)
    duplicates = exploration.find_duplicates(found.features, arguments.ratio)
    exploration.write_explorer(
        arguments.output,
        found.features,
        keras_isd.data.from_paths(found.names, channels=arguments.channels),
        found.names,
        found.labels,
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
        title=arguments.title,
        seed=arguments.seed,
    )
    print(f"written to {arguments.output}: open it in a browser")
