"""Rows of pictures below the map: clusters, and possible duplicates side by side."""

import numpy as np

from keras_isd.exploration.clusters import nearest_to_center
from keras_isd.visualization.report import text

MAX_CLUSTER_IMAGES = 24  # shown, those nearest to the centre
MAX_GROUPS = 200  # of possible duplicates, shown
_CAUTION = (
    ", with nearly equal features, which are not verified: after little training many images are "
    "alike for the network. The command keras-isd duplicates verifies them on the pixels."
)


def cluster_section(features, groupings, names, sheets):
    """HTML of a row of images for each cluster, the largest first."""
    by_kind = {by.kind: by for by in groupings}
    clusters, classes = by_kind["cluster"].values, by_kind.get("class")
    found = _rows_of_clusters(features, clusters)
    parts = ["<h2>Clusters</h2>"]
    if outside := len(clusters) - sum(map(len, found.values())):
        parts.append(f"<p>Not in a cluster: {_count(outside, 'image')}.</p>")
    for cluster, rows in found.items():
        about = f"<b>Cluster {cluster}</b> {_count(len(rows), 'image')}{_mostly(rows, classes)}"
        strip = _strip(rows[:MAX_CLUSTER_IMAGES], names, sheets)
        parts.append(f'<div class="group"><p>{about}</p>{strip}</div>')
    return "\n".join(parts)


def duplicate_section(duplicates, names, sheets):
    """HTML of groups of possible duplicates, with their names."""
    about = _count(len(duplicates), "group")
    if len(duplicates) > MAX_GROUPS:
        about += f" (the first {MAX_GROUPS} are shown)"
    strips = (_strip(rows, names, sheets, named=True) for rows in duplicates[:MAX_GROUPS])
    return "\n".join(
        [
            "<h2>Possible duplicates</h2>",
            f"<p>{about}{_CAUTION}</p>",
            '<div class="pairs">',
            *strips,
            "</div>",
        ]
    )


def _rows_of_clusters(features, clusters):
    """Rows of each cluster by its number, the nearest to its centre first; the largest first."""
    numbers = np.unique(clusters[clusters >= 0])
    places = np.where(clusters >= 0, np.searchsorted(numbers, clusters), -1)
    found = zip(numbers.tolist(), nearest_to_center(features, places))
    return dict(sorted(found, key=lambda item: -len(item[1])))


def _count(number, what):
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def _mostly(rows, classes):
    """The most frequent class of rows, and its share."""
    if classes is None:
        return ""
    counts = np.bincount(classes.codes[rows])
    return f", {counts.max() / len(rows):.0%} {text(classes.names[counts.argmax()])}"


def _strip(rows, names, sheets, named=False):
    """HTML of pictures side by side, which scroll if there are too many."""
    thumbs = (_thumb(int(row), names[row], sheets.place(row), named) for row in rows)
    return f'<div class="strip">{"".join(thumbs)}</div>'


def _thumb(row, name, place, named):
    """HTML of a picture to click on; explorer.js makes the same."""
    sheet, position = place
    caption = f'<span class="name">{text(name)}</span>' if named else ""
    return (
        f'<button type="button" class="thumb" data-row="{row}" title="{text(name)}">'
        f'<span class="picture s{sheet}" role="img" aria-label="{text(name)}" '
        f'style="background-position:{position}"></span>{caption}</button>'
    )
