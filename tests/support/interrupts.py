"""Interrupts of the computation of features, after a number of batches."""

from keras_isd.evaluation import feature_file, features


class InterruptedFeatures:
    """`iterate_features` that is interrupted after some batches, once for each of `stops`."""

    def __init__(self, monkeypatch, stops):
        self.stops, self.batches = list(stops), 0
        monkeypatch.setattr(feature_file, "iterate_features", self)

    def __call__(self, *arguments):
        stop = self.stops.pop(0) if self.stops else None
        for number, batch in enumerate(features.iterate_features(*arguments)):
            if number == stop:
                raise KeyboardInterrupt
            self.batches += 1
            yield batch
