"""The one registry of findings: what suffice looks for before it measures, why, and what to do about it."""

import warnings
from dataclasses import dataclass

from suffice.errors import InputError, InputWarning
from suffice.results import FindingValue, Severity


@dataclass(frozen=True)
class Kind:
    """A kind of finding, as the documentation shows it.

    Attributes:
        code: stable name, "SUF001" and so on.
        severity: an error stops what depends on it, the others do not; see `suffice.results.FindingValue`.
        title: what is wrong, in a few words.
        detected: how it is detected.
        matters: why it matters.
        remedy: what to do.
    """

    code: str
    severity: Severity
    title: str
    detected: str
    matters: str
    remedy: str


@dataclass(frozen=True)
class Finding:
    """One finding.

    Attributes:
        kind: its entry in the registry.
        what: what was found, with the name of the module or parameter.
        remedy: what to do here.

    Example:
        >>> print(Finding(PADDING, "the loss of data set row 3 depends on padding", "Use batch_size=1"))
        SUF003: the loss of data set row 3 depends on padding. Use batch_size=1.
    """

    kind: Kind
    what: str
    remedy: str

    @property
    def code(self) -> str:
        """Stable name of the kind."""
        return self.kind.code

    @property
    def severity(self) -> Severity:
        """Whether it stops what depends on it."""
        return self.kind.severity

    def __str__(self) -> str:
        return " ".join(f"{self.code}: {self.what}. {self.remedy}.".split())

    @property
    def value(self) -> FindingValue:
        """It as a plain value, with the reason why its kind matters."""
        return FindingValue(
            code=self.code, severity=self.severity, what=self.what, why=self.kind.matters, remedy=self.remedy
        )

    def report(self) -> None:
        """Raises an error, or warns.

        Raises:
            InputError: a finding that is an error; the message is one line that starts with the code.
        """
        if self.severity == "error":
            raise InputError(str(self))
        warnings.warn(str(self), InputWarning, stacklevel=1)  # its place is here: who measures is many calls above


