"""Array functions for both places: `keras.ops` in a training step, TensorFlow's in tf.data."""

import functools
import types

import keras
import numpy as np


def array_namespace(images):
    """Returns `keras.ops`, or TensorFlow functions of the same names if `images` are in tf.data.

    Under JAX and PyTorch `keras.ops` does not accept TensorFlow's tensors.
    """
    if keras.backend.backend() == "tensorflow" or not is_tensorflow(images):
        return keras.ops
    return _tensorflow_functions()


# NumPy's, for a single image outside of any pipeline: a thousand small steps cost little there.
NUMPY = types.SimpleNamespace(
    abs=np.abs,
    arange=np.arange,
    cast=lambda x, dtype: np.asarray(x, dtype),
    clip=np.clip,
    concatenate=np.concatenate,
    convert_to_tensor=np.asarray,
    matmul=np.matmul,
    maximum=np.maximum,
    mean=np.mean,
    logical_and=np.logical_and,
    reshape=np.reshape,
    shape=np.shape,
    sort=np.sort,
    sqrt=np.sqrt,
    stack=np.stack,
    sum=np.sum,
    swapaxes=np.swapaxes,
    where=np.where,
)


def is_tensorflow(images):
    """Whether these are TensorFlow tensors, checked without importing TensorFlow."""
    return type(images).__module__.startswith("tensorflow")


def _tensorflow_functions():
    from keras_isd.compat.quiet_tensorflow import tf

    return types.SimpleNamespace(
        # Only the functions that operations use.
        abs=tf.abs,
        any=tf.reduce_any,
        arange=lambda *x, dtype=None: tf.cast(tf.range(*x), dtype) if dtype else tf.range(*x),
        argmax=lambda x, axis: tf.argmax(x, axis, output_type="int32"),
        bitwise_and=tf.bitwise.bitwise_and,
        bitwise_xor=tf.bitwise.bitwise_xor,
        cast=tf.cast,
        clip=tf.clip_by_value,
        cond=tf.cond,
        concatenate=tf.concat,
        convert_to_tensor=tf.convert_to_tensor,
        cos=tf.cos,
        exp=tf.exp,
        flip=tf.reverse,
        floor=tf.floor,
        fori_loop=lambda lower, upper, body, initial: tf.while_loop(
            lambda i, x: i < upper, lambda i, x: (i + 1, body(i, x)), (lower, initial)
        )[1],
        log=tf.math.log,
        logical_and=tf.logical_and,
        logical_or=tf.logical_or,
        matmul=tf.matmul,
        maximum=tf.maximum,
        mean=tf.reduce_mean,
        minimum=tf.minimum,
        pad=lambda x, pad_width, mode: tf.pad(x, pad_width, mode.upper()),
        reshape=tf.reshape,
        right_shift=tf.bitwise.right_shift,
        round=tf.round,
        shape=tf.shape,
        sin=tf.sin,
        sort=tf.sort,
        sqrt=tf.sqrt,
        stack=tf.stack,
        sum=tf.reduce_sum,
        switch=lambda index, branches, x: tf.switch_case(
            index, [functools.partial(branch, x) for branch in branches]
        ),
        swapaxes=lambda x, axis1, axis2: tf.linalg.matrix_transpose(x),
        take=lambda x, indices, axis: tf.gather(x, indices, axis=axis),
        transpose=tf.transpose,
        where=tf.where,
    )
