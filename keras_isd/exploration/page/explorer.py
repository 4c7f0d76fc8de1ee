"""The explorer: an HTML page of a map of images, neighbours, clusters, possible duplicates."""

import html
import importlib.resources
import json

import numpy as np

from keras_isd.data import ImageSource
from keras_isd.exploration.page.map import draw_map, make_grouping
from keras_isd.exploration.page.rows import cluster_section, duplicate_section
from keras_isd.exploration.page.thumbnails import make_sheets
from keras_isd.similarity.exact import unit_rows
from keras_isd.similarity.neighbors import find_all_neighbors
from keras_isd.validation.arguments import check_positive_integer, check_seed
from keras_isd.validation.features import check_features
from keras_isd.visualization.embedding import plane_points
from keras_isd.visualization.report import fact_list, picture, table, write_page

METHODS = {"tsne": "t-SNE", "pca": "principal components", "umap": "UMAP"}
_USAGE = "Scroll to zoom, drag to move; click a point or a picture to see its nearest images."
# With it the browser refuses all requests.
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
    """Writes an HTML page to explore images by their features, in any browser.

    At the top is a map to pan and zoom, with a point for each image and similar images near each
    other. Pointing at an image shows it with its name; a click shows it larger, with its exact
    nearest neighbours, which can be clicked in turn. Below are rows of clusters, possible
    duplicates side by side, figures, tables and facts, if given.

    The page is one file that makes no network requests. Each image is read once, for a thumbnail.
    8-bit colours are unchanged; other depths are scaled by percentiles of some of the images, and
    for other than three channels the channels of `plot_views` are drawn. An image that cannot be
    read is a grey square.

    Cost: a page of 20,000 images has 26 MB for thumbnails of 32 pixels, and 41 MB for 64 pixels;
    the quality of thumbnails is chosen for pages of up to 60 MB. For as many images t-SNE took four
    minutes on two cores, principal components and the rest 10 to 20 seconds.

    Args:
        path: where to write.
        features: `(N, F)` array.
        images: N images with any channels and depth: an array, a `keras_isd.data.ImageSource`,
            another sequence, or a function from a row to an image `(H, W, C)` or `(H, W)`.
        names: list of N str, such as paths. Defaults to those of the source, or "image 0" etc.
        labels: `(N,)` integers, -1 if unknown. Defaults to those of the source, if any.
        class_names: list of str, by label. Defaults to those of the source, or the labels.
        clusters: `(N,)` integers, the cluster of each image, -1 for none. Defaults to None.
        duplicates: list of lists of rows, groups of possible duplicates. Defaults to None.
        method: `"tsne"`, which keeps neighbours close; `"pca"`, the two directions of the largest
            variance, which is fast; or `"umap"` (extra `[umap]`). Defaults to `"tsne"`.
        neighbors: int, number of nearest images shown for each image. Defaults to 8.
        thumbnail: int, maximum of the longer side of thumbnails in pixels; smaller images are not
            enlarged. Defaults to 64.
        facts: dict from names to values, such as versions, date and counts. Defaults to None.
        tables: dict from headings to lists of rows, the first with column titles. Defaults to None.
        figures: dict from headings to `matplotlib.figure.Figure`s. Defaults to None.
        title: str, title of the page. Defaults to `"A map of the images"`.
        summary: str, a paragraph under the title. Defaults to None.
        seed: int, seed of t-SNE and UMAP. Defaults to 0.

    Raises:
        ImportError: if Bokeh, or scikit-learn or umap-learn for their methods, is not installed.
        ValueError: if an argument does not match the images, or no image can be read.

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
    groupings = _make_groupings(count, labels, class_names, clusters)

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
    parts.append(f'<p class="lead">{about}{_USAGE}</p>')
    parts.append(_map_section(place, groupings))
    if clusters is not None:
        parts.append(cluster_section(features, groupings, names, sheets))
    if duplicates:
        parts.append(duplicate_section(duplicates, names, sheets))
    parts += [picture(heading, figure) for heading, figure in (figures or {}).items()]
    parts += [table(heading, rows) for heading, rows in (tables or {}).items()]
    if facts:
        parts += ["<h2>About</h2>", fact_list(facts)]
    parts += [
        _json_script("explorer-data", data),
        f"<script>{_read_file('explorer.js')}</script>",
        map_script,
    ]
    policy = f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
    write_page(
        path, title, parts, [_read_file("explorer.css"), sheets.style()], head=[policy, library]
    )


def _check(count, images, names, method, duplicates):
    if hasattr(images, "__len__") and len(images) != count:
        raise ValueError(
            "Argument `features` must have a row for each image. "
            f"Received: {count} features, {len(images)} images"
        )
    if len(names) != count:
        raise ValueError(f"Argument `names` must have {count} names. Received: {len(names)} names")
    if method not in METHODS:
        raise ValueError(f"Argument `method` must be one of {(*METHODS,)}. Received: {method=}")
    for group in duplicates or ():
        rows = np.asarray(group)
        is_integer = rows.ndim == 1 and rows.dtype.kind in "iu"
        if not is_integer or rows.min() < 0 or rows.max() >= count:
            raise ValueError(
                f"Argument `duplicates` must be lists of rows in [0, {count}). Received: {group}"
            )


def _make_groupings(count, labels, class_names, clusters):
    """The groupings that can colour the map: classes and clusters."""
    found = []
    if labels is not None:
        labels = _integers(count, labels=labels)
        found.append(
            make_grouping("class", labels, _label_names(labels, class_names), "unlabelled")
        )
    if clusters is not None:
        clusters = _integers(count, clusters=clusters)
        found.append(make_grouping("cluster", clusters, "cluster {}".format, "no cluster"))
    return found


def _integers(count, **named):
    """Checks the argument given by name and returns it as one integer per image."""
    [(name, values)] = named.items()
    values = np.asarray(values)
    if values.shape != (count,) or values.dtype.kind not in "iu":
        raise ValueError(
            f"Argument `{name}` must hold one integer for each of the {count} images. "
            f"Received: shape {values.shape}, {values.dtype}"
        )
    return values.astype("int64")


def _label_names(labels, class_names):
    """A function from a label to its name."""
    if class_names is None:
        return str
    if labels.max() >= len(class_names):
        raise ValueError(
            "Argument `class_names` must have a name for each label. "
            f"Received: {len(class_names)} names, label {labels.max()}"
        )
    return lambda label: str(class_names[label])


def _neighbors(features, count):
    """The nearest other rows of each row, and their similarities in thousandths."""
    if len(features) == 1:
        return {"neighbors": [[]], "similarities": [[]]}
    rows, similarities = find_all_neighbors(features, min(count, len(features) - 1))
    thousandths = np.rint(1000 * similarities).astype(int)
    return {"neighbors": rows.tolist(), "similarities": thousandths.tolist()}


def _map_section(place, groupings):
    """HTML of the map with its legends, and of the panel of the selected image."""
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
        '<aside class="chosen" aria-live="polite" aria-label="The selected image">'
        '<p class="hint">Click a point of the map.</p></aside></section>'
    )


def _json_script(name, data):
    """JSON in a script element, escaped so that no text in it is parsed as markup."""
    written = json.dumps(data, separators=(",", ":"))
    for sign in "<>&":
        written = written.replace(sign, f"\\u{ord(sign):04x}")
    return f'<script type="application/json" id="{name}">{written}</script>'


def _read_file(name):
    return importlib.resources.files(__package__).joinpath(name).read_text("utf-8")