UNSTABLE = Kind(
    "SUF001",
    "error",
    "The loss changes from run to run",
    "The first samples run twice in evaluation mode, in the same batch. A difference beyond 1e-5 of the loss counts "
    "(in float32; scaled with the precision of the numbers, and 1e-10 in float64). A difference in float32 counts only "
    "if a float64 copy of the model shows it too, so rounding is never refused. The module named is the first whose "
    "output differs although its inputs agree.",
    "Every curve compares losses of the same sample at different weights. If the loss is random, the curve shows the "
    "noise. The usual reason is functional dropout that is called without `training=self.training`.",
    "Make the model deterministic in evaluation mode: give functional dropout `training=self.training`, fix the random "
    "seed inside the layer, and do not change buffers in `forward`.",
)
COMPANY = Kind(
    "SUF002",
    "error",
    "The loss of a sample depends on the other samples of its batch",
    "The first samples run in one batch, alone, and in a batch with other samples. The limits are those of SUF001.",
    "The curves need a loss that is a function of the sample and the weights alone. Otherwise the loss of a sample "
    "depends on the batch size and on the order of the data. Usual reasons are batch normalisation without running "
    "statistics, a mean or a maximum over the batch, and experts with a limited capacity per batch.",
    "Make the layer independent of the batch (running statistics, layer or group normalisation, no capacity limit), or "
    "measure with `batch_size=1`.",
)
PADDING = Kind(
    "SUF003",
    "error",
    "The loss of a sample depends on padding",
    "Of the first 32 samples, the shortest runs alone and next to the longest, where it is padded. The limits are "
    "those of SUF001. Samples of the same length do not change its loss, so the padding does.",
    "Texts of different lengths are padded to the longest of their batch. If the model sees the padding, the loss of a "
    "text depends on its neighbours. FNet, CANINE, YOSO, Funnel, ConvBERT and Nystromformer see it by construction; so "
    "does any model without an attention mask, and one that reads the last position.",
    "Measure with `batch_size=1`, pad all samples to one length in the data set, or pass the attention mask to the "
    "model.",
)
READING = Kind(
    "SUF004",
    "error",
    "The data set gives another sample at each reading",
    "The first eight samples are read twice and compared to the bit.",
    "Losses at different weights are compared sample by sample, and stored ones with new ones. Random augmentation "
    "makes them losses of different inputs. Training is not refused.",
    "Measure on a data set without random augmentation.",
)
UNMOVED = Kind(
    "SUF005",
    "error",
    "Moving the parameters does not move the losses",
    "After recording, a probe whose weights differ from the centre has outputs equal to the centre's to the bit, for "
    "all samples, and so has a point ten times the size of the weights away.",
    "The forward pass does not read the parameters that were moved, so the surface looks flat. Usual reasons are "
    "weights that are merged at `eval()` (LoRA layers that add B A to W), weights copied into a Python list, and a "
    "choice of parameters that the forward pass leaves out.",
    "Choose other parameters with `parameters=`, or make `forward` read the registered parameters: unmerge the "
    "adapter, keep the modules in an `nn.ModuleList`.",
)
ROUNDED = Kind(
    "SUF006",
    "error",
    "Probes are lost in the rounding of the weights",
    "The distance of a drawn probe from the centre, after rounding to the dtype of the model, is compared with the "
    "distance asked for; 10% off counts. So does a probe whose outputs equal the centre's to the bit for all samples "
    "although larger steps change them.",
    "A step below the spacing of the floating-point numbers rounds back to the centre, or to a neighbour that is too "
    "far away. The spread measured is then that of the rounding.",
    "Choose a larger radius or sigma, or convert the model to float32 or float64.",
)
DERIVATIVE = Kind(
    "SUF007",
    "error",
    "The derivative does not match the loss",
    "Directional derivatives by automatic differentiation are compared with central differences, on several samples, "
    "in a float64 copy of the model where one can be made. The directions are random ones over all moving parameters "
    "and the gradient itself, each at two steps. Where they disagree, groups of tensors are halved until one tensor is "
    "left. It counts if the derivatives along that tensor differ by more than 5% plus ten times the noise of the loss "
    "over the step. Zero against zero passes. The gradient of a batch is compared with the sum of those of its "
    "samples.",
    "A derivative that is wrong makes curvature, tangent kernels and slopes wrong without an error. Usual reasons are "
    "a backbone that runs under `no_grad`, `detach()` in the middle of a formula (DoRA's norm), reentrant "
    "checkpointing, weights that are merged at `eval()`, and rounding with a straight-through gradient. Losses and "
    "training are not refused.",
    "Make `forward` differentiable in that parameter, or exclude it from the moving ones with `parameters=`. Losses "
    "can be recorded as they are.",
)
NOT_FINITE = Kind(
    "SUF008",
    "error",
    "A gradient is not finite although the loss is",
    "The gradient on the samples of SUF007 is looked at before it is compared.",
    "One NaN spreads to every product with the gradient. Usual reasons are a square root or a norm at zero, and "
    "`torch.where` with a branch that is not finite.",
    "Keep the formula away from the singular point (add a small constant inside the root), or exclude the parameter "
    "with `parameters=`.",
)
COMPLEX = Kind(
    "SUF009",
    "error",
    "A complex parameter has no gradient here",
    "The dtype of each moving parameter is read.",
    "Derivatives are taken in real parameters. Losses and training are not refused.",
    "Exclude the complex parameters with `parameters=`, or store real and imaginary part as two real parameters.",
)
UNUSED = Kind(
    "SUF010",
    "warning",
    "Moving parameters take no part in the loss",
    "Automatic differentiation gives them no gradient on the first samples, and the losses of these samples do not "
    "change by one bit when these parameters are moved far away. It is said once for each model.",
    "Their gradient is taken as zero. That is right for a parameter that the forward pass leaves out (DINOv2's "
    "`mask_token`, a spare layer), but they count among the parameters that move.",
    "Nothing has to be done; exclude them with `parameters=` to silence this.",
)
UNREACHED = Kind(
    "SUF011",
    "warning",
    "Training does not reach parameters that the loss depends on",
    "Automatic differentiation gives them no gradient on the first samples, but the losses change when they are moved.",
    "The training leaves these parameters where they are, without an error. The usual reason is a backbone that runs "
    "under `no_grad`.",
    "Let `forward` record gradients for them, or exclude them with `parameters=`.",
)
OVERLAP = Kind(
    "SUF012",
    "error",
    "Test samples are among the training samples",
    "Contents are compared, whatever the labels: the inputs of both sets are hashed.",
    "The test loss of a sample that was trained on is too low, and so is the forecast.",
    "Remove the copies from the test samples.",
)
INPUT_CHANGED = Kind(
    "SUF013",
    "error",
    "forward changes its input in place",
    "A batch is compared to the bit before and after a forward pass.",
    "A batch is run at many points. From the second point on the model would see another input, and the losses are of "
    "that. The usual reason is an operation in place (`x.mul_()`, `x += ...`) on the input.",
    "Make forward change a copy: `x = x * 0.5`.",
)
WEIGHTS_CHANGED = Kind(
    "SUF014",
    "error",
    "forward or eval() changes the weights",
    "The parameters are compared to the bit before and after a forward pass in evaluation mode, at the weights and at "
    "a point far away, and before and after `eval()` where modules have their own. The weights are put back.",
    "The loss is then of other weights than those that were asked for, and the model is another one after it was "
    "measured. Usual reasons are `nn.Embedding(max_norm=...)`, weights that are normalised in place, and adapters "
    "that are merged at `eval()`.",
    "Make forward compute the changed weights in a new tensor, or exclude max_norm. Build layers without merging, or "
    "call `eval()` first and move no parameter that is merged.",
)

