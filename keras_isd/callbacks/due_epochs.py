"""The epochs in which callbacks with `every_n_epochs` are due: one rule for all of them."""


def is_due(epoch, every_n_epochs, epochs):
    """Whether a callback is due at the end of an epoch: the first, every n-th, and the last.

    Args:
        epoch: int, number of the epoch, from 0 as Keras counts.
        every_n_epochs: int >= 1.
        epochs: int, number of the last epoch, from 1.
    """
    number = epoch + 1
    return number % every_n_epochs == 0 or number in (1, epochs)
