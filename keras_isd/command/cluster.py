"""Groups images into clusters.

    keras-isd cluster features.parquet --clusters=20
    keras-isd cluster features.parquet --method=hdbscan
    keras-isd cluster tiles.parquet --regions=clusters.geojson

The table has a line for each image: name, cluster. Cluster 0 is the largest; -1 means no cluster.
`--regions` writes tiles of large images as polygons, for a map or a viewer of slides.
"""

import numpy as np

import keras_isd
from keras_isd.command import tables
from keras_isd.command.values import natural_int, path, positive_int

METHODS = ("kmeans", "hdbscan")


def add_arguments(parser):
    tables.add_feature_arguments(parser)
    add = parser.add_argument
    add("--clusters", type=positive_int, help="number of clusters; chosen if not given")
    add("--method", choices=METHODS, help="clustering method; chosen if not given")
    add("--min_size", type=positive_int, default=5, help="least images of an HDBSCAN cluster")
    add("--seed", type=natural_int, default=0, help="random seed of k-means")
    add("--regions", type=path, help="tiles as polygons with their clusters: .geojson or .gpkg")


def run(arguments):
    found = tables.load_features(arguments)
    output = tables.output_path(arguments, "clusters.csv")
    tiles = _read_tiles(arguments, found.names)
    exploration, seed = keras_isd.exploration, arguments.seed
    method, clusters = arguments.method or "kmeans", arguments.clusters
    if clusters is None and arguments.method is None:
        method, clusters, reason = exploration.choose_clustering(
            found.features, seed, arguments.min_size
        )
        print(f"--method={method}{f' --clusters={clusters}' if clusters else ''}: {reason}")
    elif clusters is None and method == "kmeans":
        clusters, reason = exploration.choose_clusters(found.features, seed)
        print(f"--clusters={clusters}: {reason}")
    labels = exploration.cluster_features(
        found.features, clusters, method, arguments.min_size, seed
    )
    sizes = np.bincount(labels[labels >= 0])
    more = ", ..." * (len(sizes) > 10)
    print(f"{len(sizes)} clusters of these sizes: {', '.join(map(str, sizes[:10]))}{more}")
    if alone := int((labels < 0).sum()):
        print(f"{alone:,} images are in no cluster")
    tables.write_table(output, ["name", "cluster"], zip(found.names, labels.tolist()))
    groups = []
    if len(sizes):
        groups = keras_isd.exploration.clusters.nearest_to_center(found.features, labels)
    titles = [f"cluster {number}: {len(group):,}" for number, group in enumerate(groups)]
    tables.draw_groups(arguments, output, found.names, groups, titles)
    if tiles is not None:
        exploration.write_regions(arguments.regions, tiles, cluster=labels)
        print(f"written to {arguments.regions}")


def _read_tiles(arguments, names):
    """The source of the tiles of a table, for `--regions`; None without."""
    if arguments.regions is None:
        return None
    source = tables.open_images(arguments, names)
    if source.large_images is None:
        arguments.fail(
            "--regions needs a table of tiles, see keras-isd train --tile. "
            f"Received: {len(names):,} images, such as {names[0]}"
        )
    return source