COPIES = Kind(
    "SUF015",
    "note",
    "Some samples are copies of others",
    "Contents are compared, whatever the labels: rows of features that are equal, or hashes of the inputs. Up to 5% "
    "of the samples are copies.",
    "A sample whose copy was trained on has a test loss that is too low. Copies stay in one fold, so that this does "
    "not happen, and the standard errors count a sample and its copies as one.",
    "Nothing has to be done. Where copies have different labels, look at these.",
)
MANY_COPIES = Kind(
    "SUF016",
    "warning",
    "Many samples are copies of others",
    "As SUF015, with more than 5% of the samples. In a table, repeats are ordinary where few values are possible: "
    "restricted to a random half of the columns, at least twice as many pairs of rows are then equal, the mean over 8"
    " halves. Inputs that are compared by content are always copies.",
    "Copies stay in one fold, and the samples at hand are counted without them: a curve that says 80 is of 80 "
    "different samples. Ordinary repeats also stay in one fold, which makes the test loss at most about 5% too high, "
    "and each counts, since new samples will repeat too.",
    "Remove the copies, or collect different samples. Where copies have different labels, look at these first.",
)
FEW_OF_A_CLASS = Kind(
    "SUF017",
    "warning",
    "The smallest class has few samples",
    "The different samples of each class are counted; fewer than 24 of the smallest one count.",
    "The test loss and the recall of that class are mostly noise, and forecasts to 8 times as many samples were off "
    "by half where classes had so few.",
    "Label more samples of that class.",
)
NO_ERRORS = Kind(
    "SUF018",
    "error",
    "There are no errors on unseen samples",
    "The errors on unseen samples are counted. The bound on the accuracy is exact (Clopper and Pearson).",
    "The accuracy has a lower bound and nothing else: how much more samples would raise it cannot be told.",
    "Label more samples to test on, until about ten errors are expected.",
)
FEW_ERRORS = Kind(
    "SUF019",
    "warning",
    "There are few errors on unseen samples",
    "One to nine errors on unseen samples count. The interval of the accuracy is exact (Clopper and Pearson).",
    "The relative error of the error rate is one over the root of their number: with fewer than ten, a third or more.",
    "Label more samples to test on.",
)
FEW_PER_WEIGHT = Kind(
    "SUF020",
    "warning",
    "There are few samples for each free weight",
    "The share by which a slope of first order in 1/k falls short of what the next samples bring is estimated as 1 - "
    "(1 - p/k)^2, with p the effective number of free weights. From 20% on, fewer than about 9.5 samples a weight, it"
    " counts.",
    "The loss falls faster than the first order says while samples are few. Heads of 9 tasks, with 0.04 to 0.2 free "
    "weights a sample, fell 9 to 41% short of the gain to twice as many samples, where the formula says 8 to 36%.",
    "Take the gain as a lower bound, or label more samples, or use a stronger penalty.",
)
DRIFT = Kind(
    "SUF021",
    "serious",
    "The loss changes along the order of the samples",
    "The losses are centred and scaled within each class. Their largest cumulative sum, in the order of the source "
    "(rows of the data set, whatever order they are used in), is compared with that in 199 random orders within the "
    "classes (Page 1954). It counts if none is as large: by chance in 0.5% of data sets. Copies count once. Files that "
    "are sorted by class pass.",
    "A forecast is for more samples like those at hand. If the loss changes along the file, these come from sources "
    "or times that differ, and the next ones may differ from them all.",
    "Find out what changes along the file. Then forecast from the part that the next samples will be like, or shuffle"
    " if they will be like the whole.",
)
LOST_IN_NOISE = Kind(
    "SUF022",
    "error",
    "The loss gap is indistinguishable from zero",
    "The gap between the losses on unseen and on training samples is compared with its standard error n times the "
    "gap. It counts if n is above 0.6 or the gap is not positive.",
    "The slope of the learning curve is estimated from that gap. Beyond n = 0.6, intervals are either wrong or too "
    "wide to be of use. What remains is an upper bound of the gain.",
    "Label more samples to test on: n falls as one over the root of their number. If the largest possible gain is not"
    " worth the samples, stop.",
)
NEGATIVE_GAP = Kind(
    "SUF023",
    "error",
    "Unseen samples have a lower loss than the training samples",
    "The gap of SUF022 is below zero, even at the upper end of its one-sided 95% interval.",
    "The gap of a trained model is positive. The model was not trained on these samples, or it has seen the others "
    "too, or these are easier.",
    "Give the samples that the model was trained on, and others that are like them.",
)
NOT_CONVERGED = Kind(
    "SUF024",
    "error",
    "The training has not converged",
    "The best of five steps along the gradient lowers the training loss by more than 10% of the test loss, and the "
    "training loss is above 75% of the test loss.",
    "The loss is then that of a training that was too short, and does not tell what more samples would bring.",
    "Train longer, or with a larger learning rate.",
)
COLLAPSED = Kind(
    "SUF025",
    "error",
    "The training has collapsed",
    "On its own training samples the model is right no more often than the largest class is, and their loss is at "
    "least 95% of that of the class frequencies.",
    "The model has learned nothing from its samples, so its losses at several sizes are no learning curve. A flat "
    "curve of such trainings is no plateau.",
    "Lower the learning rate, train longer, or check that the samples and labels belong together.",
)
NO_FALL = Kind(
    "SUF026",
    "error",
    "The loss does not fall with more samples",
    "The loss of models trained on half of the samples is compared with that of models trained on nearly all, by "
    "sample. It counts if the loss has risen by more than the predicted fall and 3.3 standard errors, or if the "
    "predicted curve rises.",
    "A curve that rises is not extrapolated. Usual reasons are a training of too few steps for more samples, and one "
    "that is unstable.",
    "Train longer, or with a smaller learning rate, and look at the training loss.",
)
DISAGREEMENT = Kind(
    "SUF027",
    "serious",
    "Trainings on half of the samples disagree with the slope",
    "The fall of the loss from half of the samples to nearly all is compared with the forecast's. A difference of "
    "more than 4.5 standard errors of both counts.",
    "The forecast predicts the past wrongly, so it may predict the future wrongly too: the curve has another shape, "
    "or the two trainings are not alike.",
    "Take the forecast to twice as many samples at most, and check it with the next samples.",
)
RANDOM_LABELS = Kind(
    "SUF028",
    "error",
    "The labels look random",
    "The sum of the outputs of the right classes is compared with its mean and variance over all permutations of the "
    "labels (Hoeffding 1951); out-of-fold outputs, less the mean output of their model, depend on other labels, which "
    "doubles the variance. It counts if p is above 0.05 although there are enough samples to find 2% of the entropy of "
    "the classes.",
    "There is nothing to extrapolate. The usual reason is that labels and samples are in different orders.",
    "Check that labels and samples belong together, and that the features hold what the labels are about.",
)
NOT_BETTER = Kind(
    "SUF029",
    "error",
    "The model is not clearly better than the class frequencies",
    "As SUF028, with too few samples to find 2% of the entropy of the classes.",
    "Whether there is anything to learn cannot be told yet.",
    "Label more samples.",
)

