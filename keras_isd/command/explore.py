"""Writes a page to look through images: one file that opens offline in any browser.

    keras-isd explore features.parquet
    keras-isd explore features.parquet --output=photos.html --method=umap --clusters=20

On it are a map of the images, which zooms and shows thumbnails, each image's nearest, clusters, and
duplicates side by side. The images themselves have to be where the table names them.
"""

import datetime
import pathlib

from absl import flags

from keras_isd import data, evaluation, exploration
from keras_isd.version import __version__

OUTPUT = flags.DEFINE_string("output", "explore.html", "Page to write.")
METHOD = flags.DEFINE_enum("method", "tsne", ["tsne", "umap", "pca"], "How the map is made.")
CLUSTERS = flags.DEFINE_integer("clusters", None, "How many; chosen if not given.", 1)
RATIO = flags.DEFINE_float("ratio", 0.3, "How much nearer than usual duplicates are.", 0, 1)
THUMBNAIL = flags.DEFINE_integer("thumbnail", 64, "Pixels of a thumbnail's longer side.", 1)
CHANNELS = flags.DEFINE_integer("channels", None, "Of the images, where files differ.", 1)
TITLE = flags.DEFINE_string("title", "A map of the images", "Of the page.")
SEED = flags.DEFINE_integer("seed", 0, "Of the map and the clusters.", 0)


def main(arguments):
    if not arguments:
        raise flags.Error("Give a table of features, as keras-isd embed writes. Received: none")
    if not pathlib.Path(OUTPUT.value).absolute().parent.is_dir():
        raise ValueError(f"--output must lie in a folder that is there. Received: {OUTPUT.value}")
    found = evaluation.load_features(arguments)
    if found.names is None:
        raise ValueError("The table must have the images' names. Received: one without")
    exploration.write_explorer(
        OUTPUT.value,
        found.features,
        data.from_paths(found.names, channels=CHANNELS.value),
        found.names,
        found.labels,
        clusters=exploration.cluster_features(found.features, CLUSTERS.value, seed=SEED.value),
        duplicates=[
            rows.tolist() for rows in exploration.find_duplicates(found.features, RATIO.value)
        ],
        method=METHOD.value,
        thumbnail=THUMBNAIL.value,
        facts={
            "images": f"{len(found.names):,}",
            "features": found.features.shape[1],
            "date": datetime.date.today().isoformat(),
            "keras_isd": __version__,
        },
        title=TITLE.value,
        seed=SEED.value,
    )
    print(f"written to {OUTPUT.value}: open it in a browser")
