"""Coordinates of features in a plane, near each other where the features are."""

import numpy as np

from keras_isd.compat.optional_imports import needs_extra

# Below this t-SNE and UMAP have no neighbourhoods to keep.
_FEW = 5


def pca_points(panels):
    """Two coordinates `(2, N)` of each of several arrays `(N, F)`, all as the last is seen."""
    last = list(panels.values())[-1]
    directions = np.linalg.svd(last - last.mean(axis=0), full_matrices=False)[2][:2]
    # Of one row, or one number a row, there is one direction.
    directions = np.pad(directions, [(0, 2 - len(directions)), (0, 0)])
    return {title: directions @ (rows - last.mean(axis=0)).T for title, rows in panels.items()}


def tsne_points(rows, seed):
    """Two coordinates `(2, N)` of rows by t-SNE, of scikit-learn."""
    with needs_extra("plots"):
        from sklearn.manifold import TSNE

    # One point of a collapsed network's rows, all alike: t-SNE would start from their principal
    # components over the spread, 0 / 0, of which scikit-learn 1.9 crashes.
    if not np.ptp(rows, axis=0).any():
        return np.zeros((2, len(rows)))
    perplexity = min(30, (len(rows) - 1) / 3)
    return TSNE(init="pca", perplexity=perplexity, random_state=seed).fit_transform(rows).T


def umap_points(rows, seed):
    """Two coordinates `(2, N)` of rows by UMAP, of umap-learn."""
    with needs_extra("umap"):
        from umap import UMAP

    # One job, or the seed would not do.
    neighbors = min(15, len(rows) - 1)
    return UMAP(n_neighbors=neighbors, random_state=seed, n_jobs=1).fit_transform(rows).T


def plane_points(rows, method, seed):
    """Two coordinates `(2, N)` of rows by `"pca"`, `"tsne"` or `"umap"`."""
    if method == "pca" or len(rows) < _FEW or rows.shape[1] == 1:
        return pca_points({"": rows})[""]
    return {"tsne": tsne_points, "umap": umap_points}[method](rows, seed)
