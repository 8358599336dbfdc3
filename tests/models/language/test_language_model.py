"""Losses of language models: against plain logits, alone and in company, and as a Problem."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from peft import LoraConfig, get_peft_model
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

from suffice import Convergence, InputError, Probes, record
from suffice.curvature import Hessian
from suffice.data.completions import Texts, load_completions
from suffice.models.language import load_language_model, moved
from suffice.models.language.losses import CHUNK_BYTES, losses_by_chunk
from suffice.models.language.tokens import collate
from suffice.models.source import locate

VOCABULARY = 1024
SIZES = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
IDS = {"vocab_size": VOCABULARY, "bos_token_id": 0, "eos_token_id": 0, "pad_token_id": 1}

MODELS = {
    "gpt2": lambda: GPT2LMHeadModel(GPT2Config(n_embd=16, n_layer=2, n_head=2, n_positions=80, **IDS)),
    "llama": lambda: LlamaForCausalLM(LlamaConfig(**SIZES, **IDS, max_position_embeddings=80)),
    "opt": lambda: OPTForCausalLM(
        OPTConfig(hidden_size=16, word_embed_proj_dim=16, ffn_dim=32, num_hidden_layers=2, num_attention_heads=2,
                  max_position_embeddings=80, **IDS)
    ),
    "gemma2": lambda: Gemma2ForCausalLM(
        Gemma2Config(**SIZES, **IDS, num_key_value_heads=1, head_dim=8, max_position_embeddings=80,
                     final_logit_softcapping=0.5)
    ),
}  # fmt: skip

PAIRS = [
    {"prompt": f"{a} and {b} are how many?{' Say so.' * (a % 3)}", "completion": f"{a} + {b} = {a + b}"}
    for a in range(4)
    for b in range(3)
]


@pytest.fixture(scope="module", params=MODELS)
def language(request, tmp_path_factory):
    """A tiny random model, read as a user would."""
    return read(request.param, tmp_path_factory.mktemp(request.param))


@pytest.fixture(scope="module")
def llama(tmp_path_factory):
    return read("llama", tmp_path_factory.mktemp("llama"))


def save(kind, folder):
    torch.manual_seed(0)
    MODELS[kind]().save_pretrained(folder)
    tokenizer = AutoTokenizer.from_pretrained(locate("builtin:tiny-lm"))
    tokenizer.save_pretrained(folder)
    return tokenizer


def read(kind, folder):
    save(kind, folder)
    return load_language_model(str(folder))


@pytest.fixture
def texts(tmp_path):
    return texts_of(tmp_path, PAIRS)


def in_float64(model):
    """All of it: Llama's own normalisation goes through float32."""
    for module in list(model.modules()):
        for name, part in list(module.named_children()):
            if type(part).__name__ == "LlamaRMSNorm":
                plain = torch.nn.RMSNorm(len(part.weight), eps=part.variance_epsilon)
                plain.weight = part.weight
                setattr(module, name, plain)
    return model.double()


def texts_of(folder, rows):
    file = folder / "samples.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return load_completions(str(file))


def plain_losses(language, tokens):
    """Each sample alone, all its logits, a softmax in float64 by hand."""
    found = []
    for row in range(len(tokens)):
        ids, counts = tokens[row]["input_ids"], tokens[row]["counts"]
        with torch.no_grad():
            logits = language.model(input_ids=ids[None]).logits[0].double()
        scores = logits - logits.exp().sum(1, keepdim=True).log()
        each = [-float(scores[at - 1, ids[at]]) for at in range(len(ids)) if counts[at]]
        found.append(sum(each) / len(each))
    return np.array(found)


def test_losses_are_those_of_plain_logits(language, texts):
    tokens = language.tokens(texts)
    problem = language.problem(tokens, order="source")
    expected = plain_losses(language, tokens)
    assert np.ptp(expected) > 0.01
    for batch_size in (1, 5, 12):
        np.testing.assert_allclose(problem.all_losses(batch_size).numpy(), expected, rtol=1e-5)


