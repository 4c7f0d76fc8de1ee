"""Rows of pictures below the map: clusters, and duplicates side by side."""

import numpy as np

from keras_isd.exploration.clusters import nearest_to_middle
from keras_isd.visualization.report import text

IN_A_ROW = 24  # images of a cluster that are shown, those nearest to its middle
GROUPS = 200  # of duplicates that are shown
_CAUTION = (
    ", of images that are nearly the same to the network. To one that has learned little many are: "
    "look before anything is deleted."
)


def cluster_section(features, groupings, names, sheets):
    """HTML of a row of images for each cluster, the largest on top."""
    by_kind = {by.kind: by for by in groupings}
    clusters, classes = by_kind["cluster"].values, by_kind.get("class")
    found = _rows_of_clusters(features, clusters)
    parts = ["<h2>Clusters</h2>"]
    if outside := len(clusters) - sum(map(len, found.values())):
        parts.append(f"<p>Not in a cluster: {_count(outside, 'image')}.</p>")
    for cluster, rows in found.items():
        about = f"<b>Cluster {cluster}</b> {_count(len(rows), 'image')}{_mostly(rows, classes)}"
        strip = _strip(rows[:IN_A_ROW], names, sheets)
        parts.append(f'<div class="group"><p>{about}</p>{strip}</div>')
    return "\n".join(parts)


def duplicate_section(duplicates, names, sheets):
    """HTML of groups of images that are alike, with their names."""
    about = _count(len(duplicates), "group")
    if len(duplicates) > GROUPS:
        about += f", of which the first {GROUPS} are shown"
    strips = (_strip(rows, names, sheets, named=True) for rows in duplicates[:GROUPS])
    return "\n".join(
        [
            "<h2>Duplicates</h2>",
            f"<p>{about}{_CAUTION}</p>",
            '<div class="pairs">',
            *strips,
            "</div>",
        ]
    )


def _rows_of_clusters(features, clusters):
    """Rows of each cluster by its number, the nearest to its middle first; the largest first."""
    numbers = np.unique(clusters[clusters >= 0])
    places = np.where(clusters >= 0, np.searchsorted(numbers, clusters), -1)
    found = zip(numbers.tolist(), nearest_to_middle(features, places))
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
    """Pictures beside each other, in what scrolls where they are too many."""
    thumbs = (_thumb(int(row), names[row], sheets.place(row), named) for row in rows)
    return f'<div class="strip">{"".join(thumbs)}</div>'


def _thumb(row, name, place, named):
    """A picture to click on; explorer.js makes the same."""
    sheet, position = place
    caption = f'<span class="name">{text(name)}</span>' if named else ""
    return (
        f'<button type="button" class="thumb" data-row="{row}" title="{text(name)}">'
        f'<span class="picture s{sheet}" role="img" aria-label="{text(name)}" '
        f'style="background-position:{position}"></span>{caption}</button>'
    )
