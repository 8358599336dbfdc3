"""Encoders with a new linear head: what a pretrained model says of each token or patch is pooled, and classified."""

import inspect
from collections.abc import Callable, Sequence
from typing import Any, Literal, TypeAlias, TypeVar, cast

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from transformers import MODEL_FOR_TEXT_ENCODING_MAPPING, MODEL_MAPPING
from transformers.modeling_outputs import SequenceClassifierOutput

from suffice.errors import InputError, reason
from suffice.models.execution import trial_inputs

PoolingMode: TypeAlias = Literal["cls", "max", "mean", "mean_sqrt_len_tokens", "weightedmean", "lasttoken"]
"""How the tokens of a text become one vector, by the names of sentence-transformers."""

MODES: tuple[PoolingMode, ...] = ("cls", "max", "mean", "mean_sqrt_len_tokens", "weightedmean", "lasttoken")

Found = TypeVar("Found")

INPUTS = {"text": "input_ids", "image": "pixel_values"}
"""What a model of each kind of samples takes first."""


def pool(
    hidden: Float[Tensor, "batch tokens width"], mask: Float[Tensor, "batch tokens"], mode: PoolingMode
) -> Float[Tensor, "batch width"]:
    r"""One vector for each text, from the hidden states :math:`h_t` of its T tokens; padding does not count.

    ``mean`` is :math:`\frac1T \sum_t h_t`, ``mean_sqrt_len_tokens`` :math:`\frac1{\sqrt T} \sum_t h_t`,
    ``weightedmean`` :math:`\sum_t t \, h_t / \sum_t t` with t from 1 on, ``max`` the maximum of each dimension, ``cls``
    :math:`h_1` and ``lasttoken`` :math:`h_T`.

    Args:
        hidden: h.
        mask: 1 for tokens, 0 for padding.
        mode: one of `MODES`.

    Source: N. Reimers, I. Gurevych, "Sentence-BERT", EMNLP 2019, section 3, and the library sentence-transformers.

    Example:
        >>> hidden, mask = torch.tensor([[[1.0], [3.0], [9.0]]]), torch.tensor([[1.0, 1.0, 0.0]])
        >>> [round(float(pool(hidden, mask, mode)), 2) for mode in MODES]
        [1.0, 3.0, 2.0, 2.83, 2.33, 3.0]
    """
    counts = mask.cumsum(1) * mask
    if mode == "max":
        return hidden.masked_fill(mask[..., None] == 0, -torch.inf).amax(1)
    if mode == "cls":
        weights = (counts == 1).to(hidden)
    elif mode == "lasttoken":
        weights = (counts == counts.amax(1, keepdim=True)).to(hidden) * mask
    elif mode == "weightedmean":
        weights = counts / counts.sum(1, keepdim=True)
    else:
        length = mask.sum(1, keepdim=True)
        weights = mask / (length if mode == "mean" else length.sqrt())
    return (hidden * weights[..., None]).sum(1)


class Normalize(nn.Module):
    """Divides each vector by its norm."""

    def forward(self, x: Float[Tensor, "batch width"]) -> Float[Tensor, "batch width"]:
        return nn.functional.normalize(x, dim=-1)


class TextEncoder(nn.Module):
    """From tokens to one vector for each text.

    Attributes:
        transformer: gives the hidden state of each token.
        modes: how these are pooled; the results of several are joined.
        after: what follows the pooling.
    """

    def __init__(self, transformer: nn.Module, modes: Sequence[PoolingMode], after: Sequence[nn.Module] = ()) -> None:
        super().__init__()
        self.transformer = transformer
        self.modes = tuple(modes)
        self.after = nn.Sequential(*after)
        self._takes = frozenset(inspect.signature(transformer.forward).parameters)

    @property
    def embeddings(self) -> nn.Module:
        """Those of the transformer, if they are one module."""
        return cast(nn.Module, self.transformer.embeddings)

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor | None = None, **others: Tensor | None
    ) -> Float[Tensor, "batch width"]:
        taken = {name: value for name, value in others.items() if value is not None and name in self._takes}
        found = self.transformer(input_ids=input_ids, attention_mask=attention_mask, **taken)
        hidden: Tensor = found.last_hidden_state
        mask = torch.ones_like(hidden[..., 0]) if attention_mask is None else attention_mask.to(hidden)
        return cast(Tensor, self.after(torch.cat([pool(hidden, mask, mode) for mode in self.modes], dim=-1)))


