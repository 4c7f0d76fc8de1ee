"""The page of an explorer: what is in it, and what it does in a browser."""

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

pytest.importorskip("bokeh", reason="the map is Bokeh's")
pytest.importorskip("matplotlib", reason="figures are matplotlib's")

pytestmark = pytest.mark.one_backend("a page is the same under any backend")

ODD = "<script>alert('x')</script>\" & </script>.png"
# Directions of one quarter of a circle: who is nearest to whom is seen at once.
ANGLES = np.array([0, 1, 3, 7, 40, 41, 43, 47])


def circle(angles=ANGLES):
    angles = np.radians(angles)
    return np.stack([np.cos(angles), np.sin(angles)], axis=1) * np.arange(1, 9)[:, None]


def colors(count=8):
    """Images of one colour each."""
    values = np.random.RandomState(0).randint(40, 216, (count, 1, 1, 3))
    return np.broadcast_to(values, (count, 16, 16, 3)).astype("uint8")


def written(path, features=None, images=None, **options):
    features = circle() if features is None else features
    images = colors(len(features)) if images is None else images
    path = path / "explorer.html"
    write_explorer(path, features, images, **{"method": "pca", **options})
    return path


def data_of(page):
    [found] = re.findall(r'<script type="application/json" id="explorer-data">(.*?)</script>', page)
    return json.loads(found)


def sheets_of(page):
    found = re.findall(r"\.s\d+\{background-image:url\(data:image/jpeg;base64,([^)]+)\)\}", page)
    sheets = (Image.open(io.BytesIO(base64.b64decode(sheet))) for sheet in found)
    return [np.asarray(sheet).astype(int) for sheet in sheets]


def thumbs_of(page, count, cell=16):
    """Thumbnails `(N, cell, cell, 3)`, where their rows say that they are."""
    cells = [
        sheet.reshape(10, cell, 10, cell, 3).swapaxes(1, 2).reshape(100, cell, cell, 3)
        for sheet in sheets_of(page)
    ]
    return np.concatenate(cells)[:count]


def test_nearest_images_are_by_direction_without_the_image_itself(tmp_path):
    data = data_of(written(tmp_path, neighbors=3).read_text())
    assert data["neighbors"][0] == [1, 2, 3]
    assert data["neighbors"][5] == [4, 6, 7]
    assert data["similarities"][0] == [1000, 999, 993]  # cosines of 1, 3 and 7 degrees
    alike = data_of(written(tmp_path, np.ones((5, 2)), neighbors=2).read_text())
    assert all(row not in near for row, near in enumerate(alike["neighbors"]))
    few = data_of(written(tmp_path, circle()[:3], neighbors=8).read_text())
    assert [len(near) for near in few["neighbors"]] == [2, 2, 2]
    assert data_of(written(tmp_path, circle()[:1]).read_text())["neighbors"] == [[]]


def test_thumbnails_of_8_bits_are_the_images_on_as_many_sheets_as_it_takes(tmp_path):
    images = colors(230)
    page = written(tmp_path, np.random.RandomState(0).randn(230, 3), images).read_text()
    assert len(sheets_of(page)) == 3
    difference = thumbs_of(page, 230) - images
    assert np.abs(difference).max() <= 6  # which is JPEG's


def test_the_longer_side_of_a_large_image_is_that_of_a_thumbnail(tmp_path):
    images = [np.full((60, 120, 3), 40 * row, "uint8") for row in range(5)]
    page = written(tmp_path, circle()[:5], images, thumbnail=32).read_text()
    thumb = thumbs_of(page, 5, cell=32)[2]
    np.testing.assert_allclose(thumb[9:23, 2:-2], 80, atol=4)
    np.testing.assert_allclose(thumb[:6], 255, atol=4)


def test_a_thumbnail_that_is_not_whole_blocks_is_found_in_its_cell(tmp_path):
    page = written(tmp_path, images=colors()[:, :8, :8]).read_text()
    places = data_of(page)["places"]["positions"]
    # Of a sheet that is 20 thumbnails wide, cells are two apart, and 19 are the whole way.
    assert float(places[3].removesuffix("%")) == pytest.approx(100 * 6 / 19, abs=0.01)
    assert "background-size:2000% 2000%" in page


