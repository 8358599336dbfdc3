"""Greedy completions: in a batch as alone, without a cache, up to the end, and within the model's positions."""

import json

import pytest
import torch
from transformers import (
    AutoTokenizer,
    Gemma2Config,
    Gemma2ForCausalLM,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    OPTConfig,
    OPTForCausalLM,
)

from suffice import InputError
from suffice.data.completions import load_completions
from suffice.models.language import Generation, load_language_model, moved
from suffice.models.source import locate

SIZES = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
IDS = {"vocab_size": 1024, "bos_token_id": 0, "eos_token_id": 0, "pad_token_id": 1}
MODELS = {
    "gpt2": lambda: GPT2LMHeadModel(GPT2Config(n_embd=16, n_layer=2, n_head=2, n_positions=64, **IDS)),
    "llama": lambda: LlamaForCausalLM(LlamaConfig(**SIZES, **IDS, max_position_embeddings=64)),
    "opt": lambda: OPTForCausalLM(
        OPTConfig(hidden_size=16, word_embed_proj_dim=16, ffn_dim=32, num_hidden_layers=2, num_attention_heads=2,
                  max_position_embeddings=64, **IDS)
    ),
    "gemma2": lambda: Gemma2ForCausalLM(
        Gemma2Config(**SIZES, **IDS, num_key_value_heads=1, head_dim=8, max_position_embeddings=64)
    ),
}  # fmt: skip

PAIRS = [
    {"prompt": "How many are they? " * (1 + row % 4) + f"{row}", "completion": f"They are {row}."} for row in range(9)
]
TEMPLATE = "{% for m in messages %}<|{{ m['role'] }}|>{{ m['content'] }}<|end|>\n{% endfor %}"


def saved(kind, folder, template=None):
    torch.manual_seed(0)
    model = MODELS[kind]()
    with torch.no_grad():
        for parameter in model.parameters():  # the library's first weights write the same token over and over
            parameter.add_(0.3 * torch.randn_like(parameter))
    model.generation_config.repetition_penalty = 5.0
    model.save_pretrained(folder)
    tokenizer = AutoTokenizer.from_pretrained(locate("builtin:tiny-lm"))
    tokenizer.chat_template = template
    tokenizer.save_pretrained(folder)
    return load_language_model(str(folder))


def texts_of(folder, rows):
    file = folder / "samples.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return load_completions(str(file))


def generation_of(language, texts):
    return Generation(texts, language.encoding, language.writer.padding)


def plainly(language, prompt, count):
    """Token by token, without cache and padding."""
    ids = list(prompt)
    with torch.no_grad():
        for _ in range(count):
            ids.append(int(language.model(input_ids=torch.tensor([ids])).logits[0, -1].argmax()))
            if ids[-1] == language.encoding.end:
                break
    return ids[len(prompt) :]


@pytest.mark.parametrize("kind", MODELS)
def test_in_a_batch_as_alone_and_as_token_by_token(kind, tmp_path):
    language, texts = saved(kind, tmp_path / "model"), texts_of(tmp_path, PAIRS)
    generation = generation_of(language, texts)
    found = generation.completions(language.model, 9)
    assert found == generation.completions(language.model, 1) == generation.completions(language.model, 4)
    assert len({written.text for written in found}) > 1
    decode = language.encoding.tokenizer.decode
    for row, written in enumerate(found):
        tokens = plainly(language, language.encoding.asked("", texts[row]).prompt, generation.tokens)
        ended = tokens[-1] == language.encoding.end
        assert (decode(tokens[: -1 if ended else None]), ended) == (written.text, written.is_ended)
    assert language.model.generation_config.repetition_penalty == 5.0  # put back


def test_an_adapter_writes_what_it_has_learnt(tmp_path):
    language, texts = saved("llama", tmp_path / "model"), texts_of(tmp_path, PAIRS[:3])
    before = generation_of(language, texts).completions(language.model, 3)
    adapted = moved(language, "lora(2)")
    assert generation_of(adapted, texts).completions(adapted.model.eval(), 3) == before  # B is zero at first
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in adapted.model.parameters():
            if parameter.requires_grad:
                parameter.add_(torch.randn_like(parameter))
    assert generation_of(adapted, texts).completions(adapted.model, 3) != before


def test_the_longest_reference_bounds_them_and_so_do_the_positions(tmp_path):
    language = saved("gpt2", tmp_path / "model")
    rows = [*PAIRS[:4], {"prompt": "one two three four five six " * 5, "completion": "."}]
    texts = texts_of(tmp_path, rows)
    generation = generation_of(language, texts)
    tokens = language.tokens(texts)
    assert generation.tokens == -(-5 * max(tokens.answer_tokens) // 4)
    length = len(language.encoding.asked("", texts[4]).prompt)
    assert 0 < 64 - length < generation.tokens
    found = generation.completions(language.model, 5)
    assert found == generation.completions(language.model, 1)
    assert len(language.encoding.tokenizer(found[4].text)["input_ids"]) <= 64 - length


def test_a_model_that_ends_is_told_from_one_that_is_cut(tmp_path):
    language, texts = saved("llama", tmp_path / "model"), texts_of(tmp_path, PAIRS[:4])
    generation = generation_of(language, texts)
    with torch.no_grad():  # the end wins everywhere
        language.model.model.norm.weight.zero_()
        language.model.lm_head.weight.zero_()
    found = generation.completions(language.model, 4)
    assert [(written.text, written.is_ended) for written in found] == [("", True)] * 4


def test_the_last_answer_of_a_conversation_is_asked_for(tmp_path):
    says = [("user", "1 + 1?"), ("assistant", "2"), ("user", "2 + 2?"), ("assistant", "4"), ("user", "Well.")]
    messages = [{"role": role, "content": content} for role, content in says]
    language = saved("llama", tmp_path / "model", TEMPLATE)
    texts = texts_of(tmp_path, [{"messages": messages}])
    asked = language.encoding.asked("", texts[0])
    decode = language.encoding.tokenizer.decode
    assert decode(asked.prompt) == "<|user|>1 + 1?<|end|>\n<|assistant|>2<|end|>\n<|user|>2 + 2?<|end|>\n"
    assert (asked.reference, asked.until) == ("4", "<|end|>")
    two = texts_of(tmp_path, [{"prompt": messages[:3], "completion": messages[3:4]}])
    assert language.encoding.asked("", two[0]) == asked


@pytest.mark.parametrize(
    ("row", "template", "said"),
    [
        ({"text": "A speech."}, TEMPLATE, "line 1: a plain text has no answer: --answer-pattern goes with prompts and"),
        ({"prompt": "", "completion": "A"}, TEMPLATE, "line 1: the prompt is empty, and the tokenizer has no token th"),
        ({"messages": [{"role": "assistant", "content": "A"}]}, "{% for m in messages %}{{ m['content'] }}{% endfor %}",
         "line 1: the chat template does not mark the end of an answer, so what a model writes cannot be compared"),
        ({"messages": [{"role": "assistant", "content": "A"}]},
         "{% for m in messages %}{{ m['content'] | lower }}<|end|>{% endfor %}",
         "line 1: the chat template changes the answer"),
    ],
)  # fmt: skip
def test_what_cannot_be_completed_is_refused(row, template, said, tmp_path):
    language = saved("llama", tmp_path / "model", template)
    with pytest.raises(InputError, match=said):
        generation_of(language, texts_of(tmp_path, [row]))
