"""A page on which to look at images as their features see them."""

import html
import importlib.resources
import json

import numpy as np

from keras_isd.data import ImageSource
from keras_isd.exploration.page.map import draw_map, grouping
from keras_isd.exploration.page.rows import cluster_section, duplicate_section
from keras_isd.exploration.page.thumbnails import make_sheets
from keras_isd.similarity.exact import unit_rows
from keras_isd.similarity.neighbors import find_all_neighbors
from keras_isd.validation.arguments import check_positive_integer, check_seed
from keras_isd.validation.features import check_features
from keras_isd.visualization.plane import plane_points
from keras_isd.visualization.report import fact_list, picture, table, write_page

METHODS = {"tsne": "t-SNE", "pca": "principal components", "umap": "UMAP"}
_HOW = "Scroll to zoom, drag to move; click a point or a picture to see what is nearest to it."
# The browser itself then refuses to ask for anything.
_POLICY = (
    "default-src 'none'; script-src 'unsafe-inline' 'unsafe-eval'; "
    "style-src 'unsafe-inline'; img-src data:; font-src data:"
)


def write_explorer(
    path,
    features,
    images,
    names=None,
    labels=None,
    class_names=None,
    clusters=None,
    duplicates=None,
    method="tsne",
    neighbors=8,
    thumbnail=64,
    facts=None,
    tables=None,
    figures=None,
    title="A map of the images",
    summary=None,
    seed=0,
):
    """Writes an HTML page to look through images by their features, in any browser.

    On top is a map with a point for each image, alike ones near each other, to move and zoom.
    Under the pointer an image is shown with its name; a click shows it larger, with the images
    nearest to it, found exactly, which can be clicked on in turn. Below are rows of clusters,
    duplicates side by side, figures, tables and facts, where there are any.

    All is in one file that needs no network and asks for nothing. Each image is read once, for a
    thumbnail. Colours of 8 bits stay as they are; other depths are scaled by percentiles of some
    of the images, and of other than three channels those are drawn that `plot_views` draws. An
    image that cannot be read is a grey square.

    Cost: a page of 20,000 images has 26 MB of 32 by 32 pixels, and 41 MB of thumbnails of 64; the
    quality of thumbnails is chosen for pages of up to 60 MB. t-SNE of as many took four minutes on
    two cores, principal components and the rest 10 to 20 seconds.

    Args:
        path: where to write.
        features: `(N, F)` array.
        images: the N images, of any channels and depth: an array, a `keras_isd.data.ImageSource`,
            another sequence, or a function from a row to an image `(H, W, C)` or `(H, W)`.
        names: list of N str, such as paths; by default those of the source, or "image 0" and so on.
        labels: `(N,)` integers, -1 where unknown; by default those of the source, if any.
        class_names: list of str, by label; by default those of the source, or the labels.
        clusters: `(N,)` integers, the cluster of each image, -1 for none; or None.
        duplicates: list of lists of rows, images that are alike; or None.
        method: `"tsne"`, neighbours near each other; `"pca"`, the two directions of the largest
            variance, at once; or `"umap"` (extra `[umap]`).
        neighbors: int, how many nearest images are shown of each.
        thumbnail: int, pixels of the longer side of a thumbnail, at most. Smaller
            images stay as they are.
        facts: dict of str to values, what the page is about: versions, date, counts; or None.
        tables: dict from a heading to a list of rows, the first of column titles; or None.
        figures: dict from a heading to a `matplotlib.figure.Figure`; or None.
        title: str.
        summary: str, a paragraph under the title, or None.
        seed: int, of t-SNE and UMAP.

    Raises:
        ImportError: if Bokeh, or scikit-learn or umap-learn for their methods, is not installed.
        ValueError: if an argument is not of the images, or none of them can be read.

    Source: van der Maaten and Hinton, "Visualizing data using t-SNE", 2008.

    Example:

    >>> import pathlib, tempfile
    >>> random = np.random.RandomState(0)
    >>> images, features = random.randint(0, 256, (20, 8, 8, 3), "uint8"), random.randn(20, 4)
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "explorer.html"
    >>> keras_isd.exploration.write_explorer(path, features, images, method="pca")
    >>> "A map of the images</h1>" in path.read_text()
    True
    """
    if isinstance(images, ImageSource):
        names = images.names if names is None else names
        labels = images.labels if labels is None else labels
        class_names = images.class_names if class_names is None else class_names
    features = np.asarray(features)
    check_features(features=features)
    count = len(features)
    names = [f"image {row}" for row in range(count)] if names is None else list(map(str, names))
    _check(count, images, names, method, duplicates)
    check_positive_integer("neighbors", neighbors)
    check_positive_integer("thumbnail", thumbnail)
    check_seed("seed", seed)
    groupings = _groupings(count, labels, class_names, clusters)

    points = plane_points(unit_rows(features), method, seed)
    place, map_script, library = draw_map(points, groupings)
    sheets = make_sheets(images, count, thumbnail)
    for row in sheets.unreadable:
        names[row] += " (cannot be read)"
    data = {"names": names, "groupings": [by.for_script() for by in groupings]}
    data |= {"places": sheets.places(), **_neighbors(features, neighbors)}
    about = f"{count:,} images, placed by {METHODS[method]} of {features.shape[1]:,} features. "
    parts = [f"<h1>{html.escape(title)}</h1>"]
    parts += [f"<p>{html.escape(summary)}</p>"] if summary else []
    parts.append(f'<p class="lead">{about}{_HOW}</p>')
    parts.append(_explorer(place, groupings))
    if clusters is not None:
        parts.append(cluster_section(features, groupings, names, sheets))
    if duplicates:
        parts.append(duplicate_section(duplicates, names, sheets))
    parts += [picture(heading, figure) for heading, figure in (figures or {}).items()]
    parts += [table(heading, rows) for heading, rows in (tables or {}).items()]
    if facts:
        parts += ["<h2>About</h2>", fact_list(facts)]
    parts += [_json("explorer-data", data), f"<script>{_file('explorer.js')}</script>", map_script]
    policy = f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
    write_page(path, title, parts, [_file("explorer.css"), sheets.style()], head=[policy, library])