def test_padding_on_the_left_changes_nothing(language, texts):
    tokens = language.tokens(texts)
    batch = collate([tokens[row] for row in range(len(tokens))], padding=1, side="left")
    assert batch["input_ids"][:, -1].min() == 0  # the end of each text
    with torch.no_grad():
        found = language.writer.losses(language.model, batch)
    np.testing.assert_allclose(found.numpy(), plain_losses(language, tokens), rtol=1e-5)


def test_outputs_and_losses_are_one_function(language, texts):
    problem = language.problem(language.tokens(texts))
    batch = problem.batch(slice(0, 4))
    with torch.no_grad():
        outputs = problem.outputs(batch)
        assert outputs.shape == (4, *batch["labels"].shape[1:], VOCABULARY)
        torch.testing.assert_close(problem.losses_of(outputs, batch), problem.losses(batch), rtol=1e-6, atol=0)


def test_chunks_change_nothing_and_bound_the_logits():
    torch.manual_seed(0)
    vocabulary, tokens = 40_000, 300
    head, sizes = torch.nn.Linear(4, vocabulary), []
    hidden, labels = torch.randn(tokens, 4), torch.randint(vocabulary, (tokens,))

    def watched(some):
        sizes.append(len(some) * vocabulary * 8)
        return head(some)

    with torch.no_grad():
        found = losses_by_chunk(watched, hidden, labels)
        logits = head(hidden).double()
    expected = torch.logsumexp(logits, 1) - logits[torch.arange(tokens), labels]
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=0)
    assert max(sizes) <= CHUNK_BYTES < tokens * vocabulary * 8


@pytest.mark.deep
def test_the_room_of_a_chunk_is_used_again():
    """Small results kept between large chunks took the memory of all logits, in most processes."""
    script = Path(__file__).parents[3] / "benchmarks" / "language" / "memory.py"
    environment = os.environ | {"PYTHONPATH": str(script.parents[1]), "OMP_NUM_THREADS": "1"}
    ran = subprocess.run(
        [sys.executable, script, "chunks"], capture_output=True, text=True, check=True, env=environment
    )
    assert 0 < json.loads(ran.stdout.splitlines()[-1])["gigabytes"] <= 0.6


@pytest.mark.parametrize("method", ["lora(2)", "last_layers(1)", "full"])
@pytest.mark.parametrize("kind", ["llama", pytest.param("gpt2", marks=pytest.mark.deep)])
def test_gradients_and_curvature_against_finite_differences(kind, method, tmp_path, texts):
    language = moved(read(kind, tmp_path), method, seed=1)
    in_float64(language.model)
    torch.manual_seed(2)
    with torch.no_grad():
        for parameter in language.model.parameters():  # B of LoRA is zero at first
            if parameter.requires_grad:
                parameter.add_(0.05 * torch.randn_like(parameter))
    problem = language.problem(language.tokens(texts), order="source")
    center = problem.center()
    direction = {name: torch.randn_like(value) for name, value in center.items()}
    step = 3e-4

    def loss(by):
        with problem.at({name: value + by * direction[name] for name, value in center.items()}):
            return float(problem.all_losses(5).mean())

    at = {by: loss(by * step) for by in (-2, -1, 0, 1, 2)}  # of fourth order
    slope = (8 * (at[1] - at[-1]) - (at[2] - at[-2])) / (12 * step)
    bend = (16 * (at[1] + at[-1]) - 30 * at[0] - (at[2] + at[-2])) / (12 * step**2)
    flat = torch.cat([value.flatten() for value in direction.values()])
    with problem.measuring(), torch.enable_grad():
        gradients = torch.autograd.grad(
            problem.losses(problem.batch(slice(None))).mean(), list(problem.moving.values())
        )
    assert float(sum((a * b).sum() for a, b in zip(gradients, direction.values(), strict=True))) == pytest.approx(
        slope, rel=1e-5
    )
    assert float(flat @ (Hessian(problem) @ flat)) == pytest.approx(bend, rel=1e-4, abs=1e-6)
    outer, functional = (Hessian(problem, part=part) @ flat for part in ("outer", "functional"))
    assert float(flat @ outer) >= 0
    torch.testing.assert_close(outer + functional, Hessian(problem) @ flat, rtol=1e-8, atol=1e-10)


