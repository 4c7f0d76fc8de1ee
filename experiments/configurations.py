"""The scales at which `examples/cifar.py` runs."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Preset:
    """Scale of a run; what is None is the recipe's."""

    filters: tuple[int, ...] | None = None  # of a ConvNet, instead of the recipe's ResNet
    train_images: int | None = None
    test_images: int | None = None
    epochs: int | None = None
    batch_size: int | None = None
    model: dict = dataclasses.field(default_factory=dict)


PRESETS = {
    "full": Preset(),
    # A ResNet, however narrow, learns little in so few steps.
    "cpu": Preset(
        filters=(24, 48, 96, 192),
        train_images=10_000,
        test_images=2_000,
        epochs=30,
        batch_size=64,
        model={"queue_size": 4096},
    ),
    # What RESULTS.md compares methods at: some three minutes on one core.
    "comparison": Preset(
        filters=(16, 32, 64, 128),
        train_images=10_000,
        test_images=5_000,
        epochs=15,
        batch_size=64,
        model={"queue_size": 4096},
    ),
    # For a test of the program; learns nothing.
    "smoke": Preset(
        filters=(8, 16),
        train_images=256,
        test_images=64,
        epochs=1,
        batch_size=64,
        model={"queue_size": 128},
    ),
}
