"""Puts images into clusters.

    keras-isd cluster features.parquet --clusters=20
    keras-isd cluster features.parquet --method=hdbscan

The table has a line for each image: name, cluster, of which 0 is the largest and -1 is none.
"""

import numpy as np
from absl import flags

from keras_isd import exploration
from keras_isd.command import features
from keras_isd.command.features import draw, features_of, output_of
from keras_isd.command.tables import write_table
from keras_isd.exploration.clusters import METHODS, nearest_to_middle

flags.adopt_module_key_flags(features)
CLUSTERS = flags.DEFINE_integer("clusters", None, "How many; chosen if not given.", 1)
METHOD = flags.DEFINE_enum("method", "kmeans", METHODS, "How to find them.")
MIN_SIZE = flags.DEFINE_integer("min_size", 5, "Images of a cluster of HDBSCAN, at least.", 2)
SEED = flags.DEFINE_integer("seed", 0, "Of k-means.", 0)


def main(arguments):
    found = features_of(arguments)
    path = output_of("clusters.csv")
    labels = exploration.cluster_features(
        found.features, CLUSTERS.value, METHOD.value, MIN_SIZE.value, SEED.value
    )
    sizes = np.bincount(labels[labels >= 0])
    more = " and so on" * (len(sizes) > 10)
    print(f"{len(sizes)} clusters of these sizes: {', '.join(map(str, sizes[:10]))}{more}")
    if alone := int((labels < 0).sum()):
        print(f"{alone:,} images are in none")
    write_table(path, ["name", "cluster"], zip(found.names, labels.tolist()))
    rows = nearest_to_middle(found.features, labels) if len(sizes) else []
    draw(path, found.names, rows, [f"cluster {n}: {len(group):,}" for n, group in enumerate(rows)])
