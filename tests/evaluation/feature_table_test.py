import numpy as np
import pytest

from keras_isd.evaluation import Features, feature_table, load_features, save_features

pytestmark = pytest.mark.one_backend("tables are the same under any backend")
ENDINGS = [".parquet", ".csv", ".npz"]


def make_features(count=10, labels=True, names=True, seed=0):
    random = np.random.RandomState(seed)
    return Features(
        random.randn(count, 3).astype("float32"),
        random.randint(-1, 3, count).astype("int32") if labels else None,
        2 * np.arange(count),
        [f'a "{i}",\n/ä.png' for i in range(count)] if names else None,
    )


def assert_equal(found, expected):
    for one, other in zip(found, expected):
        np.testing.assert_array_equal(one, other)
    assert found.names == expected.names
    assert (found.class_names, found.facts) == (expected.class_names, expected.facts)


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize(("labels", "names"), [(True, True), (False, False)])
def test_a_table_is_read_as_it_was_written(tmp_path, monkeypatch, ending, labels, names):
    monkeypatch.setattr(feature_table, "PIECE_ROWS", 4)
    written = make_features(labels=labels, names=names)
    save_features(tmp_path / f"features{ending}", written)
    assert_equal(load_features(tmp_path / f"features{ending}"), written)
    assert [path.name for path in tmp_path.iterdir()] == [f"features{ending}"]


def make_described(folder, model="m1"):
    """Features of files in a folder, with classes and facts."""
    names = [str(folder / name) for name in ("cats/1.png", "cats/2.png", "dogs/1.png", "new.png")]
    labels = np.array([0, 0, 1, -1], "int32")
    about = {"facts": {"model": model, "correction": "none, of 2"}, "root": folder}
    about["class_names"] = ["cat", "dog", "none of these"]
    return Features(np.eye(4, dtype="float32"), labels, np.arange(4), names, **about)


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_table_keeps_classes_and_facts(tmp_path, ending):
    written = make_described(tmp_path / "images")
    save_features(tmp_path / f"f{ending}", written)
    found = load_features(tmp_path / f"f{ending}")
    assert_equal(found, written)
    assert found.root == (None if ending == ".csv" else str(tmp_path / "images"))


@pytest.mark.parametrize("ending", [".parquet", ".npz"])
def test_names_are_relative_to_a_folder_that_may_be_moved(tmp_path, ending):
    save_features(tmp_path / f"f{ending}", make_described(tmp_path / "images"))
    stored = (tmp_path / f"f{ending}").read_bytes()
    if ending == ".npz":
        with np.load(tmp_path / f"f{ending}") as arrays:
            assert arrays["name"].tolist() == ["cats/1.png", "cats/2.png", "dogs/1.png", "new.png"]
    assert stored.count(str(tmp_path).encode()) <= 3  # Parquet keeps its metadata twice
    moved = load_features(tmp_path / f"f{ending}", root=tmp_path / "moved")
    assert moved.names[:2] == [str(tmp_path / "moved" / f"cats/{i}.png") for i in (1, 2)]
    # Also of a shard whose files share a deeper folder.
    part = make_described(tmp_path / "images")
    save_features(tmp_path / f"part{ending}", part, rows=[0, 1])
    assert load_features(tmp_path / f"part{ending}", root="moved").names[0] == "moved/cats/1.png"


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_root_is_refused_where_names_are_not_relative(tmp_path, ending):
    save_features(tmp_path / f"f{ending}", make_features())
    with pytest.raises(ValueError, match=r"Received: .*no names relative.*root="):
        load_features(tmp_path / f"f{ending}", root=tmp_path)
    elsewhere = make_described(tmp_path / "images")._replace()
    elsewhere.root = str(tmp_path / "other")
    save_features(tmp_path / f"g{ending}", elsewhere)
    assert load_features(tmp_path / f"g{ending}").names == elsewhere.names


@pytest.mark.parametrize("ending", ENDINGS)
def test_tables_of_two_models_are_not_mixed(tmp_path, ending):
    for number, model in enumerate(["m1", "m1", "m2"]):
        part = make_described(tmp_path / f"part{number}", model)
        save_features(tmp_path / f"f{number}{ending}", part)
    one, same, other = (tmp_path / f"f{number}{ending}" for number in range(3))
    found = load_features([one, same])
    assert found.facts["model"] == "m1"
    assert found.class_names == ["cat", "dog", "none of these"]
    assert found.names[4] == str(tmp_path / "part1" / "cats/1.png")
    with pytest.raises(ValueError, match=r"one model.*Received: model m1 and m2, in .*f0.*f2"):
        load_features([one, other])
    save_features(tmp_path / f"old{ending}", make_features(4))
    with pytest.raises(ValueError, match=r"Received: .*model m1 and unknown"):
        load_features([one, tmp_path / f"old{ending}"])
    others = make_described(tmp_path / "part3")
    others.class_names = ["dog", "cat"]
    save_features(tmp_path / f"classes{ending}", others)
    with pytest.raises(ValueError, match=r"the same classes. Received: .*'dog', 'cat'"):
        load_features([one, tmp_path / f"classes{ending}"])