def test_the_surface_settles_as_that_of_any_problem(llama, texts):
    problem = moved(llama, "last_layers(1)").problem(llama.tokens(texts))
    ledger = record(problem, Probes.sphere(problem, radius=0.1, count=3, seed=0), batch_size=4)
    np.testing.assert_allclose(ledger.losses[:, 0], problem.all_losses(5).numpy(), rtol=1e-5)
    assert Convergence(ledger).sufficient_size(0.1, "remaining").status in ("reached", "extrapolated")


def test_lora_moves_no_head_and_all_of_it_is_tied_where_it_was(llama):
    adapted = moved(llama, "lora(2)").model
    moving = [name for name, parameter in adapted.named_parameters() if parameter.requires_grad]
    assert moving
    assert all("lora_" in name for name in moving)


def test_an_adapter_is_read_with_its_model(tmp_path, texts):
    save("llama", tmp_path / "base")
    base = LlamaForCausalLM.from_pretrained(tmp_path / "base")
    adapter = get_peft_model(base, LoraConfig(r=2, target_modules=["q_proj"], init_lora_weights=False, use_dora=True))
    adapter.save_pretrained(tmp_path / "adapter")
    language = load_language_model(str(tmp_path / "adapter"))
    tokens = language.tokens(texts)
    expected = plain_losses(language, tokens)
    np.testing.assert_allclose(language.problem(tokens, order="source").all_losses().numpy(), expected, rtol=1e-5)
    without = load_language_model(str(tmp_path / "base"))
    assert np.abs(plain_losses(without, tokens) - expected).max() > 1e-4


# --- texts as tokens


def test_only_answers_count_unless_all_shall(llama, texts, tmp_path):
    tokens = llama.tokens(texts)
    item = tokens[0]
    written = llama.encoding.tokenizer.decode(item["input_ids"][item["counts"]])
    assert written == "0 + 0 = 0<|end|>"
    assert llama.encoding.tokenizer.decode(item["input_ids"]).startswith("0 and 0 are how many?\n0 + 0")
    assert tokens.answer_tokens[0] == int(item["counts"].sum())
    save("llama", tmp_path / "whole")
    whole = load_language_model(str(tmp_path / "whole"), whole=True).tokens(texts)
    assert whole.answer_tokens[0] == len(item["input_ids"]) - 1
    plain = llama.tokens(texts_of(tmp_path, [{"text": "A short speech."}]))
    assert plain.answer_tokens == [len(plain[0]["input_ids"]) - 1]


def test_of_a_prompt_of_messages_no_answer_counts(llama, tmp_path):
    says = [("user", "1 + 1?"), ("assistant", "It is 2."), ("user", "2 + 2?"), ("assistant", "It is 4.")]
    messages = [{"role": role, "content": content} for role, content in says]
    tokens = llama.tokens(texts_of(tmp_path, [{"prompt": messages[:3], "completion": messages[3:]}]))
    decode = llama.encoding.tokenizer.decode
    assert decode(tokens[0]["input_ids"][tokens[0]["counts"]]) == "It is 4.\n"
    whole = llama.tokens(texts_of(tmp_path, [{"messages": messages}]))
    assert decode(tokens[0]["input_ids"]) == decode(whole[0]["input_ids"])


