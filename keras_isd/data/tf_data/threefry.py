"""Random numbers that depend on what they are for and on nothing else.

TensorFlow's stateless functions take one seed for a whole tensor; here every image of a batch has
its own counter. So the numbers of an image do not change with the batch that it is in, with the
order of the calls or with how many run at a time.
"""

from keras_isd.compat.quiet_tensorflow import tf

_ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))
_PARITY = 0x1BD11BDA


def threefry(key, counter):
    """Threefry-2x32 of 20 rounds: two words of 32 random bits for each pair of counters.

    Args:
        key: pair of scalar uint32 tensors.
        counter: pair of uint32 tensors of one shape.

    Returns:
        Pair of uint32 tensors of that shape.

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
    """Numbers in [0, 1), `(B, count)` float32, for one view of each image in one epoch.

    Args:
        seed, epoch: integers or scalar tensors.
        rows: `(B,)` int64, the images' numbers.
        view: int in [0, 2**16), 0 for the query, 1 for the key.
        count: int, how many numbers a view takes; at most 2**17.
    """
    pairs = (count + 1) // 2
    which = tf.constant([view << 16 | pair for pair in range(pairs)], tf.uint32)
    rows = tf.cast(rows, tf.uint32)[:, None]
    counter = (rows + tf.zeros((1, pairs), tf.uint32), which[None] + 0 * rows)
    key = (tf.cast(seed, tf.uint32), tf.cast(epoch, tf.uint32))
    words = tf.concat(threefry(key, counter), axis=1)[:, :count]
    # 24 bits are all that a float32 in [0, 1) holds.
    return tf.cast(_shift(tf.bitwise.right_shift, words, 8), tf.float32) * 2.0**-24


def _shift(function, words, by):
    return function(words, tf.constant(by, tf.uint32))
