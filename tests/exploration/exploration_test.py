import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from sklearn.neighbors import LocalOutlierFactor, NearestNeighbors

from keras_isd.exploration import (
    choose_clustering,
    choose_clusters,
    cluster_features,
    find_duplicates,
    find_neighbors,
    outlier_scores,
    select_rows,
)

pytestmark = pytest.mark.one_backend(
    "all but the nearest rows is computed by NumPy and scikit-learn"
)

rows = st.integers(0, 2**31).map(lambda seed: np.random.RandomState(seed).randn(30, 5))


def kinds(*sizes, spread=0.05, seed=0):
    """Features around one direction for each kind, and the kind of each."""
    kind = np.repeat(np.arange(len(sizes)), sizes)
    noise = spread * np.random.RandomState(seed).randn(len(kind), 8)
    return np.eye(8)[kind] + noise, kind


@settings(max_examples=25, deadline=None)
@given(rows)
def test_neighbours_are_scikit_learns_and_never_the_image_itself(features):
    found, similarities = find_neighbors(features, k=4)
    distances, expected = (
        NearestNeighbors(n_neighbors=4, metric="cosine").fit(features).kneighbors()
    )
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_allclose(similarities, 1 - distances, atol=1e-5)


def test_copies_of_an_image_are_its_neighbours_but_the_image_is_not():
    found, similarities = find_neighbors(np.ones((6, 3)), k=5)
    assert [sorted(row) for row in found.tolist()] == [
        [other for other in range(6) if other != row] for row in range(6)
    ]
    np.testing.assert_allclose(similarities, 1, atol=1e-6)


def test_other_images_are_compared_with_all():
    found, _ = find_neighbors(np.eye(3), np.array([[0, 1, 0.1]]), k=2)
    assert found.tolist() == [[1, 2]]


def on_circle(degrees):
    return np.stack([np.cos(np.radians(degrees)), np.sin(np.radians(degrees))], axis=1)


def test_groups_are_joined_through_images_between_them():
    features = on_circle(np.array([0, 8, 16, 60, 90, 91]))  # cos 8 is 0.990, cos 16 is 0.961
    groups = find_duplicates(features, similarity=0.985)
    assert [rows.tolist() for rows in groups] == [[1, 0, 2], [4, 5]]  # the middle one is kept
    assert find_duplicates(features, similarity=0.9999) == []


def test_copies_are_images_nearer_than_usual():
    # One minus the cosine of 3 degrees is 0.0014, of 9 degrees 0.0123, of 10 degrees 0.0152.
    features = on_circle(np.array([0, 10, 20, 30, 33, 43, 53]))
    assert [sorted(rows.tolist()) for rows in find_duplicates(features, k=2)] == [[3, 4]]
    assert find_duplicates(features, ratio=0.05, k=2) == []
    far = on_circle(np.array([0, 30, 60, 90, 99, 129, 159]))  # the same, three times as far apart
    assert [sorted(rows.tolist()) for rows in find_duplicates(far, k=2)] == [[3, 4]]


def test_more_copies_of_an_image_than_k_are_found_if_they_are_exact():
    features = np.concatenate([np.repeat(on_circle(np.array([5.0])), 30, axis=0), np.eye(2)])
    [group] = find_duplicates(features, k=4)
    assert sorted(group.tolist()) == list(range(30))


def test_the_preferred_image_is_kept():
    features = np.array([[1, 0], [1, 0.001], [1, 0.002], [0, 1]])
    [group] = find_duplicates(features, similarity=0.97, prefer=[10, 20, 30, 99])
    assert group.tolist() == [2, 1, 0]


@settings(max_examples=15, deadline=None)
@given(rows, st.integers(1, 7))
def test_groups_do_not_depend_on_the_blocks_that_pairs_are_compared_in(features, block):
    from keras_isd.exploration import duplicates

    whole = [set(rows.tolist()) for rows in find_duplicates(features, similarity=0.7)]
    before, duplicates.BLOCK_ROWS = duplicates.BLOCK_ROWS, block
    try:
        found = [set(rows.tolist()) for rows in find_duplicates(features, similarity=0.7)]
    finally:
        duplicates.BLOCK_ROWS = before
    assert found == whole


@pytest.mark.parametrize("method", ["kmeans", "hdbscan"])
def test_clusters_are_the_kinds_the_largest_first(method):
    features, kind = kinds(10, 30, 20)
    found = cluster_features(features, clusters=3, method=method)
    assert found.tolist() == np.array([2, 0, 1])[kind].tolist()


def test_images_in_no_cluster_are_minus_one():
    features, _ = kinds(20, 20)
    alone = np.concatenate([features, -np.eye(8)[:1]])
    assert cluster_features(alone, method="hdbscan").tolist() == [0] * 20 + [1] * 20 + [-1]