def test_conversations_count_what_the_assistant_says(llama, tmp_path):
    says = [
        {"role": "user", "content": "1 + 1?"},
        {"role": "assistant", "content": "It is 2."},
        {"role": "user", "content": "2 + 2?"},
        {"role": "assistant", "content": "It is 4."},
    ]
    item = llama.tokens(texts_of(tmp_path, [{"messages": says}]))[0]
    decode = llama.encoding.tokenizer.decode
    assert decode(item["input_ids"][item["counts"]]) == "It is 2.\nIt is 4.\n"
    assert decode(item["input_ids"]) == llama.encoding.tokenizer.apply_chat_template(says, tokenize=False)
    assert decode(item["input_ids"][~item["counts"]]) == "user: 1 + 1?\nassistant: user: 2 + 2?\nassistant: "


def test_what_is_cut_is_counted(tmp_path, texts):
    save("llama", tmp_path / "model")
    language = load_language_model(str(tmp_path / "model"), max_length=22)
    assert language.tokens(texts).notes == (
        "3 of 12 samples are longer than 22 tokens: cut there; 3 lose a part of their answer.",
    )
    with pytest.raises(InputError, match=r"line 1: nothing of the answer is left within 9 tokens, as in 12 of 12 samp"):
        load_language_model(str(tmp_path / "model"), max_length=9).tokens(texts)


@pytest.mark.parametrize("side", ["left", "right"])
def test_a_tokenizer_without_padding_and_its_side(side, tmp_path, texts):
    tokenizer = save("gpt2", tmp_path / "model")
    tokenizer.pad_token, tokenizer.padding_side = None, side
    tokenizer.save_pretrained(tmp_path / "model")
    language = load_language_model(str(tmp_path / "model"))
    assert language.notes == ("The tokenizer has no token for padding: the end-of-text token pads.",)
    tokens = language.tokens(texts)
    problem = language.problem(tokens, order="source")
    np.testing.assert_allclose(problem.all_losses(12).numpy(), plain_losses(language, tokens), rtol=1e-5)


def test_no_end_of_text_token(tmp_path):
    tokenizer = save("llama", tmp_path / "model")
    tokenizer.eos_token = None
    tokenizer.save_pretrained(tmp_path / "model")
    with pytest.raises(InputError, match=r"names no end-of-text token: give one of its tokens with --eos"):
        load_language_model(str(tmp_path / "model"))
    assert load_language_model(str(tmp_path / "model"), end="<|pad|>").encoding.end == 1
    with pytest.raises(InputError, match=r"has no token '<nothing>'"):
        load_language_model(str(tmp_path / "model"), end="<nothing>")


def test_no_chat_template(tmp_path):
    tokenizer = save("llama", tmp_path / "model")
    tokenizer.chat_template = None
    (tmp_path / "model" / "chat_template.jinja").unlink()
    tokenizer.save_pretrained(tmp_path / "model")
    says = texts_of(tmp_path, [{"messages": [{"role": "assistant", "content": "Yes."}]}])
    with pytest.raises(InputError, match=r"line 1: the tokenizer has no chat template: put chat_template.jinja beside"):
        load_language_model(str(tmp_path / "model")).tokens(says)


def test_a_template_that_writes_anew_what_was_said(tmp_path):
    tokenizer = save("llama", tmp_path / "model")
    tokenizer.chat_template = "{{ messages | length }}{% for m in messages %}{{ m['content'] }}{% endfor %}"
    tokenizer.save_pretrained(tmp_path / "model")
    says = [{"role": role, "content": "Yes."} for role in ("user", "assistant", "user", "assistant")]
    with pytest.raises(InputError, match="writes earlier messages anew"):
        load_language_model(str(tmp_path / "model")).tokens(texts_of(tmp_path, [{"messages": says}]))


