"""Results of ``suffice study``."""

from typing import Any, Literal

from pydantic import Field

from suffice.results.curvature import SurfaceAlongK
from suffice.results.interval import Estimate
from suffice.results.learning_curve import LearningCurve
from suffice.results.sufficient_size import Criterion, SufficientSize
from suffice.results.value import Value
from suffice.shown import Shown


class Cell(Value):
    """One training of a study: a method on the first so many samples of the order of a seed."""

    task: str = Field(description="classes: all, or their names")
    method: str = Field(description="head, last_layers(n), lora(r) or full")
    size: int = Field(description="number of training samples")
    seed: int = Field(description="random seed of the samples, of new weights and of the training")
    status: Literal["finished", "diverged"] = Field(
        description="a diverged training has no numbers and is not averaged"
    )
    moving_parameters: int = Field(description="P: parameters that were trained")
    train_loss: float | None = Field(default=None, description="mean loss on the training samples, after training")
    train_accuracy: float | None = Field(default=None, description="accuracy on the training samples")
    validation_loss: float | None = Field(default=None, description="mean loss on the validation part")
    validation_accuracy: float | None = Field(default=None, description="accuracy on the validation part")
    test_loss: float | None = Field(default=None, description="mean loss on the test part")
    test_loss_error: float | None = Field(
        default=None, description="standard error of the test loss, over test samples"
    )
    test_accuracy: float | None = Field(default=None, description="accuracy on the test part")
    test_f1: float | None = Field(default=None, description="macro F1 on the test part, on request")
    test_auroc: float | None = Field(default=None, description="area under the ROC curve, one class against the rest")
    distance: float | None = Field(
        default=None, description="||w*_k - w_0||: distance of the trained weights from the initial ones"
    )
    seconds: float | None = Field(default=None, description="seconds of the training alone")


class Retrained(Value):
    """The loss surface at the minima w*_k that trainings on the first k samples of one order reach."""

    task: str = Field(description="classes: all, or their names")
    method: str = Field(description="what was trained")
    seed: int = Field(description="random seed of the order and the trainings")
    samples: int = Field(description="m: the largest size; the others are prefixes of its samples")
    sizes: list[int] = Field(description="k: sizes of the trainings that are compared; the last is m")
    own: list[float] = Field(description="L_k(w*_k): loss of each on its own training samples")
    own_at_full: list[float] = Field(description="L_k(w*_m): the same samples at the weights trained on all")
    full: list[float] = Field(description="L_m(w*_k): all samples at the weights of each")
    validation: list[float] = Field(description="mean loss on the validation part at the weights of each")
    distance: list[float] = Field(description="||w*_k - w*_m||: movement of the minimum when samples are added")
    gradient: list[float] = Field(description="||G_k(w*_k)||: 0 at a stationary point")
    gradient_at_full: list[float] = Field(description="||G_k(w*_m)||: 0 at every k by Assumption 1 of the paper")
    curve_sizes: list[int] = Field(description="k: sizes of the curves at fixed w*_m below")
    difference: list[float] = Field(description="typical |L_{k+1} - L_k| at w*_m and around it")
    in_order: list[float] = Field(description="|L_{k+1} - L_k| at w*_m and around it in the order of the samples")
    remaining: list[float] = Field(description="typical |L_k - L_m| at w*_m and around it")
    null: list[float] = Field(description="S(w*_m) / sqrt(k (k+1)): arithmetic alone")
    coefficient_of_variation: float | None = Field(description="CV = S / L on the validation part at w*_m")
    sufficient_sizes: list[SufficientSize] = Field(description="k* by each criterion and tolerance, at w*_m")
    surface: SurfaceAlongK | None = Field(
        default=None, description="the surface on the plane through w*_m and two of w*_k; null if it was not measured"
    )


class Check(Value):
    """k* from the loss surface beside the size at which test loss or accuracy settles."""

    task: str = Field(description="classes: all, or their names")
    method: str = Field(description="what was trained")
    seed: int = Field(description="random seed of the order and the trainings")
    criterion: Criterion = Field(description="of k*")
    tolerance: float = Field(description="of k*, relative to the mean loss at w*")
    k_star: int | None = Field(description="k* at w*_m; null for cannot_tell")
    k_star_low: int | None = Field(description="lower end of its interval")
    k_star_high: int | None = Field(description="upper end of its interval; null if it has none")
    quantity: Literal["loss", "accuracy"] = Field(description="quantity on the test part that has to settle")
    within: float = Field(description="tolerance around the value at the largest size; for the loss, a share of it")
    held_out_size: int = Field(description="the size from which on the quantity is within it")
    low: int = Field(description="lower end of its interval over draws of test samples")
    high: int = Field(description="upper end of the interval")
    censored: bool = Field(
        description="no plateau: the last step of size still gains more, so that the true size is larger"
    )
    coefficient_of_variation: float | None = Field(description="CV at w*_m: arithmetic without geometry")
    labels_saved: int | None = Field(description="m minus k* (or minus the smallest size, if larger); at least 0")
    seconds_saved: float | None = Field(description="training time on m samples minus that on k*")
    accuracy_lost: float | None = Field(description="test accuracy with m samples minus that with k*")


class Agreement(Value):
    """Agreement of k* with the size at which test loss or accuracy settles, over tasks, methods and seeds."""

    criterion: Criterion = Field(description="of k*")
    tolerance: float = Field(description="of k*")
    quantity: Literal["loss", "accuracy"] = Field(description="quantity that settles")
    combinations: int = Field(description="number of combinations in which there is a k*")
    censored: int = Field(description="those without a plateau, which count with the largest size")
    rank_correlation: Estimate | None = Field(
        description="Spearman's rank correlation of k* with that size; the interval draws tasks and methods"
    )
    partial_correlation: Estimate | None = Field(
        description="the same given CV: information of k* beyond arithmetic; null if k* is a function of CV"
    )
    ratio: float | None = Field(description="k* over that size, geometric mean without those without a plateau")


class Study(Value):
    """The ground truth."""

    cells: list[Cell] = Field(description="every training")
    curves: dict[str, LearningCurve] = Field(description="learning curves by method, with all classes")
    subset_curves: dict[str, dict[str, LearningCurve]] = Field(description="learning curves by classes, then by method")
    last_gains: dict[str, Estimate] = Field(
        default={},
        description="by method, with all classes: gain in accuracy by the last step of size, over seeds and test "
        "samples; none in files of earlier versions",
    )
    retrained: list[Retrained] = Field(description="the loss surface at the trained weights")
    check: list[Check] = Field(description="k* beside the size at which test loss and accuracy settle")
    agreement: list[Agreement] = Field(description="summary of the checks")


class StudyResult(Value, Shown):
    """The content of ``result.json`` of ``suffice study``."""

    schema_version: Literal[1] = Field(default=1, description="version of this layout")
    command: Literal["study"] = Field(default="study", description="the command that made it")
    model: str = Field(description="the checkpoint")
    data: str = Field(description="the samples")
    classes: int = Field(description="number of classes")
    pool: int = Field(description="number of samples to train on")
    validation_samples: int = Field(description="samples of the validation part")
    test_samples: int = Field(description="samples of the test part")
    study: Study = Field(description="the ground truth")
    notes: list[str] = Field(description="notes on the inputs and on diverged trainings")
    confidence: float = Field(description="confidence of all intervals")
    configuration: dict[str, Any] = Field(description="the settings, as in config.yaml")
    versions: dict[str, str] = Field(description="versions of the software")
