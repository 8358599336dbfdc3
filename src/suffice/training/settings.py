"""How each method is trained: its learning rate where none is asked for, and what the configuration says."""

from suffice.configuration import FineTunedConfig, TrainingConfig
from suffice.training.fine_tune import FineTuning
from suffice.training.parts import Series

RATES = {"head": 3e-3, "last_layers": 3e-4, "lora": 1e-3, "full": 1e-4}
"""Peak learning rates by default: the fewer parameters move, the faster they may."""


def training_of(
    config: FineTunedConfig, asked: TrainingConfig, series: Series, patience: int | None = None
) -> FineTuning:
    """The settings of a series' trainings, at the method's rate where none is asked for."""
    return FineTuning(
        steps=asked.steps if asked.epochs is None else None,
        epochs=asked.epochs or 1,
        learning_rate=asked.learning_rate or RATES[series.method.partition("(")[0]],
        batch_size=asked.train_batch_size,
        weight_decay=asked.weight_decay,
        seed=series.seed,
        optimizer=config.optimizer,
        patience=patience,
    )