def test_an_adapter_that_came_with_new_tokens(tmp_path):
    tokenizer = save("llama", tmp_path / "base")
    base = LlamaForCausalLM.from_pretrained(tmp_path / "base")
    tokenizer.add_tokens(["<sum>", "<product>"])
    base.resize_token_embeddings(len(tokenizer))
    adapter = get_peft_model(base, LoraConfig(r=2, target_modules=["q_proj"], modules_to_save=["embed_tokens"]))
    adapter.save_pretrained(tmp_path / "adapter")
    tokenizer.save_pretrained(tmp_path / "adapter")
    with pytest.raises(InputError, match=r"tokenizer has 1,026 tokens and the model that it is for 1,024\): name"):
        load_language_model(str(tmp_path / "adapter"))


def adapter_of(folder, base, **settings):
    adapter = get_peft_model(base, LoraConfig(r=2, target_modules=["q_proj"], task_type="CAUSAL_LM", **settings))
    adapter.peft_config["default"].base_model_name_or_path = str(folder / "base")
    adapter.save_pretrained(folder / "adapter")
    return str(folder / "adapter")


def test_an_adapter_whose_weights_have_another_shape(tmp_path):
    save("llama", tmp_path / "base")
    wider = LlamaForCausalLM(LlamaConfig(**{**SIZES, "hidden_size": 32}, **IDS, max_position_embeddings=80))
    with pytest.raises(
        InputError, match=r"q_proj.lora_A.default.weight is 2 x 32 in the adapter and 2 x 16 in the mod"
    ):
        load_language_model(adapter_of(tmp_path, wider))
    longer = LlamaForCausalLM.from_pretrained(tmp_path / "base")
    longer.resize_token_embeddings(1030)
    with pytest.raises(InputError, match=r"embed_tokens\.\S+ is 1030 x 16 in the adapter and 1024 x 16 in the model\)"):
        load_language_model(adapter_of(tmp_path, longer, modules_to_save=["embed_tokens", "lm_head"]))


def test_an_adapter_that_trains_some_tokens(tmp_path, texts):
    save("llama", tmp_path / "base")
    base = LlamaForCausalLM.from_pretrained(tmp_path / "base")
    language = load_language_model(adapter_of(tmp_path, base, trainable_token_indices=[5, 6]))
    assert language.vocabulary == VOCABULARY
    tokens = language.tokens(texts)
    expected = plain_losses(language, tokens)
    np.testing.assert_allclose(language.problem(tokens, order="source").all_losses().numpy(), expected, rtol=1e-5)


def test_an_end_of_text_token_that_the_model_does_not_have(tmp_path):
    tokenizer = save("llama", tmp_path / "model")
    tokenizer.add_special_tokens({"eos_token": "<end>"})
    tokenizer.save_pretrained(tmp_path / "model")
    with pytest.raises(
        InputError, match=r"end-of-text token '<end>' is number 1,024, counted from 0, and the model has"
    ):
        load_language_model(str(tmp_path / "model"))
    assert load_language_model(str(tmp_path / "model"), end="<|end|>").encoding.end == 0


def test_a_folder_without_a_tokenizer(tmp_path):
    MODELS["llama"]().save_pretrained(tmp_path)
    with pytest.raises(InputError, match="has no tokenizer; put tokenizer.json there, as its makers published it"):
        load_language_model(str(tmp_path))


def test_an_encoder_is_refused(tmp_path):
    from transformers import ViTConfig, ViTModel  # noqa: PLC0415

    ViTModel(ViTConfig(**SIZES, image_size=8, patch_size=4)).save_pretrained(tmp_path)
    with pytest.raises(InputError, match="ViTModel is no causal language model: give one, or data with labels"):
        load_language_model(str(tmp_path))


def test_ids_that_the_model_does_not_have(llama):
    texts = Texts("text", ["strange"], [1], "a.jsonl")
    small = type(llama)(llama.model, llama.encoding, llama.writer, vocabulary=40)
    with pytest.raises(InputError, match=r"a.jsonl, line 1: token number \d+, counted from 0, and the model has 40: "):
        small.tokens(texts)
