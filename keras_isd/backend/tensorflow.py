"""TensorFlow's graph runs what does not depend on one another in any order."""

import tensorflow as tf


def once_read(data):
    """Context in which what is done waits for the batch.

    Keras reads the batch inside the graph of the step. Where the end of the data is not known
    beforehand the last step is begun and fails on reading, and by then the teacher may have moved.
    """
    return tf.control_dependencies(tf.nest.flatten(data))