@pytest.mark.parametrize("ending", ENDINGS)
def test_shards_with_other_classes_are_read_together(tmp_path, ending):
    whole = make_described(tmp_path / "images")
    for number, rows in enumerate(([0, 1], [2, 3]), start=1):
        save_features(tmp_path / f"f-{number}-of-2{ending}", whole, rows)
    found = load_features(tmp_path / f"f-*-of-2{ending}")
    assert_equal(found, whole)


def test_parts_are_joined_in_the_order_of_their_names(tmp_path):
    parts = [make_features(seed=seed) for seed in (1, 2)]
    for number, part in enumerate(parts, start=1):
        save_features(tmp_path / f"part-{number}-of-2.npz", part)
    found = load_features(tmp_path / "part-*-of-2.npz")
    np.testing.assert_array_equal(found.features, np.concatenate([p.features for p in parts]))
    assert found.names == parts[0].names + parts[1].names


def test_a_parquet_table_has_a_column_of_lists(tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet", reason="reads Parquet")
    save_features(tmp_path / "features.parquet", make_features(2))
    table = parquet.read_table(tmp_path / "features.parquet").to_pydict()
    assert list(table) == ["name", "index", "label", "features"]
    assert np.shape(table["features"]) == (2, 3)


def test_arrays_of_objects_are_refused(tmp_path):
    np.savez(tmp_path / "bad.npz", features=np.array([{}], dtype=object), index=np.arange(1))
    with pytest.raises(ValueError, match=r"`path` must.*Received: .*bad\.npz"):
        load_features(tmp_path / "bad.npz")


def test_the_error_names_a_missing_part(tmp_path):
    for number in (1, 3):
        save_features(tmp_path / f"f-{number}-of-3.csv", make_features(2))
    with pytest.raises(ValueError, match="without part 2"):
        load_features(tmp_path / "f-*-of-3.csv")
    with pytest.raises(ValueError, match="without part 2, 3"):
        load_features([tmp_path / "f-1-of*.csv"])
    assert len(load_features([tmp_path / "f-1-of-3.csv"]).features) == 2  # named in full
    with pytest.raises(ValueError, match=r"`path` must.*Received: .*other\.csv"):
        load_features([tmp_path / "f-1-of-3.csv", tmp_path / "other.csv"])


@pytest.mark.parametrize("ending", ENDINGS)
def test_only_the_chosen_rows_are_written(tmp_path, monkeypatch, ending):
    monkeypatch.setattr(feature_table, "PIECE_ROWS", 2)
    whole = make_features()
    save_features(tmp_path / f"f{ending}", whole, rows=[7, 1, 4])
    found = load_features(tmp_path / f"f{ending}")
    np.testing.assert_array_equal(found.features, whole.features[[7, 1, 4]])
    assert found.names == [whole.names[row] for row in (7, 1, 4)]


@pytest.mark.parametrize("contents", ["", "name,cluster\na,1\n"])
def test_a_table_without_features_is_refused(tmp_path, contents):
    (tmp_path / "clusters.csv").write_text(contents)
    with pytest.raises(ValueError, match=r"`path` must.*Received: .*clusters\.csv"):
        load_features(tmp_path / "clusters.csv")


@pytest.mark.parametrize(
    ("path", "received"), [("no.csv", r"no\.csv"), (__file__, r"feature_table_test\.py")]
)
def test_a_missing_file_and_another_ending_are_refused(path, received):
    with pytest.raises(ValueError, match=rf"`path` must.*Received: .*{received}"):
        load_features(path)


def test_a_csv_table_may_come_back_from_a_spreadsheet(tmp_path):
    expected = make_features()
    save_features(tmp_path / "a.csv", expected)
    text = (tmp_path / "a.csv").read_text()
    for encoding in ("utf-8-sig", "utf-16"):
        (tmp_path / "b.csv").write_bytes(text.encode(encoding))
        assert_equal(load_features(tmp_path / "b.csv"), expected)
    small = make_features(names=False)
    save_features(tmp_path / "a.csv", small)
    lines = (tmp_path / "a.csv").read_text().splitlines()
    more = [lines[0] + ",note", *(f"{line},{number}" for number, line in enumerate(lines[1:]))]
    (tmp_path / "b.csv").write_text("\n".join(more))
    assert_equal(load_features(tmp_path / "b.csv"), small)


def test_another_encoding_is_an_error_that_names_the_file(tmp_path):
    save_features(tmp_path / "a.csv", make_features())
    contents = (tmp_path / "a.csv").read_text().encode("cp1252")
    (tmp_path / "a.csv").write_bytes(contents)
    with pytest.raises(ValueError, match=r"Received: .*a\.csv.*in UTF-8 or UTF-16.*line 3"):
        load_features(tmp_path / "a.csv")


def test_names_that_are_null_are_refused(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    save_features(tmp_path / "a.parquet", make_features())
    table = pq.read_table(tmp_path / "a.parquet")
    place = table.column_names.index("name")
    names = table["name"].to_pylist()
    table = table.set_column(place, "name", pa.array([*names[:4], None, *names[5:]]))
    pq.write_table(table, tmp_path / "a.parquet")
    with pytest.raises(ValueError, match=r"Received: .*a\.parquet.*row 4 has no name"):
        load_features(tmp_path / "a.parquet")
