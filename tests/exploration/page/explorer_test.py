"""The page of the explorer: its contents, and its behaviour in a browser."""

import base64
import html
import io
import json
import re
import sys

import numpy as np
import pytest
from PIL import Image

import keras_isd
from keras_isd.exploration import write_explorer
from keras_isd.exploration.page import thumbnails
from keras_isd.visualization.embedding import plane_points
from tests.support.browser import open_page

pytest.importorskip("bokeh", reason="Bokeh draws the map")
pytest.importorskip("matplotlib", reason="matplotlib draws the figures")

pytestmark = pytest.mark.one_backend("a page is the same under any backend")

ODD = "<script>alert('x')</script>\" & </script>.png"
# Directions in a quarter of a circle, whose nearest neighbours are easy to see.
ANGLES = np.array([0, 1, 3, 7, 40, 41, 43, 47])


def circle(angles=ANGLES):
    angles = np.radians(angles)
    return np.stack([np.cos(angles), np.sin(angles)], axis=1) * np.arange(1, 9)[:, None]


def colors(count=8):
    """Images of one colour each."""
    values = np.random.RandomState(0).randint(40, 216, (count, 1, 1, 3))
    return np.broadcast_to(values, (count, 16, 16, 3)).astype("uint8")


def write_page(path, features=None, images=None, **options):
    features = circle() if features is None else features
    images = colors(len(features)) if images is None else images
    path = path / "explorer.html"
    write_explorer(path, features, images, **{"method": "pca", **options})
    return path


def page_data(page):
    [found] = re.findall(r'<script type="application/json" id="explorer-data">(.*?)</script>', page)
    return json.loads(found)


def page_sheets(page):
    found = re.findall(r"\.s\d+\{background-image:url\(data:image/jpeg;base64,([^)]+)\)\}", page)
    sheets = (Image.open(io.BytesIO(base64.b64decode(sheet))) for sheet in found)
    return [np.asarray(sheet).astype(int) for sheet in sheets]


def page_thumbnails(page, count, cell=16):
    """Thumbnails `(N, cell, cell, 3)`, in the order of the rows."""
    cells = [
        sheet.reshape(10, cell, 10, cell, 3).swapaxes(1, 2).reshape(100, cell, cell, 3)
        for sheet in page_sheets(page)
    ]
    return np.concatenate(cells)[:count]


def test_nearest_images_are_by_direction_without_the_image_itself(tmp_path):
    data = page_data(write_page(tmp_path, neighbors=3).read_text())
    assert data["neighbors"][0] == [1, 2, 3]
    assert data["neighbors"][5] == [4, 6, 7]
    assert data["similarities"][0] == [1000, 999, 993]  # cosines of 1, 3 and 7 degrees
    alike = page_data(write_page(tmp_path, np.ones((5, 2)), neighbors=2).read_text())
    assert all(row not in near for row, near in enumerate(alike["neighbors"]))
    few = page_data(write_page(tmp_path, circle()[:3], neighbors=8).read_text())
    assert [len(near) for near in few["neighbors"]] == [2, 2, 2]
    assert page_data(write_page(tmp_path, circle()[:1]).read_text())["neighbors"] == [[]]


def test_thumbnails_of_8_bits_are_the_images_on_as_many_sheets_as_needed(tmp_path):
    images = colors(230)
    page = write_page(tmp_path, np.random.RandomState(0).randn(230, 3), images).read_text()
    assert len(page_sheets(page)) == 3
    difference = page_thumbnails(page, 230) - images
    assert np.abs(difference).max() <= 6  # the error of JPEG


def test_the_longer_side_of_a_large_image_is_the_size_of_a_thumbnail(tmp_path):
    images = [np.full((60, 120, 3), 40 * row, "uint8") for row in range(5)]
    page = write_page(tmp_path, circle()[:5], images, thumbnail=32).read_text()
    thumb = page_thumbnails(page, 5, cell=32)[2]
    np.testing.assert_allclose(thumb[9:23, 2:-2], 80, atol=4)
    np.testing.assert_allclose(thumb[:6], 255, atol=4)