def test_five_channels_of_16_bits_are_scaled_by_percentiles_of_each(tmp_path):
    ramp = np.linspace(0, 1, 16)[None, :, None] * [4000, 100, 30000, 1, 1]
    images = np.broadcast_to(ramp, (8, 16, 16, 5)).astype("uint16").copy()
    images[0, 0, 0] = 65535  # odd, and sets no range
    source = keras_isd.data.from_arrays(images)
    shown = thumbs_of(written(tmp_path, images=source).read_text(), 8)[5]
    np.testing.assert_allclose(shown[:, 0], 0, atol=12)
    np.testing.assert_allclose(shown[:, -1], 255, atol=12)
    np.testing.assert_allclose(shown[8, 8], 255 * 8 / 15, atol=12)


def test_floats_of_one_channel_are_grey_from_least_to_most(tmp_path):
    images = np.broadcast_to(np.linspace(-3, 5, 16)[:, None], (8, 16, 16)).astype("float32")
    shown = thumbs_of(written(tmp_path, images=lambda row: images[row]).read_text(), 8)[0]
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

    page = written(tmp_path, images=image).read_text()
    assert sorted(read) == list(range(8))
    assert data_of(page)["names"][3] == "image 3 (cannot be read)"
    np.testing.assert_allclose(thumbs_of(page, 8)[3], 225, atol=4)
    with pytest.raises(ValueError, match=r"8 that cannot, the first of which says: .none at 0"):
        written(tmp_path, images=missing)


def test_files_of_a_source_have_their_names_labels_and_classes(tmp_path):
    for name in ("cat/a.png", "cat/b.png", "dog/c.png", "dog/d.png"):
        path = tmp_path / "images" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (16, 16), (200, 30, 30)).save(path)
    path.write_bytes(b"no image")
    source = keras_isd.data.from_folder(tmp_path / "images")
    page = written(tmp_path, circle()[:4], source).read_text()
    [by] = data_of(page)["groupings"]
    assert [by["names"][code] for code in by["codes"]] == ["cat", "cat", "dog", "dog"]
    names = data_of(page)["names"]
    assert names[0].endswith("a.png")
    assert names[3].endswith("d.png (cannot be read)")
    np.testing.assert_allclose(thumbs_of(page, 4)[3], 225, atol=4)


def test_clusters_are_rows_the_largest_on_top_the_middle_first(tmp_path):
    clusters = [1, 1, 1, 0, 0, 0, 0, -1]
    features = circle([0, 4, 10, 50, 58, 61, 70, 20])
    labels = np.array([0, 0, 1, 1, 1, 1, 1, 0])
    page = written(tmp_path, features, clusters=clusters, labels=labels).read_text()
    section = page[page.index("<h2>Clusters") :]
    assert [int(row) for row in re.findall(r'data-row="(\d+)"', section)] == [5, 4, 3, 6, 1, 0, 2]
    assert "<p>Not in a cluster: 1 image.</p>" in section
    assert "<b>Cluster 0</b> 4 images, 100% 1" in section
    assert "<b>Cluster 1</b> 3 images, 67% 0" in section


def test_duplicates_are_side_by_side_with_their_names(tmp_path):
    page = written(tmp_path, duplicates=[[0, 6], [1, 2, 3]]).read_text()
    section = page[page.index("<h2>Duplicates") :]
    groups = [
        re.findall(r'data-row="(\d+)"', group) for group in section.split('class="strip"')[1:]
    ]
    assert groups == [["0", "6"], ["1", "2", "3"]]
    assert '<span class="name">image 6</span>' in section