HEAVY_TAILS = Kind(
    "SUF030",
    "warning",
    "A few samples carry the loss",
    "The kurtosis of the losses on unseen samples, over their number, is above 0.3: the standard error of their mean "
    "is then itself off by 27% or more. Of a classifier it is asked from ten errors on; fewer are SUF018 and SUF019.",
    "The mean of such losses is mostly too low, and so is its standard error: intervals of level and gain hold too "
    "rarely. Regressions have a longer upper side of both for it. Where none of the rare large losses is among the "
    "samples, nothing shows it.",
    "Look at these samples, and remove them if they are mistakes. Otherwise label more, or take a loss that large "
    "errors do not dominate.",
)

HARDLY_LEARNED = Kind(
    "SUF031",
    "serious",
    "The training has hardly learned",
    "Of models that are trained by steps, the training loss is above 75% of the loss of the class frequencies, and "
    "above 75% of the loss on unseen samples. Trainings that learned nothing at all are SUF025.",
    "A training that does not fit its own samples is mostly one of too few steps, or of an unsuitable learning rate. "
    "Its losses at several sizes are flat, which is no plateau of the learning curve, and their limit is not that of "
    "the model. Labels that are hard to tell look the same.",
    "Train longer, or with another learning rate, until the training loss stops falling.",
)
CONTRADICTION = Kind(
    "SUF032",
    "error",
    "Copies contradict each other",
    "The samples whose label is not the most frequent one of their content are counted; more than 5% of all count, "
    "where another check has stopped the forecast. Ordinary repeats of a table with few values are left out.",
    "The same input has several labels, so training and unseen samples have the same large loss. Nothing of that is "
    "noise that more samples of this kind reduce.",
    "Decide on one label for each input, or keep one copy of each.",
)

