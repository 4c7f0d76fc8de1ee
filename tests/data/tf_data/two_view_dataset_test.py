"""Views and order depend only on (seed, epoch, row, view)."""

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

tf = pytest.importorskip("tensorflow", reason="tf.data is TensorFlow's")
from keras_isd import augmentation, data  # noqa: E402
from keras_isd.data.tf_data import datasets  # noqa: E402
from keras_isd.data.tf_data.order import EpochOrder  # noqa: E402
from tests.support.photographs import photographs, small_photographs  # noqa: E402

pytestmark = pytest.mark.one_backend("tf.data is the same under any backend")


# 22 parts of two photographs make five batches of four, with two images left over.
PHOTOGRAPHS = np.stack([p[y : y + 40, 100:140] for p in photographs() for y in range(0, 385, 35)])
LABELS = np.arange(len(PHOTOGRAPHS), dtype="int32")
STRONG, WEAK = augmentation.strong(24), augmentation.weak(24)  # `WEAK` is quicker to compile
KINDS = {
    "source": lambda: data.from_arrays(PHOTOGRAPHS, LABELS),
    "stream": lambda: tf.data.Dataset.from_tensor_slices((PHOTOGRAPHS, LABELS)),
}


def batches(kind="source", **arguments):
    arguments = {"query": WEAK, "key": WEAK, "batch_size": 4, "seed": 7, **arguments}
    return data.two_view_dataset(KINDS[kind](), **arguments)


def read_bytes(dataset, epochs=1):
    """Reads some passes: a list of the bytes of each batch."""
    found = []
    for _ in range(epochs):
        for views, labels in dataset:
            found.append(b"".join(x.numpy().tobytes() for x in (*views.values(), labels)))
    return found


def by_label(dataset):
    return {
        label: (query, key)
        for views, labels in dataset
        for query, key, label in zip(
            views["query"].numpy(), views["key"].numpy(), labels.numpy().tolist(), strict=True
        )
    }


@pytest.mark.parametrize("kind", KINDS)
def test_the_stream_is_equal_byte_for_byte_for_any_number_of_calls(kind):
    expected = read_bytes(batches(kind, query=STRONG), epochs=2)
    assert len(set(expected)) == 10  # five steps a pass, all different
    for calls in (1, 2):
        keras.utils.set_random_seed(90 + calls)
        assert (
            read_bytes(batches(kind, query=STRONG, num_parallel_calls=calls), epochs=2) == expected
        )
    assert read_bytes(batches(kind, query=STRONG, seed=8)) != expected[:5]


@pytest.mark.parametrize("kind", KINDS)
def test_a_long_pass_has_more_threads_and_the_same_views(kind, monkeypatch):
    few = batches(kind, query=STRONG)
    assert few.options().threading.private_threadpool_size is None
    monkeypatch.setattr(datasets, "MANY_IMAGES", len(PHOTOGRAPHS))
    many = batches(kind, query=STRONG)
    assert many.options().threading.private_threadpool_size >= 3
    assert read_bytes(many, epochs=2) == read_bytes(few, epochs=2)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("epoch", "step"), [(0, 3), (2, 0), (1, 4)])
def test_a_resumed_stream_equals_the_uninterrupted_one(kind, epoch, step):
    whole = read_bytes(batches(kind), epochs=3)
    resumed = batches(kind, initial_epoch=epoch, initial_step=step)
    assert read_bytes(resumed, epochs=3 - epoch) == whole[5 * epoch + step :]


def test_views_do_not_depend_on_the_batch_of_an_image():
    one = by_label(batches(batch_size=4, drop_remainder=False))
    other = by_label(batches(batch_size=11, shuffle_buffer=0))
    assert sorted(one) == sorted(other) == list(range(22))
    for label, views in one.items():
        for view, twin in zip(views, other[label], strict=True):
            # XLA may order sums differently for other shapes.
            np.testing.assert_allclose(view, twin, atol=1e-4)


def test_each_epoch_has_every_image_once_in_a_new_order_with_new_views():
    dataset = batches(drop_remainder=False)
    epochs = [list(dataset) for _ in range(3)]
    orders = [tuple(label for _, labels in e for label in labels.numpy()) for e in epochs]
    assert len(set(orders)) == 3
    for order in orders:
        assert sorted(order) == list(range(22))
    first, second = by_label(epochs[0]), by_label(epochs[1])
    for label in range(22):
        assert np.abs(first[label][0] - second[label][0]).max() > 0.02
        assert np.abs(first[label][0] - first[label][1]).max() > 0.02


def test_subsets_draw_views_by_their_own_rows():
    source = data.from_arrays(PHOTOGRAPHS, LABELS).subset(np.arange(4, 12))
    found = by_label(data.two_view_dataset(source, WEAK, WEAK, batch_size=4, seed=7))
    assert sorted(found) == list(range(4, 12))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("start", [{}, {"initial_epoch": 1, "initial_step": 2}])