def test_names_cannot_end_a_script_or_become_markup(tmp_path):
    names = [ODD] * 8
    page = written(
        tmp_path, names=names, labels=[0] * 8, class_names=[ODD], clusters=[0] * 8,
        duplicates=[[0, 1]], title=ODD, facts={ODD: ODD}, tables={ODD: [[ODD], [ODD]]},
    ).read_text()  # fmt: skip
    assert data_of(page)["names"] == names
    assert "<script>alert" not in page
    assert f"<h1>{html.escape(ODD)}</h1>" in page


def test_the_size_of_many_images_is_within_what_is_sent_to_others(tmp_path, monkeypatch):
    random = np.random.RandomState(0)
    noise = random.randint(0, 256, (300, 64, 64, 3)).astype("uint8")  # no photograph takes more
    features = random.randn(300, 8).astype("float32")
    small = written(tmp_path, features[:4], noise[:4]).stat().st_size
    # As if these were 20,000.
    monkeypatch.setattr(thumbnails, "SHEETS_BYTES", thumbnails.SHEETS_BYTES * 300 // 20_000)
    size = written(tmp_path, features, noise).stat().st_size
    assert (size - small) * 20_000 / 300 + small < 60_000_000


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"images": colors()[:7]}, r"`features`.*Received: 8 features, 7 images"),
        ({"features": circle() * np.nan}, r"`features` must be finite"),
        ({"names": ["a"]}, r"`names`.*8 images\. Received: 1 names"),
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
def test_wrong_arguments_are_refused_before_an_image_is_read(options, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        written(tmp_path, **options)
    assert not (tmp_path / "explorer.html").exists()


@pytest.mark.parametrize(
    ("method", "of"), [("pca", "numpy"), ("tsne", "sklearn"), ("umap", "umap")]
)
def test_a_page_is_of_any_number_of_images_and_features(method, of, tmp_path):
    pytest.importorskip(of, reason=f"{method} is of {of}")
    for shape in [(1, 3), (2, 1), (2, 3), (5, 2), (8, 1)]:
        features = np.random.RandomState(0).randn(*shape)
        page = written(tmp_path, features, method=method).read_text()
        assert len(data_of(page)["neighbors"]) == shape[0]
    assert data_of(written(tmp_path, np.ones((8, 3)), method=method).read_text())


def test_umap_puts_kinds_apart_and_one_seed_gives_one_map():
    pytest.importorskip("umap", reason="UMAP is of umap-learn")
    noise = np.random.RandomState(0).randn(60, 8)
    features = (10 * np.eye(8)[np.arange(60) % 3] + noise).astype("float32")
    first, again = (plane_points(features, "umap", seed=0) for _ in range(2))
    np.testing.assert_array_equal(first, again)
    kinds = [first[:, kind::3] for kind in range(3)]
    middles = [points.mean(axis=1, keepdims=True) for points in kinds]
    within = max(np.linalg.norm(points - mid, axis=0).max() for points, mid in zip(kinds, middles))
    between = min(np.linalg.norm(middles[i] - middles[i - 1]) for i in range(3))
    assert within < between / 2


def test_umap_that_is_not_installed_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "umap", None)
    with pytest.raises(ImportError, match=r'pip install "keras-isd\[umap\]"'):
        written(tmp_path, method="umap")


