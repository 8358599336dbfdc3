"""Tiny classifiers of transformers with random weights, one for each way that the library builds them.

A test takes a name from `TEXTS` or `IMAGES`, writes the checkpoint into a folder with `save_checkpoint`, and reads it
as a user would, or takes the problem that `problem_of` makes of it.
"""

from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from torch import nn
from transformers import PreTrainedTokenizerFast

from suffice import Problem
from suffice.data import ImageArray, LabelledTexts
from suffice.models import Classifier, load_classifier

WORDS = ("a", "bad", "but", "dull", "film", "good", "great", "long", "poor", "very")
CLASSES = ("0", "1", "2")

TOKENS = {"unk_token": "<unk>", "pad_token": "<pad>", "bos_token": "<s>", "eos_token": "</s>"}
SPECIAL = ("<pad>", "<s>", "</s>", "<unk>")
"""The first ids; then come the words, and then ids that no text has."""

_SIZES = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
_ENDS = {"bos_token_id": 1, "eos_token_id": 2}
_BERT = _SIZES | {"vocab_size": 24, "max_position_embeddings": 40, "pad_token_id": 0}
_ROBERTA = _BERT | _ENDS | {"max_position_embeddings": 41}
_ROTARY = _SIZES | _ENDS | {"vocab_size": 24, "num_key_value_heads": 1, "max_position_embeddings": 40, "head_dim": 8}
_BART = _ENDS | {
    "vocab_size": 24, "d_model": 16, "encoder_layers": 2, "decoder_layers": 2, "encoder_attention_heads": 2,
    "decoder_attention_heads": 2, "encoder_ffn_dim": 32, "decoder_ffn_dim": 32, "max_position_embeddings": 40,
    "pad_token_id": 0, "decoder_start_token_id": 2, "forced_eos_token_id": None,
}  # fmt: skip

