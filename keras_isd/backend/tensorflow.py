"""TensorFlow's graph runs what does not depend on one another in any order."""

import tensorflow as tf

from keras_isd.backend.replicas import assert_none_is_empty


def once_read(data):
    """Context in which what is done waits for the batch.

    Keras reads the batch inside the graph of the step. Where the end of the data is not known
    beforehand the last step is begun and fails on reading, and by then what does not depend on the
    batch, as the teacher, the count of steps and random seeds, may have moved.
    """
    tensors = [x for x in tf.nest.flatten(data) if x is not None]
    return tf.control_dependencies([*tensors, *assert_none_is_empty(tensors[0])])