def test_the_workers_batches_of_a_step_are_together_one_large_batch(kind, start):
    one = list(batches(kind, batch_size=6, **start))
    shards = [
        list(batches(kind, batch_size=2, num_shards=3, shard_index=index, **start))
        for index in range(3)
    ]
    assert [len(shard) for shard in shards] == [len(one)] * 3  # 4 of 22 images are dropped
    for whole, *parts in zip(one, *shards, strict=True):
        expected = by_label([whole])
        found = {label: views for part in parts for label, views in by_label([part]).items()}
        assert sorted(found) == sorted(expected)
        for label, views in found.items():
            for view, twin in zip(views, expected[label], strict=True):
                np.testing.assert_allclose(view, twin, atol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_fit_knows_how_long_an_epoch_is(kind):
    assert len(batches(kind)) == 5
    assert len(batches(kind, drop_remainder=False)) == 6
    assert len(list(batches(kind, drop_remainder=False))) == 6


def test_batches_without_labels_are_views():
    source = data.from_arrays(PHOTOGRAPHS)
    views = next(iter(data.two_view_dataset(source, STRONG, WEAK, batch_size=4)))
    assert {name: tuple(v.shape) for name, v in views.items()} == {
        "query": (4, 24, 24, 3),
        "key": (4, 24, 24, 3),
    }


def test_without_a_seed_the_global_seed_determines_the_stream():
    def stream(seed):
        keras.utils.set_random_seed(seed)
        return read_bytes(batches(seed=None))

    assert stream(1) == stream(1)
    assert stream(1) != stream(2)


def test_files_of_many_sizes_give_the_same_views_as_arrays(tmp_path):
    sizes = [(40, 52), (64, 33), (90, 90), (31, 60)]
    images = [p[:h, :w] for p, (h, w) in zip(small_photographs(), sizes, strict=True)]
    for number, image in enumerate(images):
        Image.fromarray(image).save(tmp_path / f"{number}.png")
    source = data.from_folder(tmp_path)
    found = next(iter(data.two_view_dataset(source, STRONG, WEAK, 4, seed=3, shuffle_buffer=0)))
    for row, image in enumerate(images):
        # The same row in an array of images of that size.
        alone = data.from_arrays(np.stack([image] * 4))
        views = data.two_view_dataset(alone, STRONG, WEAK, 4, seed=3, shuffle_buffer=0)
        for name, view in next(iter(views)).items():
            np.testing.assert_allclose(found[name][row], view[row], atol=2e-3)


def test_custom_functions_make_views_of_batches_in_order():
    dataset = tf.data.Dataset.range(5)
    pairs = data.two_view_dataset(
        dataset, lambda x: x, lambda x: -x, batch_size=3, shuffle_buffer=0, drop_remainder=False
    )
    found = [{k: list(v.numpy()) for k, v in batch.items()} for batch in pairs]
    assert found == [
        {"query": [0, 1, 2], "key": [0, -1, -2]},
        {"query": [3, 4], "key": [-3, -4]},
    ]


@pytest.mark.parametrize(
    "view", [lambda x: x, augmentation.Augmenter([augmentation.HorizontalFlip()])]
)
def test_images_of_many_sizes_need_views_that_begin_with_a_crop(view):
    dataset = tf.data.Dataset.from_generator(
        lambda: iter([np.zeros((4, 4, 3))]),
        output_signature=tf.TensorSpec((None, None, 3), tf.float32),
    )
    with pytest.raises(ValueError, match=r"`Augmenter`.*Received: "):
        list(data.two_view_dataset(dataset, view, view, batch_size=1))


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        ({"batch_size": 0}, "batch_size"),
        ({"batch_size": 23}, "batch_size"),
        ({"initial_step": 5}, "initial_step"),
        ({"initial_step": -1}, "initial_step"),
        ({"batch_size": 8, "num_shards": 3}, "batch_size"),
        ({"num_shards": 2, "shard_index": 2}, "shard_index"),
        ({"num_shards": 2, "drop_remainder": False}, "shard_index"),
    ],
)
def test_arguments_that_leave_no_batch_are_refused(arguments, name):
    with pytest.raises(ValueError, match=f"`{name}` must .* Received: {name}="):
        batches(**arguments)