FAR_BELOW = Kind(
    "SUF033",
    "note",
    "Sizes far below the samples at hand",
    "Sizes below a quarter of the samples at hand are asked for.",
    "The curve is made for more samples. The loss at a quarter was off by 1 to 27%, at an eighth by up to 60%, and at "
    "a sixteenth by a factor of 2 or more. The intervals there are wide and mostly hold.",
    "Train on so few to see what they bring.",
)

KINDS: tuple[Kind, ...] = (
    UNSTABLE,
    COMPANY,
    PADDING,
    READING,
    UNMOVED,
    ROUNDED,
    DERIVATIVE,
    NOT_FINITE,
    COMPLEX,
    UNUSED,
    UNREACHED,
    OVERLAP,
    INPUT_CHANGED,
    WEIGHTS_CHANGED,
    COPIES,
    MANY_COPIES,
    FEW_OF_A_CLASS,
    NO_ERRORS,
    FEW_ERRORS,
    FEW_PER_WEIGHT,
    DRIFT,
    LOST_IN_NOISE,
    NEGATIVE_GAP,
    NOT_CONVERGED,
    COLLAPSED,
    NO_FALL,
    DISAGREEMENT,
    RANDOM_LABELS,
    NOT_BETTER,
    HEAVY_TAILS,
    HARDLY_LEARNED,
    CONTRADICTION,
    FAR_BELOW,
)
"""All kinds of findings, by code."""
