"""What data hold, as it is told before any work."""

from typing import Literal

from pydantic import Field

from suffice.results.value import Value


class ClassCount(Value):
    """A class of the data."""

    name: str = Field(description="as in the data")
    samples: int = Field(description="of the class, among the samples at hand")


class LabelRange(Value):
    """Labels that are numbers."""

    lowest: float = Field(description="the smallest")
    highest: float = Field(description="the largest")
    mean: float = Field(description="of all samples at hand")
    deviation: float = Field(description="standard deviation")


class LeftOut(Value):
    """Files or rows that are no samples, for one reason."""

    reason: str = Field(description="why they are left out")
    count: int = Field(description="how many")
    first: list[str] = Field(description="the first three")


class Copied(Value):
    """Samples that have the same content as others."""

    count: int = Field(description="samples that are copies of others")
    contradicting: int = Field(description="contents that come with different labels")
    first: list[str] = Field(description="the first three of those that contradict, with their labels")
    alike: int = Field(default=0, description="further texts that differ from others only by case or blanks")


class ImageKinds(Value):
    """The images, by the heads of their files."""

    modes: dict[str, int] = Field(description="number of images of each mode, such as L or RGB")
    sizes: int = Field(description="number of different sizes")
    smallest: tuple[int, int] = Field(description="width and height of the image with the fewest pixels")
    largest: tuple[int, int] = Field(description="width and height of the image with the most pixels")


class TextLengths(Value):
    """The lengths of the texts, in characters."""

    shortest: int = Field(description="of all texts")
    median: int = Field(description="of all texts")
    longest: int = Field(description="of all texts")


class TestData(Value):
    """Unseen data that come with the samples."""

    __test__ = False  # no test, whatever its name

    source: str = Field(description="the name of the data or the split")
    samples: int = Field(description="number of samples")
    overlap: int = Field(description="samples whose content is among the samples at hand")
    first: list[str] = Field(description="the first three of these")
    alike: int = Field(default=0, description="further texts that differ from those at hand only by case or blanks")
    others: list[str] = Field(default=[], description="its classes that the samples at hand do not have")
    absent: list[str] = Field(default=[], description="classes of the samples at hand that it does not have")
    is_reordered: bool = Field(default=False, description="whether it has the same classes in another order")


class Cost(Value):
    """What a model takes on these samples."""

    parameters: int = Field(description="of the model")
    weights: int = Field(description="bytes of its weights")
    seconds: float = Field(description="of one pass over the samples without training")
    memory: int = Field(description="bytes of the process after one batch")


class TokenCounts(Value):
    """What a model makes of texts."""

    model: str = Field(description="the model, by whose tokenizer they are counted")
    limit: int | None = Field(description="tokens that a sample may have; null without a limit")
    samples: TextLengths = Field(description="tokens of a sample, as far as it is not cut")
    answers: TextLengths = Field(description="tokens of a sample that have a loss")
    total: int = Field(description="tokens with a loss, all samples together")


class OverlapOfTexts(Value):
    """What separate test data have in common with the samples."""

    source: str = Field(description="the test data")
    samples: int = Field(description="number of samples")
    overlap: int = Field(description="samples that are among those at hand")
    first: list[str] = Field(description="the first three of them")
    prompts: int = Field(description="others whose prompt is among those at hand, with another answer")


class TextsSummary(Value):
    """What the samples for a language model hold: a summary before any work."""

    data: str = Field(description="the source")
    kind: Literal["text", "completion", "messages"] = Field(
        description="plain texts, prompts with completions, or conversations"
    )
    samples: int = Field(description="number of samples")
    prompts: TextLengths | None = Field(description="characters of what stands before the last answer; null for texts")
    answers: TextLengths = Field(description="characters of the last answer, or of a text")
    longest: str = Field(description="where the longest sample is")
    copies: int = Field(description="samples that are copies of others; sizes count different ones")
    contradicting: int = Field(description="prompts that come with different answers")
    first: list[str] = Field(description="the first three of them, with a place of each answer")
    tokens: TokenCounts | None = Field(description="what the model makes of them; null without a model")
    test: OverlapOfTexts | None = Field(description="separate test data; null where there are none")
    notes: list[str] = Field(description="what was detected, and what there is to say")


class DataSummary(Value):
    """What data hold: a summary before any work."""

    data: str = Field(description="the source")
    kind: Literal["images", "texts"] = Field(description="images or texts")
    samples: int = Field(description="at hand: of the split to train on, if there are splits")
    task: Literal["classification", "regression", "multi-label"] = Field(
        default="classification", description="what the labels are: classes, numbers, or sets of labels"
    )
    numbers: LabelRange | None = Field(default=None, description="of labels that are numbers; null for others")
    classes: list[ClassCount] = Field(
        description="in the order of their labels; of sets, the samples with each label; none of numbers"
    )
    rare: list[str] = Field(description="classes with fewer than 10 samples")
    splits: dict[str, int] = Field(description="number of samples of each split; empty where there are none")
    groups: int | None = Field(description="number of groups at hand; null where the data have none")
    left_out: list[LeftOut] = Field(description="what of the source is no sample")
    copies: Copied = Field(description="exact copies among the samples at hand")
    images: ImageKinds | None = Field(description="null for texts")
    texts: TextLengths | None = Field(description="null for images")
    unreadable: list[str] = Field(description="what is wrong with the first three images that cannot be read")
    unreadable_count: int = Field(description="images that cannot be read")
    test: TestData | None = Field(description="the test split or separate test data; null where there are none")
    cost: Cost | None = Field(description="of a model on these samples; null without a model")
    notes: list[str] = Field(description="what was detected, and what there is to say")