def test_a_thumbnail_that_is_not_whole_blocks_is_found_in_its_cell(tmp_path):
    page = write_page(tmp_path, images=colors()[:, :8, :8]).read_text()
    places = page_data(page)["places"]["positions"]
    # The sheet is 20 thumbnails wide and cells are two apart, so that 19 thumbnails are 100 %.
    assert float(places[3].removesuffix("%")) == pytest.approx(100 * 6 / 19, abs=0.01)
    assert "background-size:2000% 2000%" in page


def test_five_channels_of_16_bits_are_scaled_by_percentiles_of_each(tmp_path):
    ramp = np.linspace(0, 1, 16)[None, :, None] * [4000, 100, 30000, 1, 1]
    images = np.broadcast_to(ramp, (8, 16, 16, 5)).astype("uint16").copy()
    images[0, 0, 0] = 65535  # an outlier, which does not set the range
    source = keras_isd.data.from_arrays(images)
    shown = page_thumbnails(write_page(tmp_path, images=source).read_text(), 8)[5]
    np.testing.assert_allclose(shown[:, 0], 0, atol=12)
    np.testing.assert_allclose(shown[:, -1], 255, atol=12)
    np.testing.assert_allclose(shown[8, 8], 255 * 8 / 15, atol=12)


def test_floats_of_one_channel_are_grey_from_least_to_most(tmp_path):
    images = np.broadcast_to(np.linspace(-3, 5, 16)[:, None], (8, 16, 16)).astype("float32")
    shown = page_thumbnails(write_page(tmp_path, images=lambda row: images[row]).read_text(), 8)[0]
    assert np.ptp(shown, axis=-1).max() <= 3
    assert shown[0].max() < 12
    assert shown[-1].min() > 243


def test_images_are_read_once_and_an_unreadable_one_is_grey(tmp_path):
    images, read = colors(), []

    def image(row):
        read.append(row)
        if row == 3:
            raise OSError("cut off")
        return images[row]

    def missing(row):
        raise KeyError(f"none at {row}")

    page = write_page(tmp_path, images=image).read_text()
    assert sorted(read) == list(range(8))
    assert page_data(page)["names"][3] == "image 3 (cannot be read)"
    np.testing.assert_allclose(page_thumbnails(page, 8)[3], 225, atol=4)
    with pytest.raises(ValueError, match=r"`images` must .*Received: 8 images.*none at 0"):
        write_page(tmp_path, images=missing)


def test_files_of_a_source_have_their_names_labels_and_classes(tmp_path):
    for name in ("cat/a.png", "cat/b.png", "dog/c.png", "dog/d.png"):
        path = tmp_path / "images" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (16, 16), (200, 30, 30)).save(path)
    path.write_bytes(b"no image")
    source = keras_isd.data.from_folder(tmp_path / "images")
    page = write_page(tmp_path, circle()[:4], source).read_text()
    [by] = page_data(page)["groupings"]
    assert [by["names"][code] for code in by["codes"]] == ["cat", "cat", "dog", "dog"]
    names = page_data(page)["names"]
    assert names[0].endswith("a.png")
    assert names[3].endswith("d.png (cannot be read)")
    np.testing.assert_allclose(page_thumbnails(page, 4)[3], 225, atol=4)


def test_clusters_are_rows_with_the_largest_on_top_and_the_most_central_image_first(tmp_path):
    clusters = [1, 1, 1, 0, 0, 0, 0, -1]
    features = circle([0, 4, 10, 50, 58, 61, 70, 20])
    labels = np.array([0, 0, 1, 1, 1, 1, 1, 0])
    page = write_page(tmp_path, features, clusters=clusters, labels=labels).read_text()
    section = page[page.index("<h2>Clusters") :]
    assert [int(row) for row in re.findall(r'data-row="(\d+)"', section)] == [5, 4, 3, 6, 1, 0, 2]
    assert "<p>Not in a cluster: 1 image.</p>" in section
    assert "<b>Cluster 0</b> 4 images, 100% 1" in section
    assert "<b>Cluster 1</b> 3 images, 67% 0" in section


