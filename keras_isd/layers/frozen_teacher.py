"""A teacher that does not move: any network, in inference mode."""

import keras


@keras.saving.register_keras_serializable("keras_isd")
class FrozenTeacher(keras.layers.Layer):
    """Runs a network in inference mode; it is never trained, and saved only if that is asked for.

    Args:
        network: built `keras.Model`, images to features `(B, D)`, of any precision. It is frozen.
        saved: bool, whether files of the model that the layer is part of hold the network. One of
            gigabytes is better kept once, by itself.

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
        # Keras tracks the variables of a layer whatever the attribute is called, as JAX needs them,
        # and saves what lies in attributes whose names do not begin with two underscores
        # (`_walk_saveable` in its `saving_lib.py`).
        setattr(self, "network" if saved else "__network__", network)
        self.built = True

    def call(self, images):
        return self.frozen_network()(images, training=False)

    def frozen_network(self):
        """The network; no property, of which Keras would save the value."""
        return self.network if self.saved else self.__network__

    @property
    def trainable(self):
        return False

    @trainable.setter
    def trainable(self, value):
        """Nothing: whatever its model is set to, the teacher stays frozen."""

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
