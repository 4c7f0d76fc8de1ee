"""The images that a run watches, to tell by them how it goes."""

import keras
import numpy as np

from keras_isd.augmentation import evaluation
from keras_isd.callbacks import KNNEvaluation
from keras_isd.data import ViewBatches
from keras_isd.data.batches.view_batches import readable_views
from keras_isd.training.model_building import views_of

WATCHED = 1000  # images at most
BANK = 5000  # labelled images that the accuracy while training compares with, at most


def watched_parts(source, seed, teacher_features):
    """Images to train on, those to watch, and those that are not watched."""
    count = min(WATCHED, len(source) // 10)
    if count < 3:
        return source, source, source
    order = np.random.RandomState(seed).permutation(len(source))
    watched, others = (source.subset(np.sort(rows)) for rows in (order[:count], order[count:]))
    # A teacher's features are of all images.
    return others if teacher_features is None else source, watched, others


def two_views(source, settings, statistics, seed):
    """Two views of each image, drawn once: pair of arrays; None of fewer than three images."""
    views = []
    for number, view in enumerate(views_of(settings, statistics)):
        keras.utils.set_random_seed(seed + number)
        views.append(readable_views(source, view)[0])
    keras.utils.set_random_seed(seed)
    return views if len(views[0]) >= 3 else None


def accuracy_while_training(others, watched, settings, statistics, every):
    """What k-NN makes of the watched images, by labels that others have: list of callbacks."""
    if others.labels is None or others is watched:
        return []
    rows = np.flatnonzero(others.labels >= 0)
    rows = rows[np.linspace(0, len(rows) - 1, min(BANK, len(rows))).astype(int)]
    known = np.flatnonzero(np.isin(watched.labels, np.unique(others.labels[rows])))
    if not len(rows) or not len(known):
        return []
    view = evaluation(settings.size, statistics)
    bank, queries = (
        ViewBatches(part, None, view, 100) for part in (others.subset(rows), watched.subset(known))
    )
    k = min(20, len(rows))
    return [KNNEvaluation(bank, queries, every_n_epochs=every, networks="student", k=k)]