@pytest.mark.parametrize("count", [2, 5, 9])
@pytest.mark.parametrize("images", [90, 360])
def test_the_number_of_clusters_is_that_of_the_features_not_of_the_images(count, images):
    random = np.random.RandomState(count)
    features = random.randn(count, 16)[np.arange(images) % count] + 0.2 * random.randn(images, 16)
    assert choose_clusters(features)[0] == count
    assert cluster_features(features).max() + 1 == count


def test_one_cloud_is_only_divided():
    features = np.random.RandomState(0).randn(200, 12)
    clusters, reason = choose_clusters(features)
    assert (clusters, reason[:21]) == (10, "no number stands out:")


def test_hdbscan_is_chosen_where_k_means_divides_large_clusters():
    random = np.random.RandomState(0)
    sizes = [500, 200, 80, 40, 20, 20, 10, 10, 10, 8, 8, 8]
    kind = np.repeat(np.arange(12), sizes)
    spread = np.where(kind == 0, 0.5, 0.25)[:, None]
    features = random.randn(12, 16)[kind] + spread * random.randn(len(kind), 16)
    method, clusters, reason = choose_clustering(features)
    assert (method, clusters) == ("hdbscan", None)
    assert "of k-means" in reason
    found = cluster_features(features, clusters, method)
    assert np.mean(found == kind) > 0.99  # the largest first, as the kinds are
    assert choose_clustering(kinds(40, 40, 40)[0])[:2] == ("kmeans", 3)
    assert choose_clustering(random.randn(200, 5))[0] == "kmeans"  # one cloud


def test_equal_and_single_images_have_one_cluster():
    assert cluster_features(np.ones((1, 3))).tolist() == [0]
    assert choose_clusters(np.ones((12, 3)))[0] == 1


def test_scores_compare_an_images_distance_with_those_of_its_neighbours():
    degrees = np.radians([0, 60, 90])
    features = np.stack([np.cos(degrees), np.sin(degrees)], axis=1)
    # With one neighbour each: the image at 60 degrees is the neighbour of both others, 1 and 0.518
    # away; its own neighbour is the third.
    to_first, to_third = 1, 2 * np.sin(np.radians(15))
    np.testing.assert_allclose(
        outlier_scores(features, k=1), [to_first / to_third, 1, 1], rtol=1e-5
    )


@settings(max_examples=25, deadline=None)
@given(rows, st.integers(5, 29))
def test_scores_are_scikit_learns_local_outlier_factors(features, k):
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    farthest = NearestNeighbors(n_neighbors=k).fit(unit).kneighbors()[0][:, -1]
    assume(farthest.min() > np.median(farthest) / 2)  # otherwise half of the median counts
    expected = -LocalOutlierFactor(k).fit(unit).negative_outlier_factor_
    np.testing.assert_allclose(outlier_scores(features, k), expected, rtol=1e-3)


def test_images_are_no_outliers_next_to_many_copies_of_one_of_them():
    features, kind = kinds(60, 60, 60, 3, spread=0.1)
    features[:25] = features[0]
    scores = outlier_scores(features, k=10)
    assert set(np.argsort(-scores)[:3]) == set(np.flatnonzero(kind == 3))
    assert scores.max() < 10


def test_copies_are_no_outliers():
    scores = outlier_scores(np.tile([[1.0, 2.0, 3.0]], (9, 1)), k=3)
    np.testing.assert_allclose(scores, 1, rtol=1e-3)


def test_few_images_of_another_kind_stand_out():
    features, kind = kinds(100, 80, 3, spread=0.1)
    assert set(np.argsort(-outlier_scores(features))[:3]) == set(np.flatnonzero(kind == 2))


def test_typical_images_of_each_cluster_are_selected_the_largest_first():
    features, kind = kinds(10, 30, 20)
    chosen = select_rows(features, 3)
    assert kind[chosen].tolist() == [1, 2, 0]
    more = select_rows(features, 3, labelled=chosen)
    assert not set(more) & set(chosen)


def test_clusters_with_a_label_are_selected_last():
    features, kind = kinds(10, 30, 20)
    labelled = np.flatnonzero(kind == 1)[:1]
    assert kind[select_rows(features, 2, labelled=labelled)].tolist() == [2, 0]


@settings(max_examples=15, deadline=None)
@given(rows)
def test_each_next_centre_is_the_farthest_from_all_before(features):
    chosen = select_rows(features, 6, "k_center")
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    for number in range(1, 6):
        nearest = (unit @ unit[chosen[:number]].T).max(axis=1)
        nearest[chosen[:number]] = np.inf
        assert nearest[chosen[number]] == pytest.approx(nearest.min(), abs=1e-6)


@settings(max_examples=10, deadline=None)
@given(rows, st.sampled_from(["typiclust", "k_center"]), st.integers(0, 10))
def test_the_requested_number_of_different_images_is_selected(features, method, taken):
    labelled = np.arange(taken)
    chosen = select_rows(features, 30 - taken, method, labelled)
    assert sorted([*chosen, *labelled]) == list(range(30))