def test_possible_duplicates_are_side_by_side_with_their_names(tmp_path):
    page = write_page(tmp_path, duplicates=[[0, 6], [1, 2, 3]]).read_text()
    section = page[page.index("<h2>Possible duplicates") :]
    groups = [
        re.findall(r'data-row="(\d+)"', group) for group in section.split('class="strip"')[1:]
    ]
    assert groups == [["0", "6"], ["1", "2", "3"]]
    assert '<span class="name">image 6</span>' in section


def test_names_cannot_end_a_script_or_become_markup(tmp_path):
    names = [ODD] * 8
    page = write_page(
        tmp_path, names=names, labels=[0] * 8, class_names=[ODD], clusters=[0] * 8,
        duplicates=[[0, 1]], title=ODD, facts={ODD: ODD}, tables={ODD: [[ODD], [ODD]]},
    ).read_text()  # fmt: skip
    assert page_data(page)["names"] == names
    assert "<script>alert" not in page
    assert f"<h1>{html.escape(ODD)}</h1>" in page


def test_a_page_of_many_images_is_small_enough_to_send(tmp_path, monkeypatch):
    random = np.random.RandomState(0)
    noise = random.randint(0, 256, (300, 64, 64, 3)).astype("uint8")  # no photograph takes more
    features = random.randn(300, 8).astype("float32")
    small = write_page(tmp_path, features[:4], noise[:4]).stat().st_size
    # As if these were 20,000.
    monkeypatch.setattr(thumbnails, "MAX_SHEET_BYTES", thumbnails.MAX_SHEET_BYTES * 300 // 20_000)
    size = write_page(tmp_path, features, noise).stat().st_size
    assert (size - small) * 20_000 / 300 + small < 60_000_000


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"images": colors()[:7]}, r"`features`.*Received: 8 features, 7 images"),
        ({"features": circle() * np.nan}, r"`features` must be finite"),
        ({"names": ["a"]}, r"`names` must have 8 .*Received: 1 names"),
        ({"labels": [0] * 7}, r"`labels`.*one integer.*shape \(7,\)"),
        ({"labels": [3] * 8, "class_names": ["a"]}, r"`class_names`.*1 names, label 3"),
        ({"clusters": [0] * 9}, r"`clusters`.*one integer.*shape \(9,\)"),
        ({"clusters": [0.5] * 8}, r"`clusters`.*one integer.*float64"),
        ({"duplicates": [[0, 8]]}, r"`duplicates`.*\[0, 8\).*Received: \[0, 8\]"),
        ({"duplicates": [[-1, 2]]}, r"`duplicates`.*Received: \[-1, 2\]"),
        ({"duplicates": [3]}, r"`duplicates`.*Received: 3"),
        ({"method": "mds"}, r"`method`.*Received: method='mds'"),
        ({"neighbors": 0}, r"`neighbors`.*Received: neighbors=0"),
        ({"thumbnail": 0.5}, r"`thumbnail`.*Received: thumbnail=0.5"),
    ],
)
def test_wrong_arguments_are_rejected_before_an_image_is_read(options, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        write_page(tmp_path, **options)
    assert not (tmp_path / "explorer.html").exists()


@pytest.mark.parametrize(
    ("method", "package"),
    [
        ("pca", "numpy"),
        ("tsne", "sklearn"),
        pytest.param("umap", "umap", marks=pytest.mark.nightly),  # it compiles for half a minute
    ],
)
def test_a_page_takes_any_number_of_images_and_features(method, package, tmp_path):
    pytest.importorskip(package, reason=f"{method} needs {package}")
    for shape in [(1, 3), (2, 1), (2, 3), (5, 2), (8, 1)]:
        features = np.random.RandomState(0).randn(*shape)
        page = write_page(tmp_path, features, method=method).read_text()
        assert len(page_data(page)["neighbors"]) == shape[0]
    assert page_data(write_page(tmp_path, np.ones((8, 3)), method=method).read_text())


@pytest.mark.nightly
def test_umap_separates_kinds_and_is_reproducible():
    pytest.importorskip("umap", reason="UMAP needs umap-learn")
    noise = np.random.RandomState(0).randn(60, 8)
    features = (10 * np.eye(8)[np.arange(60) % 3] + noise).astype("float32")
    first, again = (plane_points(features, "umap", seed=0) for _ in range(2))
    np.testing.assert_array_equal(first, again)
    kinds = [first[:, kind::3] for kind in range(3)]
    middles = [points.mean(axis=1, keepdims=True) for points in kinds]
    within = max(np.linalg.norm(points - mid, axis=0).max() for points, mid in zip(kinds, middles))
    between = min(np.linalg.norm(middles[i] - middles[i - 1]) for i in range(3))
    assert within < between / 2


def test_a_missing_umap_is_named_in_the_error(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "umap", None)
    with pytest.raises(ImportError, match=r'pip install "keras-isd\[umap\]"'):
        write_page(tmp_path, method="umap")


# JavaScript for the tests below. PLACE: the position of a row's point on the screen.
PLACE = """(row => {
  const model = name => Bokeh.documents[0].get_model_by_name(name);
  const map = model("map"), points = model("points").data;
  const box = document.querySelector(".map").getBoundingClientRect();
  const at = (value, range) => (value - range.start) / (range.end - range.start);
  return [box.x + at(points.x[row], map.x_range) * map.inner_width,
          box.y + (1 - at(points.y[row], map.y_range)) * map.inner_height];
})"""
READY = """window.Bokeh && Bokeh.documents.length && Bokeh.documents[0].is_idle
  && ["Width", "Height"].every(way => Bokeh.documents[0].get_model_by_name("map")[
    `outer_${way.toLowerCase()}`] === document.querySelector(".map")[`client${way}`])"""
NEAR = "Array.from(document.querySelectorAll('.near .thumb'), thumb => Number(thumb.dataset.row))"
CHOSEN = "document.querySelector('.about b').textContent"


@pytest.fixture(scope="module")
def full(tmp_path_factory):
    """A page with every section, and odd names."""
    figure = keras_isd.visualization.plot_history({"loss": [3.0, 2.0]})
    return write_page(
        tmp_path_factory.mktemp("page"), labels=[0, 0, 0, 1, 1, 1, 1, -1], neighbors=3,
        names=[f"{row} {ODD}" for row in range(8)], class_names=["quick", "slow"],
        clusters=[0, 0, 1, 1, 2, 2, 2, -1], duplicates=[[0, 1], [4, 5]], title=ODD,
        figures={"Course": figure}, tables={"k-NN": [["", "top-1"], ["student", 0.5]]},
        facts={"model": "runs/" + 60 * "long"},
    )  # fmt: skip


@pytest.fixture
def page(full):
    with open_page(full) as found:
        found.wait_for(READY)
        yield found
        assert found.errors == []
        assert found.requests == []


def point_position(page, row):
    return page.value(f"{PLACE}({row})")


def element_center(page, selector):
    script = "const box = found.getBoundingClientRect(); [box.x + box.width / 2, box.y + 20]"
    return page.value(f"(found => {{ {script.replace('; [', '; return [')} }})({selector})")


def test_the_pointer_shows_the_image_its_name_and_its_class(page):
    tip = "document.querySelector('.tip')"
    assert page.value(f"{tip}.hidden")
    page.move(*point_position(page, 7))
    page.wait_for(f"!{tip}.hidden")
    assert page.value(f"{tip}.textContent") == f"7 {ODD}unlabelled, no cluster"
    assert page.value(f"{tip}.querySelector('.picture').getAttribute('aria-label')") == f"7 {ODD}"
    shown = page.value(f"getComputedStyle({tip}.querySelector('.picture')).backgroundImage")
    assert shown.startswith('url("data:image/jpeg;base64,')
    x, y = element_center(page, f"{tip}.querySelector('.picture')")
    color = page.picture()[int(y), int(x)].astype(int)
    np.testing.assert_allclose(color, colors()[7, 0, 0], atol=6)
    page.move(5, 5)
    page.wait_for(f"{tip}.hidden")


def test_a_click_on_a_point_or_a_picture_shows_the_nearest_images(page):
    page.click(*point_position(page, 6))
    page.wait_for("document.querySelector('.near')")
    assert page.value(CHOSEN) == f"6 {ODD}"
    assert page.value(NEAR) == [5, 4, 7]  # at 43 degrees: 41, 40, 47
    similarities = "Array.from(document.querySelectorAll('.near b'), found => found.textContent)"
    assert page.value(similarities) == ["0.999", "0.999", "0.998"]
    page.click(*element_center(page, "document.querySelectorAll('.near .thumb')[2]"))
    page.wait_for(f"{CHOSEN}.startsWith('7 ')")
    assert page.value(NEAR) == [6, 5, 4]
    marks = "Bokeh.documents[0].get_model_by_name('marks').data.x.length"
    assert page.value(marks) == 4


def test_a_picture_of_a_cluster_or_duplicate_can_be_clicked_too(page):
    thumb = "document.querySelector('.pairs [data-row=\"4\"]')"
    page.value(f"{thumb}.scrollIntoView()")
    page.click(*element_center(page, thumb))
    page.wait_for(f"document.querySelector('.near') && {CHOSEN}.startsWith('4 ')")
    assert page.value(NEAR) == [5, 6, 7]


def test_points_are_coloured_by_class_or_cluster_and_one_group_is_highlighted(page):
    glyph = "Bokeh.documents[0].get_model_by_name('dots').glyph.fill_color.field"
    visible = (
        "Array.from(document.querySelectorAll('.legend:not([hidden]) button'), b => b.textContent)"
    )
    assert page.value(glyph) == "class"
    assert page.value(visible) == ["unlabelled 1", "quick 3", "slow 4"]
    before = page.picture()
    page.value(
        "const by = document.getElementById('color-by'); by.value = 'cluster';"
        "by.dispatchEvent(new Event('change', {bubbles: true}))"
    )
    page.wait_for(f"{glyph} === 'cluster'")
    assert page.value(visible) == ["no cluster 1", "cluster 0 2", "cluster 1 2", "cluster 2 3"]
    x, y = (int(at) for at in point_position(page, 2))
    assert not np.array_equal(before[y, x], page.picture()[y, x])
    page.click(
        *element_center(page, "document.querySelector('.legend:not([hidden]) [data-code=\"3\"]')")
    )
    alphas = "Array.from(Bokeh.documents[0].get_model_by_name('points').data.alpha, a => a > 0.5)"
    assert page.value(alphas) == [False] * 4 + [True] * 3 + [False]


def test_the_wheel_zooms_and_reset_restores_the_map(page):
    width = """(range => range.end - range.start)(
      Bokeh.documents[0].get_model_by_name('map').x_range)"""
    before = page.value(width)
    page.scroll(*point_position(page, 3), by=-200)
    page.wait_for(f"{width} < {0.95 * before}")
    page.value("Bokeh.documents[0].get_model_by_name('map').reset.emit()")
    page.wait_for(f"Math.abs({width} - {before}) < 1e-6")


@pytest.mark.parametrize("width", [1280, 400])
def test_the_page_never_scrolls_sideways_and_the_map_fills_its_width(page, width):
    page.resize(width, 900)
    map_width = "Bokeh.documents[0].get_model_by_name('map').outer_width"
    page.wait_for(READY)
    assert page.value("document.documentElement.scrollWidth") == width
    assert page.value(map_width) > (800 if width == 1280 else 360)
    x, y = (int(at) for at in point_position(page, 0))
    assert any(np.ptp(page.picture()[y, x]) > 30 for _ in range(50))  # a colour, at a point


def test_the_policy_of_the_page_blocks_requests(tmp_path):
    path = write_page(tmp_path)
    text = path.read_text()
    without_scripts = re.sub(r"<script.*?</script>", "", text, flags=re.DOTALL)
    assert not re.search(r"https?:|@import|url\((?!data:)|src=", without_scripts)
    path.write_text(text.replace("</body>", '<img src="http://localhost:9/x.png"></body>'))
    with open_page(path) as page:
        page.wait_for(READY)
        assert any("Content Security Policy" in error for error in page.errors)