class ImageEncoder(nn.Module):
    """From pixels to one vector for each image: what the model itself pools, else the mean over patches or positions.

    Attributes:
        transformer: gives hidden states, (batch, patches, width) or (batch, channels, height, width).
        is_pooled: the model pools itself, by weights that its checkpoint has.
    """

    def __init__(self, transformer: nn.Module, has_pooler: bool) -> None:
        super().__init__()
        self.transformer = transformer
        self.is_pooled = has_pooler and _tried(
            transformer, lambda inputs: getattr(transformer(**inputs), "pooler_output", None) is not None
        )
        self._takes = frozenset(inspect.signature(transformer.forward).parameters)

    @property
    def embeddings(self) -> nn.Module:
        """Those of the transformer, if they are one module."""
        return cast(nn.Module, self.transformer.embeddings)

    def forward(self, pixel_values: Tensor, **others: Any) -> Float[Tensor, "batch width"]:
        taken = {name: value for name, value in others.items() if name in self._takes}
        found = self.transformer(pixel_values=pixel_values, **taken)
        if self.is_pooled:
            return cast(Tensor, found.pooler_output.flatten(1))
        hidden: Tensor = found.last_hidden_state
        return hidden.mean(1) if hidden.ndim == 3 else hidden.flatten(2).mean(2)


class EncoderClassifier(nn.Module):
    """An encoder and a linear head, in the form in which transformers has its classifiers."""

    base_model_prefix = "encoder"

    def __init__(self, encoder: TextEncoder | ImageEncoder, outputs: int) -> None:
        super().__init__()
        self.config: Any = cast(Any, encoder.transformer).config
        self.main_input_name = INPUTS["text" if isinstance(encoder, TextEncoder) else "image"]
        self.encoder = encoder
        width = _tried(encoder.transformer, lambda inputs: int(encoder(**inputs).shape[-1]))
        self.classifier = nn.Linear(width, outputs)

    def get_input_embeddings(self) -> nn.Module:
        """The table of token embeddings."""
        return cast(nn.Module, cast(Any, self.encoder.transformer).get_input_embeddings())


class EncoderTextClassifier(EncoderClassifier):
    """Of texts."""

    def forward(
        self,
        input_ids: Int[Tensor, "batch tokens"] | Float[Tensor, "batch tokens width"],
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        position_ids: Tensor | None = None,
    ) -> SequenceClassifierOutput:
        features = self.encoder(input_ids, attention_mask, token_type_ids=token_type_ids, position_ids=position_ids)
        return SequenceClassifierOutput(logits=self.classifier(features))


class EncoderImageClassifier(EncoderClassifier):
    """Of images."""

    def forward(self, pixel_values: Tensor, interpolate_pos_encoding: bool = False) -> SequenceClassifierOutput:
        options = {"interpolate_pos_encoding": True} if interpolate_pos_encoding else {}
        return SequenceClassifierOutput(logits=self.classifier(self.encoder(pixel_values, **options)))


def encoder_class(config: Any, samples: Literal["text", "image"]) -> Any:
    """The transformers class that makes the encoder of a configuration; None if it takes no such samples.

    Example:
        >>> from transformers import BertConfig
        >>> encoder_class(BertConfig(), "text").__name__, encoder_class(BertConfig(), "image")
        ('BertModel', None)
    """
    mappings = [MODEL_FOR_TEXT_ENCODING_MAPPING, MODEL_MAPPING] if samples == "text" else [MODEL_MAPPING]
    for mapping in mappings:
        if type(config) in mapping:
            found: Any = mapping[type(config)]
            first = found[0] if isinstance(found, tuple) else found
            return first if first.main_input_name == INPUTS[samples] else None
    return None


def _tried(transformer: nn.Module, run: Callable[[dict[str, Tensor]], Found]) -> Found:
    """What is found with the first trial input that a model takes."""
    failure: Exception = ValueError("it has no configuration")
    transformer.eval()
    for inputs, _ in trial_inputs(transformer):
        try:
            with torch.no_grad(), torch.random.fork_rng(devices=[]):
                return run(inputs)
        except Exception as error:  # each model fails in its own way on an input that it does not take
            failure = error
    raise InputError(f"no trial input runs through {type(transformer).__name__} ({reason(failure)})")