# What the tests below ask of a page: where on the screen a row's point is.
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
    """A page with all that one can have, and odd names."""
    figure = keras_isd.visualization.plot_history({"loss": [3.0, 2.0]})
    return written(
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
        assert found.asked == []


def place_of(page, row):
    return page.value(f"{PLACE}({row})")


def middle_of(page, selector):
    script = "const box = found.getBoundingClientRect(); [box.x + box.width / 2, box.y + 20]"
    return page.value(f"(found => {{ {script.replace('; [', '; return [')} }})({selector})")


def test_the_pointer_shows_the_image_its_name_and_its_class(page):
    tip = "document.querySelector('.tip')"
    assert page.value(f"{tip}.hidden")
    page.move(*place_of(page, 7))
    page.wait_for(f"!{tip}.hidden")
    assert page.value(f"{tip}.textContent") == f"7 {ODD}unlabelled, no cluster"
    assert page.value(f"{tip}.querySelector('.picture').getAttribute('aria-label')") == f"7 {ODD}"
    shown = page.value(f"getComputedStyle({tip}.querySelector('.picture')).backgroundImage")
    assert shown.startswith('url("data:image/jpeg;base64,')
    x, y = middle_of(page, f"{tip}.querySelector('.picture')")
    color = page.picture()[int(y), int(x)].astype(int)
    np.testing.assert_allclose(color, colors()[7, 0, 0], atol=6)
    page.move(5, 5)
    page.wait_for(f"{tip}.hidden")


def test_a_click_shows_the_nearest_images_and_a_click_on_one_those_of_it(page):
    page.click(*place_of(page, 6))
    page.wait_for("document.querySelector('.near')")
    assert page.value(CHOSEN) == f"6 {ODD}"
    assert page.value(NEAR) == [5, 4, 7]  # at 43 degrees: 41, 40, 47
    similarities = "Array.from(document.querySelectorAll('.near b'), found => found.textContent)"
    assert page.value(similarities) == ["0.999", "0.999", "0.998"]
    page.click(*middle_of(page, "document.querySelectorAll('.near .thumb')[2]"))
    page.wait_for(f"{CHOSEN}.startsWith('7 ')")
    assert page.value(NEAR) == [6, 5, 4]
    marks = "Bokeh.documents[0].get_model_by_name('marks').data.x.length"
    assert page.value(marks) == 4


def test_a_picture_of_a_cluster_or_duplicate_is_clicked_on_too(page):
    thumb = "document.querySelector('.pairs [data-row=\"4\"]')"
    page.value(f"{thumb}.scrollIntoView()")
    page.click(*middle_of(page, thumb))
    page.wait_for(f"document.querySelector('.near') && {CHOSEN}.startsWith('4 ')")
    assert page.value(NEAR) == [5, 6, 7]


def test_colours_are_of_classes_or_of_clusters_and_one_is_picked_out(page):
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
    x, y = (int(at) for at in place_of(page, 2))
    assert not np.array_equal(before[y, x], page.picture()[y, x])
    page.click(
        *middle_of(page, "document.querySelector('.legend:not([hidden]) [data-code=\"3\"]')")
    )
    alphas = "Array.from(Bokeh.documents[0].get_model_by_name('points').data.alpha, a => a > 0.5)"
    assert page.value(alphas) == [False] * 4 + [True] * 3 + [False]


def test_the_wheel_moves_the_map_nearer_and_reset_back(page):
    width = """(range => range.end - range.start)(
      Bokeh.documents[0].get_model_by_name('map').x_range)"""
    before = page.value(width)
    page.scroll(*place_of(page, 3), by=-200)
    page.wait_for(f"{width} < {0.95 * before}")
    page.value("Bokeh.documents[0].get_model_by_name('map').reset.emit()")
    page.wait_for(f"Math.abs({width} - {before}) < 1e-6")


@pytest.mark.parametrize("width", [1280, 400])
def test_the_page_never_scrolls_sideways_and_the_map_fills_its_place(page, width):
    page.resize(width, 900)
    map_width = "Bokeh.documents[0].get_model_by_name('map').outer_width"
    page.wait_for(READY)
    assert page.value("document.documentElement.scrollWidth") == width
    assert page.value(map_width) > (800 if width == 1280 else 360)
    x, y = (int(at) for at in place_of(page, 0))
    assert any(np.ptp(page.picture()[y, x]) > 30 for _ in range(50))  # a colour, at a point


def test_what_the_page_would_ask_for_is_refused_by_its_own_policy(tmp_path):
    path = written(tmp_path)
    text = path.read_text()
    without_scripts = re.sub(r"<script.*?</script>", "", text, flags=re.DOTALL)
    assert not re.search(r"https?:|@import|url\((?!data:)|src=", without_scripts)
    path.write_text(text.replace("</body>", '<img src="http://localhost:9/x.png"></body>'))
    with open_page(path) as page:
        page.wait_for(READY)
        assert any("Content Security Policy" in error for error in page.errors)