TEXTS: dict[str, tuple[str, dict[str, Any], str]] = {
    "bert": ("Bert", _BERT, "<s> text </s>"),
    "roberta": ("Roberta", _ROBERTA, "<s> text </s>"),
    "xlm-roberta": ("XLMRoberta", _ROBERTA, "<s> text </s>"),
    "camembert": ("Camembert", _ROBERTA, "<s> text </s>"),
    "distilbert": (
        "DistilBert",
        {"vocab_size": 24, "dim": 16, "n_layers": 2, "n_heads": 2, "hidden_dim": 32, "max_position_embeddings": 40},
        "<s> text </s>",
    ),
    "albert": ("Albert", _BERT | _ENDS | {"embedding_size": 8}, "<s> text </s>"),
    "electra": ("Electra", _BERT | {"embedding_size": 8}, "<s> text </s>"),
    "deberta": ("Deberta", _BERT | {"relative_attention": True, "pos_att_type": ["p2c", "c2p"]}, "<s> text </s>"),
    "deberta-v2": (
        "DebertaV2",
        _BERT | {"relative_attention": True, "position_biased_input": False, "pos_att_type": ["p2c", "c2p"]},
        "<s> text </s>",
    ),
    "mpnet": ("MPNet", _ROBERTA, "<s> text </s>"),
    "mobilebert": (
        "MobileBert",
        _BERT | {"embedding_size": 16, "intra_bottleneck_size": 16, "num_feedforward_networks": 2},
        "<s> text </s>",
    ),
    "squeezebert": ("SqueezeBert", _BERT | {"embedding_size": 16}, "<s> text </s>"),
    "rembert": (
        "RemBert",
        _BERT | _ENDS | {"input_embedding_size": 8, "output_embedding_size": 8},
        "<s> text </s>",
    ),
    "roformer": ("RoFormer", _BERT | {"embedding_size": 16}, "<s> text </s>"),
    "modernbert": (
        "ModernBert",
        _BERT | _ENDS | {"cls_token_id": 1, "sep_token_id": 2, "global_attn_every_n_layers": 2, "local_attention": 8},
        "<s> text </s>",
    ),
    "big_bird": (
        "BigBird",
        _BERT | _ENDS | {"sep_token_id": 2, "attention_type": "original_full"},
        "<s> text </s>",
    ),
    "longformer": ("Longformer", _ROBERTA | {"attention_window": 4}, "<s> text </s>"),
    "xlnet": ("XLNet", {"vocab_size": 24, "d_model": 16, "n_layer": 2, "n_head": 2, "d_inner": 32}, "its own"),
    "gpt2": ("GPT2", _ENDS | {"vocab_size": 24, "n_embd": 16, "n_layer": 2, "n_head": 2, "n_positions": 40}, "text"),
    "gpt_neo": (
        "GPTNeo",
        _ENDS
        | {"vocab_size": 24, "hidden_size": 16, "num_layers": 2, "num_heads": 2, "max_position_embeddings": 40}
        | {"attention_types": [[["global", "local"], 1]], "window_size": 4},
        "text",
    ),
    "gpt_neox": ("GPTNeoX", _SIZES | _ENDS | {"vocab_size": 24, "max_position_embeddings": 40}, "text"),
    "opt": (
        "OPT",
        _SIZES | _ENDS | {"vocab_size": 24, "word_embed_proj_dim": 16, "ffn_dim": 32, "pad_token_id": 0}
        | {"max_position_embeddings": 40},
        "<s> text",
    ),
    "bloom": (
        "Bloom",
        _ENDS | {"vocab_size": 24, "hidden_size": 16, "n_layer": 2, "n_head": 2, "pad_token_id": 0},
        "text",
    ),
    "llama": ("Llama", _ROTARY, "<s> text"),
    "mistral": ("Mistral", _ROTARY | {"sliding_window": 8}, "<s> text"),
    "gemma": ("Gemma", _ROTARY | {"pad_token_id": 0}, "<s> text"),
    "phi": ("Phi", _SIZES | _ENDS | {"vocab_size": 24, "max_position_embeddings": 40}, "text"),
    "t5": (
        "T5",
        {"vocab_size": 24, "d_model": 16, "d_kv": 8, "d_ff": 32, "num_layers": 2, "num_heads": 2, "pad_token_id": 0}
        | {"eos_token_id": 2, "decoder_start_token_id": 0},
        "text </s>",
    ),
    "bart": ("Bart", _BART, "<s> text </s>"),
    "mbart": ("MBart", _BART, "text </s> <s>"),
    "funnel": (
        "Funnel",
        {"vocab_size": 24, "d_model": 16, "n_head": 2, "d_head": 8, "d_inner": 32, "block_sizes": [1, 2]}
        | {"num_decoder_layers": 1},
        "<s> text </s>",
    ),
    "convbert": ("ConvBert", _BERT | {"embedding_size": 16, "conv_kernel_size": 3}, "<s> text </s>"),
    "fnet": ("FNet", _BERT | _ENDS, "<s> text </s>"),
    "yoso": ("Yoso", _BERT | {"use_expectation": True}, "<s> text </s>"),
    "nystromformer": (
        "Nystromformer",
        _BERT | _ENDS | {"num_landmarks": 4, "segment_means_seq_len": 4},
        "<s> text </s>",
    ),
    "canine": (
        "Canine",
        _SIZES | {"max_position_embeddings": 80, "num_hash_buckets": 80, "num_hash_functions": 2}
        | {"downsampling_rate": 2, "upsampling_kernel_size": 2, "local_transformer_stride": 4},
        "<s> text </s>",
    ),
}  # fmt: skip
"""By model type: the library's name, the configuration, and what the tokenizer makes of a text."""

SEE_PADDING = frozenset({"funnel", "convbert", "fnet", "yoso", "nystromformer", "canine"})
"""Text classifiers whose outputs depend on the padding of a batch, by their construction."""

_VIT = _SIZES | {"image_size": 16, "patch_size": 4}
_TOWERS = {"vision_config": _VIT, "text_config": _SIZES | _ENDS | {"vocab_size": 24}}
_STAGES = {"hidden_sizes": [8, 16], "depths": [1, 2]}
_SWIN = {"image_size": 16, "patch_size": 2, "embed_dim": 8, "depths": [1, 2], "num_heads": [1, 2], "window_size": 2}
_PYRAMID = _STAGES | {
    "image_size": 16, "num_encoder_blocks": 2, "sr_ratios": [2, 1], "patch_sizes": [3, 3], "strides": [2, 2],
    "num_attention_heads": [1, 2], "mlp_ratios": [2, 2],
}  # fmt: skip

