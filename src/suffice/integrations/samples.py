"""The loss of each sample of a batch of a language model, from its logits; and what lifts it in training."""

import torch
from jaxtyping import Float, Float64, Int64
from torch import Tensor, nn
from torch.nn import functional

IGNORED = -100


@torch.no_grad()
def sample_losses(
    logits: Float[Tensor, "batch tokens vocabulary"], labels: Int64[Tensor, "batch tokens"]
) -> Float64[Tensor, " batch"]:
    """The mean loss over each sample's labelled tokens, one sample after the other; no gradients.

    Args:
        logits: of a causal language model.
        labels: as Hugging Face has them: not shifted, and -100 where there is no loss.

    Example:
        >>> sample_losses(torch.zeros(1, 3, 8), torch.tensor([[-100, 5, 2]]))
        tensor([2.0794], dtype=torch.float64)
    """
    found = []
    for scores, own in zip(logits[:, :-1], labels[:, 1:], strict=True):
        at = own != IGNORED
        found.append(functional.cross_entropy(scores[at].float(), own[at], reduction="sum").double() / at.sum())
    return torch.stack(found)


def largest_dropout(model: nn.Module) -> float:
    """The largest share that a module drops in training, as far as modules tell."""
    shares = [float(module.p) for module in model.modules() if isinstance(module, nn.modules.dropout._DropoutNd)]
    config = getattr(model, "config", None)
    shares += [float(getattr(config, name, 0) or 0) for name in ("attention_dropout", "attn_pdrop", "resid_pdrop")]
    return max(shares, default=0.0)