def _check(count, images, names, method, duplicates):
    if hasattr(images, "__len__") and len(images) != count:
        raise ValueError(
            "Argument `features` must be of the images. "
            f"Received: {count} features, {len(images)} images"
        )
    if len(names) != count:
        raise ValueError(
            f"Argument `names` must be of the {count} images. Received: {len(names)} names"
        )
    if method not in METHODS:
        raise ValueError(f"Argument `method` must be one of {(*METHODS,)}. Received: {method=}")
    for group in duplicates or ():
        rows = np.asarray(group)
        integers = rows.ndim == 1 and rows.dtype.kind in "iu"
        if not integers or rows.min() < 0 or rows.max() >= count:
            raise ValueError(
                f"Argument `duplicates` must be lists of rows in [0, {count}). Received: {group}"
            )


def _groupings(count, labels, class_names, clusters):
    """What the map may be coloured by."""
    found = []
    if labels is not None:
        labels = _integers(count, labels=labels)
        found.append(grouping("class", labels, _namer(labels, class_names), "unlabelled"))
    if clusters is not None:
        clusters = _integers(count, clusters=clusters)
        found.append(grouping("cluster", clusters, "cluster {}".format, "no cluster"))
    return found


def _integers(count, **named):
    """The argument given by name as an array of one integer an image."""
    [(name, values)] = named.items()
    values = np.asarray(values)
    if values.shape != (count,) or values.dtype.kind not in "iu":
        raise ValueError(
            f"Argument `{name}` must hold one integer for each of the {count} images. "
            f"Received: shape {values.shape}, {values.dtype}"
        )
    return values.astype("int64")


def _namer(labels, class_names):
    """Function from a label to its name."""
    if class_names is None:
        return str
    if labels.max() >= len(class_names):
        raise ValueError(
            "Argument `class_names` must have a name for each label. "
            f"Received: {len(class_names)} names, label {labels.max()}"
        )
    return lambda label: str(class_names[label])


def _neighbors(features, count):
    """The nearest other rows of each, and their similarities in thousandths."""
    if len(features) == 1:
        return {"neighbors": [[]], "similarities": [[]]}
    rows, similarities = find_all_neighbors(features, min(count, len(features) - 1))
    thousandths = np.rint(1000 * similarities).astype(int)
    return {"neighbors": rows.tolist(), "similarities": thousandths.tolist()}


def _explorer(place, groupings):
    """HTML of the map with its legends, and of where the image that is chosen is shown."""
    controls = ""
    if len(groupings) > 1:
        options = "".join(f'<option value="{by.kind}">{by.kind}</option>' for by in groupings)
        controls = (
            f'<div class="controls"><label>Colour by <select id="color-by">{options}</select>'
            "</label></div>"
        )
    legends = "".join(by.legend(hidden=at > 0) for at, by in enumerate(groupings))
    return (
        f'<section class="explorer"><div>{controls}'
        f'<div class="map" role="group" aria-label="Map of the images">{place}'
        f'<div class="tip" hidden></div></div>{legends}</div>\n'
        '<aside class="chosen" aria-live="polite" aria-label="The image that is chosen">'
        '<p class="hint">Click a point of the map.</p></aside></section>'
    )


def _json(name, data):
    """Data that no text in it can end or be taken for markup."""
    written = json.dumps(data, separators=(",", ":"))
    for sign in "<>&":
        written = written.replace(sign, f"\\u{ord(sign):04x}")
    return f'<script type="application/json" id="{name}">{written}</script>'


def _file(name):
    return importlib.resources.files(__package__).joinpath(name).read_text("utf-8")