IMAGES: dict[str, tuple[str, dict[str, Any]]] = {
    "vit": ("ViT", _VIT),
    "deit": ("DeiT", _VIT),
    "beit": ("Beit", _VIT | {"out_indices": [1, 2]}),
    "dinov2": ("Dinov2", _VIT),
    "dinov2_with_registers": ("Dinov2WithRegisters", _VIT),
    "ijepa": ("IJepa", _VIT),
    "siglip": ("Siglip", _TOWERS),
    "clip": ("CLIP", _TOWERS),
    "swin": ("Swin", _SWIN),
    "swinv2": ("Swinv2", _SWIN),
    "convnext": ("ConvNext", _STAGES | {"num_stages": 2, "patch_size": 2}),
    "resnet": ("ResNet", _STAGES | {"embedding_size": 8, "layer_type": "basic"}),
    "regnet": ("RegNet", _STAGES | {"embedding_size": 8, "groups_width": 4}),
    "bit": ("Bit", _STAGES | {"embedding_size": 8, "num_groups": 4}),
    "poolformer": (
        "PoolFormer",
        _STAGES | {"num_encoder_blocks": 2, "patch_sizes": [3, 3], "strides": [2, 2], "padding": [1, 1]},
    ),
    "segformer": ("Segformer", _PYRAMID),
    "pvt_v2": ("PvtV2", _PYRAMID),
    "hiera": (
        "Hiera",
        {"image_size": [16, 16], "patch_size": [3, 3], "patch_stride": [2, 2], "patch_padding": [1, 1]}
        | {"embed_dim": 8, "depths": [1, 1], "num_heads": [1, 2], "query_stride": [2, 2], "num_query_pool": 1}
        | {"masked_unit_size": [4, 4]},
    ),
    "focalnet": (
        "FocalNet",
        {"image_size": 16, "patch_size": 2, "embed_dim": 8, "depths": [1, 2], "focal_levels": [1, 1]}
        | {"focal_windows": [3, 3]},
    ),
}
"""By model type: the library's name and the configuration; images of 16 x 16 pixels fit all of them."""


def make_model(name: str, **settings: Any) -> Any:
    """The classifier in evaluation mode, with weights that do not depend on what was drawn before.

    The library's own first weights are so small that all samples have nearly the same logits; these are larger.
    """
    library, configuration = (TEXTS if name in TEXTS else IMAGES)[name][:2]
    kind = "Sequence" if name in TEXTS else "Image"
    labels = {"id2label": dict(enumerate(CLASSES)), "label2id": {label: place for place, label in enumerate(CLASSES)}}
    config = getattr(transformers, f"{library}Config")(**(configuration | labels | settings))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = getattr(transformers, f"{library}For{kind}Classification")(config)
        for parameter in model.parameters():
            drawn = torch.randn_like(parameter)
            width = parameter[0].numel() if parameter.ndim > 1 else None
            parameter.data += 0.1 * drawn if width is None else 1.5 / width**0.5 * drawn
        for module in model.modules():
            if isinstance(module, nn.Embedding) and module.padding_idx is not None:
                module.weight.data[module.padding_idx] = 0  # as the library begins; MobileBERT reads it
    return model.eval()


def make_tokenizer(text: str, **settings: Any) -> PreTrainedTokenizerFast:
    """A tokenizer of whole words that makes of a text what is said, such as "<s> text </s>"."""
    vocabulary = {token: place for place, token in enumerate([*SPECIAL, *WORDS])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, "<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.post_processor = processors.TemplateProcessing(
        single=text.replace("text", "$A"), special_tokens=[(token, vocabulary[token]) for token in ("<s>", "</s>")]
    )
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, **(TOKENS | settings))


def save_checkpoint(name: str, folder: Path, **settings: Any) -> Path:
    """Writes the classifier, and the tokenizer of one of texts."""
    make_model(name, **settings).save_pretrained(folder)
    if name == "xlnet":
        special = ("<unk>", "<s>", "</s>", "<cls>", "<sep>", "<pad>", "<mask>", "<eod>", "<eop>")
        pieces = [*((token, 0.0) for token in special), *((f"▁{word}", -1.0) for word in WORDS)]
        transformers.XLNetTokenizer(vocab=pieces).save_pretrained(folder)
    elif name in TEXTS:
        make_tokenizer(TEXTS[name][2]).save_pretrained(folder)
    return folder


def make_samples(name: str, count: int = 12) -> LabelledTexts | ImageArray:
    """Random texts of 1 to 12 words, or random images."""
    draw = np.random.default_rng(0)
    labels = np.arange(count) % len(CLASSES)
    if name in IMAGES:
        return ImageArray(draw.integers(256, size=(count, 16, 16), dtype=np.uint8), labels, "tiny")
    texts = [" ".join(draw.choice(WORDS, size=1 + 5 * row % 12)) for row in range(count)]
    return LabelledTexts(texts, labels, CLASSES, list(range(1, count + 1)), "tiny")


def classifier_of(name: str, folder: Path) -> Classifier:
    """The checkpoint, written into a folder and read from it."""
    samples = make_samples(name)
    return load_classifier(str(save_checkpoint(name, folder)), samples, None if name in TEXTS else 16)


def problem_of(name: str, folder: Path, count: int = 12) -> Problem:
    """The classifier on its random samples, all parameters moving."""
    classifier, samples = classifier_of(name, folder), make_samples(name, count)
    inputs = classifier.inputs(samples, np.arange(count))
    return Problem(classifier.model, inputs, predict=classifier.predict, order="source", collate=classifier.collate)