@pytest.mark.parametrize(
    ("call", "word"),
    [
        (lambda x: find_neighbors(x, k=4), "`k` must .*3.*Received: k=4"),
        (lambda x: find_neighbors(x * np.nan), "`features` must be finite"),
        (lambda x: find_duplicates(x, similarity=0), "`similarity`"),
        (lambda x: find_duplicates(x, ratio=2), "`ratio`"),
        (lambda x: find_duplicates(x, prefer=[1]), "`prefer`"),
        (lambda x: cluster_features(x, clusters=5), "`clusters` must .*Received: clusters=5"),
        (lambda x: cluster_features(x, method="dbscan"), "`method`"),
        (lambda x: select_rows(x, 5), "`count` must .*Received: count=5"),
        (lambda x: select_rows(x, 1, labelled=[4]), "`labelled` must .*Received: rows from 4"),
        (lambda x: select_rows(x, 1, "random"), "`method`"),
    ],
)
def test_wrong_arguments_are_named_in_the_error(call, word):
    with pytest.raises(ValueError, match=word):
        call(np.eye(4))


def fifty_kinds(count, seed=0):
    """Features of fifty kinds, spread as those of a network."""
    random = np.random.RandomState(seed)
    return random.randn(50, 16)[np.arange(count) % 50] + 0.5 * random.randn(count, 16)


def test_approximate_neighbours_are_nearly_all_right_and_reproducible():
    pytest.importorskip("faiss", reason="faiss finds them")
    features = fifty_kinds(3000)
    exact, similarities = find_neighbors(features, k=10)
    found, again = (find_neighbors(features, k=10, approximate=True) for _ in range(2))
    np.testing.assert_array_equal(found[0], again[0])
    right = np.mean([len(set(a) & set(b)) / 10 for a, b in zip(exact, found[0])])
    assert right > 0.98
    same = exact[:, 0] == found[0][:, 0]
    np.testing.assert_allclose(found[1][same, 0], similarities[same, 0], atol=1e-5)
    assert not (found[0] == np.arange(3000)[:, None]).any()


@pytest.mark.parametrize("count", [2, 5, 1500])
def test_the_requested_number_of_approximate_neighbours_is_found(count):
    pytest.importorskip("faiss", reason="faiss finds them")
    k = min(count - 1, 400)
    rows, _ = find_neighbors(fifty_kinds(count), k=k, approximate=True)
    assert rows.shape == (count, k)
    assert all(len(set(row)) == k and row.min() >= 0 for row in rows)


def test_copies_and_outliers_are_found_approximately_too():
    pytest.importorskip("faiss", reason="faiss finds them")
    features = fifty_kinds(1500)
    features[7] = features[1] + 1e-4
    assert sorted(find_duplicates(features, approximate=True)[0]) == [1, 7]
    np.testing.assert_allclose(
        outlier_scores(features, 20, approximate=True), outlier_scores(features, 20), rtol=0.05
    )
    with pytest.raises(
        ValueError, match=r"`approximate` must .*Received: approximate=True, similarity=0.9"
    ):
        find_duplicates(features, similarity=0.9, approximate=True)


@pytest.mark.parametrize("seed", range(4))
def test_typiclust_selects_what_the_authors_code_selects(monkeypatch, seed):
    """The authors' loop (TypiClust/deep-al, `typiclust.py`), on the same clusters.

    Their `faiss.IndexFlatL2` returns squared distances.
    """
    random = np.random.RandomState(seed)
    features = random.randn(200, 6)
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    cluster_of = np.sort(np.r_[np.arange(12), random.randint(0, 8, 188)])  # four clusters of one
    monkeypatch.setattr(
        "keras_isd.exploration.selection.cluster_features", lambda *_, **__: cluster_of
    )
    labels, expected = cluster_of.copy(), []
    labels[[3, 50]] = -1
    sizes = {n: (cluster_of == n).sum() for n in range(12)}
    existing = {n: np.isin(np.flatnonzero(cluster_of == n), [3, 50]).sum() for n in range(12)}
    order = sorted((n for n in sizes if sizes[n] > 5), key=lambda n: (existing[n], -sizes[n]))
    for turn in range(10):
        rows = np.flatnonzero(labels == order[turn % len(order)])
        apart = ((features[rows][:, None] - features[rows]) ** 2).sum(axis=-1)
        nearest = np.sort(apart, axis=1)[:, 1 : min(20, len(rows) // 2) + 1]
        expected.append(rows[nearest.mean(axis=1).argmin()])
        labels[expected[-1]] = -1
    found = select_rows(features, 10, labelled=[3, 50])
    assert found.tolist() == expected
    everything = select_rows(features, 198, labelled=[3, 50])
    assert sorted(everything.tolist()) == [row for row in range(200) if row not in (3, 50)]
