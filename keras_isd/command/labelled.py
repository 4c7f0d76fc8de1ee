"""Images with labels: those to learn from, and those to classify."""

import numpy as np
from absl import flags

from keras_isd.command import images
from keras_isd.command.images import images_of
from keras_isd.training.comparison import fifth_of_each_class

flags.adopt_module_key_flags(images)
TEST = flags.DEFINE_string("test", None, "Other images, of the same classes, to classify.")
SEED = flags.DEFINE_integer("seed", 0, "Of what is drawn at random.", 0)


def labelled_parts(place):
    """Sources of images to learn from, and to classify: others, or a fifth of each class."""
    source = _labelled(images_of(place), place)
    if len(np.unique(source.labels)) < 2:
        raise ValueError(
            f"Images must be of at least two classes. Received: one alone in {place}, "
            f"{len(source)} images"
        )
    if TEST.value:
        return source, _labelled(images_of(TEST.value, source.class_names), TEST.value)
    test = fifth_of_each_class(source.labels, SEED.value)
    if not len(test):
        raise ValueError(
            "Without --test there must be a class of at least five images, of which a fifth is "
            f"classified. Received: classes of at most {np.bincount(source.labels).max()}"
        )
    return source.subset(np.setdiff1d(np.arange(len(source)), test)), source.subset(test)


def _labelled(source, place):
    """The images of a source that have a label; how many have none is said."""
    if source.labels is None or source.labels.max() < 0:
        raise ValueError(
            "Images must have labels: a subfolder for each class, or a table with a column `label` "
            f"that is filled in. Received: {place}, {len(source)} images without a label"
        )
    rows = np.flatnonzero(source.labels >= 0)
    if len(rows) < len(source):
        print(f"{len(source) - len(rows):,} images of {place} have no label and are left out")
    return source.subset(rows)
