"""Reproducible random numbers for each image: the counter-based generator Threefry.

TensorFlow's stateless functions use one seed for a whole tensor; here each image of a batch has its
own counter. So an image's numbers do not depend on its batch, on the order of the calls or on the
number of parallel calls.
"""

from keras_isd.compat.quiet_tensorflow import tf

_ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))
_PARITY = 0x1BD11BDA


def threefry(key, counter):
    """Computes Threefry-2x32 with 20 rounds: two random 32-bit words for each pair of counters.

    Args:
        key: pair of scalar uint32 tensors.
        counter: pair of uint32 tensors of the same shape.

    Returns:
        Pair of uint32 tensors of the same shape.

    Source: Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", 2011.
    """
    keys = (*key, key[0] ^ key[1] ^ tf.constant(_PARITY, tf.uint32))
    x, y = counter[0] + keys[0], counter[1] + keys[1]
    for group in range(5):
        for rotation in _ROTATIONS[group % 2]:
            x = x + y
            y = (_shift(tf.bitwise.left_shift, y, rotation)) | (
                _shift(tf.bitwise.right_shift, y, 32 - rotation)
            )
            y = x ^ y
        x = x + keys[(group + 1) % 3]
        y = y + keys[(group + 2) % 3] + tf.constant(group + 1, tf.uint32)
    return x, y


def uniform(seed, epoch, rows, view, count):
    """Draws uniform numbers in [0, 1) for one view of each image in one epoch.

    Args:
        seed, epoch: ints or scalar tensors.
        rows: `(B,)` int64 tensor, the images' row numbers.
        view: int in [0, 2**16); 0 is the query, 1 the key.
        count: int, the number of draws of a view; at most 2**17.

    Returns:
        `(B, count)` float32 tensor.
    """
    pairs = (count + 1) // 2
    which = tf.constant([view << 16 | pair for pair in range(pairs)], tf.uint32)
    rows = tf.cast(rows, tf.uint32)[:, None]
    counter = (rows + tf.zeros((1, pairs), tf.uint32), which[None] + 0 * rows)
    key = (tf.cast(seed, tf.uint32), tf.cast(epoch, tf.uint32))
    words = tf.concat(threefry(key, counter), axis=1)[:, :count]
    # A float32 in [0, 1) holds 24 random bits.
    return tf.cast(_shift(tf.bitwise.right_shift, words, 8), tf.float32) * 2.0**-24


def _shift(function, words, by):
    return function(words, tf.constant(by, tf.uint32))
