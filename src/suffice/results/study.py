"""What ``suffice study`` answers."""

from typing import Any, Literal

from pydantic import Field

from suffice.results.learning_curve import LearningCurve
from suffice.results.sufficient_size import Criterion, SufficientSize
from suffice.results.value import Estimate, Value


class Cell(Value):
    """One training of a study: a method on the first so many samples of the order of a seed."""

    task: str = Field(description="which classes: all, or their names")
    method: str = Field(description="head, last_layers(n), lora(r) or full")
    size: int = Field(description="number of training samples")
    seed: int = Field(description="of the samples, of what is new in the model, and of the training")
    status: Literal["finished", "diverged"] = Field(
        description="a diverged training has no numbers and is not averaged"
    )
    moving_parameters: int = Field(description="P: parameters that were trained")
    train_loss: float | None = Field(default=None, description="mean loss of the training samples, after training")
    train_accuracy: float | None = Field(default=None, description="share of them that is classified right")
    validation_loss: float | None = Field(default=None, description="mean loss of the validation part")
    validation_accuracy: float | None = Field(default=None, description="share of it that is classified right")
    test_loss: float | None = Field(default=None, description="mean loss of the test part")
    test_loss_error: float | None = Field(default=None, description="standard error of it, over test samples")
    test_accuracy: float | None = Field(default=None, description="share of the test part that is classified right")
    test_f1: float | None = Field(default=None, description="F1 on the test part, the mean over classes; on request")
    test_auroc: float | None = Field(default=None, description="area under the ROC curve, one class against the rest")
    distance: float | None = Field(default=None, description="||w*_k - w_0||: how far the training moved")
    seconds: float | None = Field(default=None, description="of the training alone")


class Retrained(Value):
    """The loss surface at the minima w*_k that trainings on the first k samples of one order reach."""

    task: str = Field(description="which classes")
    method: str = Field(description="what was trained")
    seed: int = Field(description="of the order and the trainings")
    samples: int = Field(description="m: the largest size; the others are prefixes of its samples")
    sizes: list[int] = Field(description="k: of the trainings that are compared, m the last")
    own: list[float] = Field(description="L_k(w*_k): what each was trained on, where it ended")
    own_at_full: list[float] = Field(description="L_k(w*_m): the same samples at the minimum of all")
    full: list[float] = Field(description="L_m(w*_k): all samples at each minimum")
    validation: list[float] = Field(description="mean loss of the validation part at each minimum")
    distance: list[float] = Field(description="||w*_k - w*_m||: how far the minimum moves when samples are added")
    gradient: list[float] = Field(description="||G_k(w*_k)||: 0 at a stationary point")
    gradient_at_full: list[float] = Field(description="||G_k(w*_m)||: 0 at every k by Assumption 1 of the paper")
    curve_sizes: list[int] = Field(description="k: of the curves at fixed w*_m below")
    difference: list[float] = Field(description="typical |L_{k+1} - L_k| at w*_m and around it")
    in_order: list[float] = Field(description="|L_{k+1} - L_k| at w*_m and around it as the samples came")
    remaining: list[float] = Field(description="typical |L_k - L_m| at w*_m and around it")
    null: list[float] = Field(description="S(w*_m) / sqrt(k (k+1)): pure arithmetic")
    coefficient_of_variation: float | None = Field(description="CV = S / L of the validation part at w*_m")
    sufficient_sizes: list[SufficientSize] = Field(description="k* by each criterion and tolerance, at w*_m")


class Check(Value):
    """k* from the landscape beside the size at which held-out loss or accuracy settles."""

    task: str = Field(description="which classes")
    method: str = Field(description="what was trained")
    seed: int = Field(description="of the order and the trainings")
    criterion: Criterion = Field(description="of k*")
    tolerance: float = Field(description="of k*, relative to the mean loss at w*")
    k_star: int | None = Field(description="k* at w*_m; None if it cannot be told")
    k_star_low: int | None = Field(description="lower end of its interval")
    k_star_high: int | None = Field(description="upper end of its interval; None where it has none")
    quantity: Literal["loss", "accuracy"] = Field(description="what has to settle on the test part")
    within: float = Field(description="how near to its final value, at the largest size; of the loss, a share of it")
    held_out_size: int = Field(description="the size from which on it is as near as that")
    low: int = Field(description="lower end of the interval, for which test samples were drawn")
    high: int = Field(description="upper end of the interval")
    censored: bool = Field(
        description="no plateau: the last step of size still gains more, and held_out_size is larger"
    )
    coefficient_of_variation: float | None = Field(description="CV at w*_m: what arithmetic knows without geometry")
    labels_saved: int | None = Field(description="m less k* or the smallest size, whichever is more; not below 0")
    seconds_saved: float | None = Field(description="training time on m samples less that on k*")
    accuracy_lost: float | None = Field(description="test accuracy with m samples less that with k*")


class Agreement(Value):
    """How far k* says where held-out loss or accuracy settles, over all combinations of task, method and seed."""

    criterion: Criterion = Field(description="of k*")
    tolerance: float = Field(description="of k*")
    quantity: Literal["loss", "accuracy"] = Field(description="what settles")
    combinations: int = Field(description="in which k* could be told")
    censored: int = Field(description="of which no plateau was reached; they count with the largest size")
    rank_correlation: Estimate | None = Field(
        description="Spearman's, between k* and the held-out size; the interval draws tasks and methods"
    )
    partial_correlation: Estimate | None = Field(
        description="the same given CV: what k* adds to arithmetic; None where k* goes with CV alone"
    )
    ratio: float | None = Field(description="k* over the held-out size, the geometric mean; censored ones left out")


class Study(Value):
    """The ground truth."""

    cells: list[Cell] = Field(description="every training")
    curves: dict[str, LearningCurve] = Field(description="by method, with all classes")
    subset_curves: dict[str, dict[str, LearningCurve]] = Field(description="by classes, then by method")
    retrained: list[Retrained] = Field(description="the loss surface at the retrained minima")
    check: list[Check] = Field(description="k* against where held-out loss and accuracy settle")
    agreement: list[Agreement] = Field(description="the check in short")


class StudyResult(Value):
    """The content of ``result.json`` of ``suffice study``."""

    schema_version: Literal[1] = Field(default=1, description="version of this layout")
    command: Literal["study"] = Field(default="study", description="what made it")
    model: str = Field(description="the checkpoint")
    data: str = Field(description="the samples")
    classes: int = Field(description="number of classes")
    pool: int = Field(description="samples to train on")
    validation_samples: int = Field(description="samples of the validation part")
    test_samples: int = Field(description="samples of the test part")
    study: Study = Field(description="the ground truth")
    notes: list[str] = Field(description="what one should know of how the inputs were read")
    confidence: float = Field(description="of all intervals")
    configuration: dict[str, Any] = Field(description="what was asked; config.yaml replays it")
    versions: dict[str, str] = Field(description="the software that ran")
