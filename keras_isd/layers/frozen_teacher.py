"""A frozen teacher: any network, in inference mode."""

import keras


@keras.saving.register_keras_serializable("keras_isd")
class FrozenTeacher(keras.layers.Layer):
    """Runs a network in inference mode; it is never trained, and saved only on request.

    Args:
        network: built `keras.Model`, images to features `(B, D)`, of any precision. It is frozen.
        saved: bool, whether files of the surrounding model include the network. A large network is
            better stored once, in a file of its own. Defaults to False.

    Example:

    >>> network = keras_isd.backbones.ConvNet((8, 8, 3), filters=(4,))
    >>> teacher = keras_isd.layers.FrozenTeacher(network)
    >>> tuple(teacher(np.zeros((2, 8, 8, 3))).shape), teacher.trainable_variables
    ((2, 4), [])
    """

    def __init__(self, network, saved=False, **kwargs):
        super().__init__(**{"dtype": network.dtype_policy, **kwargs})
        network.trainable = False
        self.saved = saved
        # Keras tracks the variables under any attribute name, as JAX needs, but saves only
        # attributes whose names do not begin with two underscores (`_walk_saveable` in
        # `saving_lib.py`).
        setattr(self, "network" if saved else "__network__", network)
        self.built = True

    def call(self, images):
        return self.frozen_network()(images, training=False)

    def frozen_network(self):
        """The network; a method, since Keras would save the value of a property."""
        return self.network if self.saved else self.__network__

    @property
    def trainable(self):
        return False

    @trainable.setter
    def trainable(self, value):
        """Does nothing: the teacher stays frozen if the model around it is set to trainable."""

    def get_config(self):
        return {
            **super().get_config(),
            "network": keras.saving.serialize_keras_object(self.frozen_network()),
            "saved": self.saved,
        }

    @classmethod
    def from_config(cls, config):
        network = keras.saving.deserialize_keras_object(config["network"])
        return cls(**{**config, "network": network})