@settings(max_examples=20, deadline=None)
@given(count=st.integers(1, 300), seed=st.integers(0, 2**31 - 1), epoch=st.integers(0, 1000))
def test_every_order_is_a_permutation(count, seed, epoch):
    def order(epoch, first=0):
        passes = EpochOrder(1, seed, initial_epoch=epoch, initial_step=first)
        batches = passes.rows(count, tf.constant(epoch, tf.int64))
        return [int(row) for batch in batches.as_numpy_iterator() for row in batch]

    whole = order(epoch)
    assert sorted(whole) == list(range(count))
    assert order(epoch, first=count // 2) == whole[count // 2 :]
    if count > 20:
        assert order(epoch + 1) != whole


@pytest.mark.parametrize("kind", KINDS)
def test_row_numbers_are_added_on_request(kind):
    for views, labels in batches(kind, with_index=True):
        np.testing.assert_array_equal(views["index"], labels)  # each row's label is its number
        assert views["index"].dtype == tf.int32
    assert set(next(iter(batches(kind)))[0]) == {"query", "key"}


@pytest.mark.parametrize("steps_known", [True, False])
@pytest.mark.parametrize("first", [(0, 0), (2, 1)])
def test_an_incomplete_pass_does_not_advance_the_epoch(steps_known, first):
    images = np.random.RandomState(0).randint(0, 256, (20, 8, 8, 3)).astype("uint8")
    weak = augmentation.weak(8)

    def batches():
        dataset = data.from_arrays(images)
        if not steps_known:
            dataset = tf.data.Dataset.from_tensor_slices(images).filter(lambda image: True)
        place = {"initial_epoch": first[0], "initial_step": first[1]}
        return data.two_view_dataset(dataset, weak, weak, batch_size=4, seed=3, **place)

    def passes(dataset, count):
        return [np.stack([batch["query"] for batch in dataset]) for _ in range(count)]

    expected = passes(batches(), 3)
    assert [len(views) for views in expected] == [5 - first[1], 5, 5]
    dataset = batches()
    for _ in range(3):
        first_batch = next(iter(dataset))["query"]
        np.testing.assert_array_equal(first_batch, expected[0][0])
    found = passes(dataset, 2)
    list(dataset.take(2))
    found += passes(dataset, 1)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other)
    assert np.abs(expected[1] - expected[2]).max() > 0.1


def make_dataset(*shape, dtype="uint8"):
    return tf.data.Dataset.from_tensor_slices(np.zeros((4, *shape), dtype))


@pytest.mark.parametrize(
    "dataset",
    [
        make_dataset(8, 8),
        make_dataset(8, 8, 3).batch(2),
        make_dataset(8, 8, 3).map(lambda image: {"image": image}),
        make_dataset(8, 8, 3).map(lambda image: (image, 1.5)),
        make_dataset(8, 8, 3).map(lambda image: (image, 1, 2)),
        make_dataset(dtype="int64").map(lambda x: "a.png"),
        np.zeros((4, 8, 8, 3), "uint8"),
        "photos",
        ["a.png"],
    ],
    ids=lambda dataset: type(dataset).__name__,
)
@pytest.mark.parametrize("views", [1, 2])
def test_data_other_than_images_are_refused_early(dataset, views):
    make = {1: data.one_view_dataset, 2: data.two_view_dataset}[views]
    weak = [augmentation.weak(8)] * views
    with pytest.raises(ValueError, match=r"`dataset` must .*Received: "):
        make(dataset, *weak, batch_size=2)


@pytest.mark.parametrize("sizes", [(8, 8), (None, None)])
def test_unknown_channels_are_checked_when_images_are_read(sizes):
    weak = augmentation.weak(8)

    def images(channels):
        unknown = tf.TensorSpec((*sizes, None), "uint8")
        image = np.zeros((8, 8, channels), "uint8")
        return tf.data.Dataset.from_generator(
            lambda: iter([image, image]), output_signature=unknown
        )

    [batch] = data.two_view_dataset(images(3), weak, weak, batch_size=2)
    assert batch["query"].shape == (2, 8, 8, 3)
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"\[8,8,4\]|\[2,8,8,4\]"):
        list(data.two_view_dataset(images(4), weak, weak, batch_size=2))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", [None, 3])
def test_views_that_repeat_their_draws_each_epoch_cause_a_warning(kind, seed, caplog):
    def bright(images):
        return tf.image.random_brightness(tf.cast(images, tf.float32), 50.0)

    before = tf.compat.v1.random.get_seed(None)[0]
    tf.random.set_seed(seed)
    try:
        with caplog.at_level("WARNING", logger="absl"):
            batches = data.two_view_dataset(KINDS[kind](), bright, bright, 8, seed=0)
        epochs = [[float(tf.reduce_sum(batch[0]["query"])) for batch in batches] for _ in range(2)]
        total = np.sort(np.concatenate(epochs))
        assert ("draws the same numbers in every epoch" in caplog.text) == (seed is not None)
        assert seed is not None or len(np.unique(total)) == len(total)
    finally:
        tf.random.set_seed(before)


def test_views_made_by_stateless_operations_cause_no_warning(caplog):
    def bright(images):
        images = tf.cast(images, tf.float32)
        return tf.image.stateless_random_brightness(images, 50.0, (1, 2))

    tf.random.set_seed(3)
    try:
        with caplog.at_level("WARNING", logger="absl"):
            data.two_view_dataset(data.from_arrays(PHOTOGRAPHS), bright, bright, 8)
    finally:
        tf.random.set_seed(None)
    assert not caplog.text


def test_custom_functions_accept_any_number_of_channels():
    def view(images):
        return tf.cast(images, "float32")

    [batch] = data.two_view_dataset(make_dataset(8, 8, 4), view, view, batch_size=4)
    assert batch["key"].shape == (4, 8, 8, 4)
