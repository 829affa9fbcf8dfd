#!/usr/bin/env python3
"""Makes the tiny models of this folder and their golden logits, with `transformers` and `gguf`. README.md says what is what.

    python3 -m venv ~/golden && ~/golden/bin/pip install torch==2.13.0 transformers==5.24.0 gguf==0.19.0
    ~/golden/bin/python Tests/Fixtures/LanguageModels/make_fixtures.py

Weights are drawn from a seeded generator in the order of their names and rounded to the type they are stored in; logits are
computed in Float32 from the rounded weights. What is drawn is large enough to matter: matrices keep the size of what they
multiply, norms and biases are far from 1 and 0, so that one left out or put in the wrong place moves every logit.
"""
import hashlib
import json
import pathlib
import shutil

import gguf
import numpy as np
import torch
from gguf import GGMLQuantizationType as Kind
from safetensors.torch import save_file
from transformers import (LlamaConfig, LlamaForCausalLM, Qwen2Config, Qwen2ForCausalLM, Qwen3Config, Qwen3ForCausalLM)

here = pathlib.Path(__file__).resolve().parent
classes = {"llama": (LlamaConfig, LlamaForCausalLM), "qwen2": (Qwen2Config, Qwen2ForCausalLM),
           "qwen3": (Qwen3Config, Qwen3ForCausalLM)}
dtypes = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}
llama3_scaling = dict(rope_type="llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
                      original_max_position_embeddings=32)


def make(family, seed, *, width=32, heads=4, kv_heads, head_dim, inner=32, layers=2, vocabulary=64, tied, theta,
         scaling=None, dtype="F32", round_to=None):
    """A model in Float32 whose weights are exactly those that are stored, and its configuration."""
    make_configuration, make_model = classes[family]
    rope = dict(rope_theta=theta, **(scaling or {"rope_type": "default"}))
    configuration = make_configuration(
        vocab_size=vocabulary, hidden_size=width, intermediate_size=inner, num_hidden_layers=layers,
        num_attention_heads=heads, num_key_value_heads=kv_heads, head_dim=head_dim, max_position_embeddings=256,
        rms_norm_eps=1e-5 if family == "llama" else 1e-6, tie_word_embeddings=tied, rope_parameters=rope,
        bos_token_id=1, eos_token_id=2, pad_token_id=None, attn_implementation="eager")
    model = make_model(configuration).float().eval()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, weight in sorted(model.named_parameters()):
            drawn = torch.randn(weight.shape, generator=generator)
            if name.endswith("norm.weight"):
                drawn = 1 + 0.3 * drawn
            elif name.endswith(".bias"):
                drawn = 0.5 * drawn
            elif "embed_tokens" in name:
                drawn = 0.5 * drawn
            else:
                drawn = drawn / weight.shape[1] ** 0.5
            weight.copy_(round_to(name, drawn) if round_to else drawn.to(dtypes[dtype]).float())
    return model, configuration


def sequences(vocabulary, lengths, seed):
    generator = np.random.default_rng(seed)
    return [generator.integers(0, vocabulary, length).tolist() for length in lengths]


def golden(folder, model, token_lists, **facts):
    """golden.json (token ids, facts) and logits.safetensors: `logits.N`, Float32 [T, V], for the N-th list of token ids.

    The difference to the same model with its products in Float64 (norms and angles stay Float32) is what Float32 costs."""
    logits, worst = {}, 0.0
    exact = type(model)(model.config).eval().double()
    exact.load_state_dict(model.state_dict())
    with torch.no_grad():
        for number, tokens in enumerate(token_lists):
            ids = torch.tensor([tokens])
            logits[f"logits.{number}"] = model(ids).logits[0].contiguous()
            worst = max(worst, (exact(ids).logits[0] - logits[f"logits.{number}"]).abs().max().item())
    save_file(logits, folder / "logits.safetensors")
    largest = max(value.abs().max().item() for value in logits.values())
    write_json(folder / "golden.json", dict(
        facts, tokens=token_lists, largest_logit=largest, largest_difference_to_float64=worst))
    print(f"{folder.relative_to(here)}: largest logit {largest:.2f}, Float32 against Float64 {worst:.1e}")


def write_json(path, value):
    path.write_text(json.dumps(value, indent=None if path.name == "golden.json" else 2, ensure_ascii=False) + "\n")


def folder_named(*names):
    folder = here.joinpath(*names)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


# MARK: - Hugging Face folders


def classic(written):
    """A configuration as `transformers` 4 wrote it, from what version 5 writes: what most folders on the Hub look like."""
    old = {key: value for key, value in written.items() if key not in ("rope_parameters", "dtype")}
    rope = dict(written["rope_parameters"])
    old["rope_theta"] = rope.pop("rope_theta")
    old["rope_scaling"] = None if rope.get("rope_type") == "default" else rope
    old["torch_dtype"] = written["dtype"]
    old["transformers_version"] = "4.46.0"
    # Qwen2's own folders have no head_dim, and Llama's only where it is not width / heads. Without it Qwen3's would be 128.
    if old["model_type"] == "qwen2" or (
            old["model_type"] == "llama" and old["head_dim"] == old["hidden_size"] // old["num_attention_heads"]):
        old.pop("head_dim", None)
    return old


def hugging_face(name, family, seed, *, dtype, form="4", shards=False, lengths=(1, 6, 24), **shape):
    folder = folder_named("tiny", name)
    model, configuration = make(family, seed, dtype=dtype, **shape)
    stored = classes[family][1](configuration).to(dtypes[dtype])
    stored.load_state_dict(model.state_dict())
    stored.save_pretrained(folder, max_shard_size="24KB" if shards else "1GB")
    (folder / "generation_config.json").unlink(missing_ok=True)
    written = json.loads((folder / "config.json").read_text())
    assert "rope_parameters" in written and "dtype" in written, "this is not how transformers 5 writes a folder"
    other = "config.transformers5.json" if form == "4" else "config.transformers4.json"
    write_json(folder / "config.json", classic(written) if form == "4" else written)
    write_json(folder / other, written if form == "4" else classic(written))
    again = classes[family][1].from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()
    for key, value in again.state_dict().items():
        assert torch.equal(value, model.state_dict()[key]), f"{name}: {key} is not what was stored"
    golden(folder, again, sequences(shape.get("vocabulary", 64), lengths, seed), family=family, dtype=dtype)


hugging_face("llama-tied-1-kv-head-f32", "llama", 1, dtype="F32", kv_heads=1, head_dim=8, tied=True, theta=10_000.0)
hugging_face("llama-untied-2-kv-heads-wide-f16", "llama", 2, dtype="F16", kv_heads=2, head_dim=16, tied=False, theta=500_000.0)
hugging_face("llama-tied-4-kv-heads-bf16", "llama", 3, dtype="BF16", kv_heads=4, head_dim=8, tied=True, theta=100_000.0)
hugging_face("llama-scaled-bf16", "llama", 4, dtype="BF16", kv_heads=2, head_dim=16, tied=True, theta=10_000.0,
             scaling=llama3_scaling, lengths=(1, 72))
hugging_face("llama-sharded-bf16", "llama", 5, dtype="BF16", kv_heads=2, head_dim=8, tied=False, theta=10_000.0, shards=True)
hugging_face("qwen2-tied-f32", "qwen2", 6, dtype="F32", kv_heads=2, head_dim=8, tied=True, theta=1_000_000.0)
hugging_face("qwen2-untied-bf16", "qwen2", 7, dtype="BF16", kv_heads=1, head_dim=8, tied=False, theta=1_000_000.0)
hugging_face("qwen3-tied-bf16", "qwen3", 8, dtype="BF16", kv_heads=2, head_dim=16, tied=True, theta=1_000_000.0)
hugging_face("qwen3-untied-f16-transformers5", "qwen3", 9, dtype="F16", kv_heads=4, head_dim=8, tied=False,
             theta=1_000_000.0, form="5")

# MARK: - GGUF

block_names = {"self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
               "self_attn.o_proj": "attn_output", "self_attn.q_norm": "attn_q_norm", "self_attn.k_norm": "attn_k_norm",
               "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down",
               "input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm"}
outer_names = {"model.embed_tokens.weight": "token_embd.weight", "model.norm.weight": "output_norm.weight",
               "lm_head.weight": "output.weight"}


def gguf_name(name):
    if name in outer_names:
        return outer_names[name]
    _, _, layer, rest = name.split(".", 3)
    part, leaf = rest.rsplit(".", 1)
    return f"blk.{layer}.{block_names[part]}.{leaf}"


def interleaved(rows, heads):
    """GGUF's order of the rows of Llama's q and k: row 2i of a head is the half-split order's i, row 2i + 1 its i + half."""
    return rows.reshape(heads, 2, -1, *rows.shape[1:]).swapaxes(1, 2).reshape(rows.shape)


def half_split(rows, heads):
    return rows.reshape(heads, -1, 2, *rows.shape[1:]).swapaxes(1, 2).reshape(rows.shape)


def random_blocks(kind, rows, columns, generator):
    """Blocks of a K type with every bit of the numbers drawn; `gguf` reads these types and writes none of them.

    Minima are drawn with the rest, so a block's weights share a sign more often than not; smaller scales make up for it."""
    size, byte_count = gguf.GGML_QUANT_SIZES[kind]
    blocks = generator.integers(0, 256, (rows * columns // size, byte_count), dtype=np.uint8)
    half = lambda values: np.asarray(values, np.float16)[:, None].view(np.uint8)
    spread = (0.25 + 0.5 * generator.random(len(blocks))) / columns ** 0.5
    if kind == Kind.Q6_K:  # weight = d * scale (int8) * (-32...31)
        blocks[:, -2:] = half(spread / 1_350)
    else:  # weight = d * scale (0...63) * number - dmin * minimum (0...63); numbers reach 15 and 31
        highest = {Kind.Q4_K: 15, Kind.Q5_K: 31}[kind]
        blocks[:, 0:2] = half(spread / (11.5 * highest))
        blocks[:, 2:4] = half(spread / 23)
    return blocks.reshape(rows, -1)


def byte_tokens():
    """The 256 characters that stand for bytes in a byte-level vocabulary, in the usual order of tokens."""
    plain = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    moved = [byte for byte in range(256) if byte not in plain]
    return [chr(byte) for byte in plain] + [chr(256 + number) for number in range(len(moved))]


merges = ["Ġ t", "Ġ a", "h e", "i n", "Ġt he", "e r", "o n", "Ġ s", "r e", "a n", "Ġa n", "Ġan d"]
special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<tool>"]
vocabulary_tokens = special + byte_tokens() + [merge.replace(" ", "") for merge in merges]


def gguf_file(name, family, seed, kinds, *, pre, lengths=(1, 12), **shape):
    """One GGUF file. `kinds` gives the type of a tensor by its GGUF name, the first pattern that is part of the name."""
    folder = folder_named("gguf", name)
    generator = np.random.default_rng(seed)
    heads, kv_heads = shape.get("heads", 4), shape["kv_heads"]
    written = {}

    def kind_of(name, drawn):
        if drawn.ndim == 1:
            return Kind.F32  # llama.cpp wants norms and biases so
        return next(kind for pattern, kind in kinds.items() if pattern in name)

    def round_to(name, drawn):
        rows, key = drawn.numpy(), gguf_name(name)
        turned = {"attn_q": heads, "attn_k": kv_heads}.get(key.split(".")[-2]) if family == "llama" else None
        if turned:
            rows = interleaved(rows, turned)
        kind = kind_of(key, rows)
        if kind in (Kind.Q4_K, Kind.Q5_K, Kind.Q6_K):
            data = random_blocks(kind, *rows.shape, generator)
        else:
            data = gguf.quants.quantize(np.ascontiguousarray(rows), kind)
        back = gguf.quants.dequantize(data, kind).reshape(rows.shape).astype(np.float32)
        written[key] = (data, kind, back)
        return torch.from_numpy(half_split(back, turned) if turned else back)

    model, configuration = make(family, seed, round_to=round_to, vocabulary=len(vocabulary_tokens), **shape)
    writer = gguf.GGUFWriter(folder / "model.gguf", family)
    writer.add_name(name)
    writer.add_context_length(configuration.max_position_embeddings)
    writer.add_embedding_length(configuration.hidden_size)
    writer.add_block_count(configuration.num_hidden_layers)
    writer.add_feed_forward_length(configuration.intermediate_size)
    writer.add_head_count(heads)
    writer.add_head_count_kv(kv_heads)
    writer.add_layer_norm_rms_eps(configuration.rms_norm_eps)
    writer.add_rope_freq_base(configuration.rope_parameters["rope_theta"])
    writer.add_vocab_size(len(vocabulary_tokens))
    if shape["head_dim"] * heads != configuration.hidden_size or family == "qwen3":
        writer.add_key_length(shape["head_dim"])
        writer.add_value_length(shape["head_dim"])
    if family == "llama":
        writer.add_rope_dimension_count(shape["head_dim"])
    if shape.get("scaling"):  # llama.cpp keeps Llama 3's scaling as a divisor of each frequency
        base = 1 / shape["theta"] ** (np.arange(0, shape["head_dim"], 2) / shape["head_dim"])
        scaled = model.model.rotary_emb.inv_freq.numpy()
        writer.add_tensor("rope_freqs.weight", (base / scaled).astype(np.float32))
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(pre)
    writer.add_token_list(vocabulary_tokens)
    kinds_of_token = gguf.TokenType
    writer.add_token_types([kinds_of_token.CONTROL if t in special[:3] else kinds_of_token.USER_DEFINED if t in special
                            else kinds_of_token.NORMAL for t in vocabulary_tokens])
    writer.add_token_merges(merges)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_add_bos_token(False)
    writer.add_chat_template("{% for message in messages %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] + "
                             "'<|im_end|>' + '\n'}}{% endfor %}{% if add_generation_prompt %}"
                             "{{ '<|im_start|>assistant\n' }}{% endif %}")
    for key, (data, kind, _) in written.items():
        if key == "output.weight" and shape["tied"]:
            continue
        writer.add_tensor(key, data, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    facts = {key: {"type": kind.name, "shape": list(back.shape), "sha256": hashlib.sha256(back.tobytes()).hexdigest()}
             for key, (_, kind, back) in written.items()}
    golden(folder, model, sequences(len(vocabulary_tokens), lengths, seed), family=family, tensors=facts)


gguf_file("llama-mixed", "llama", 11, {
    "token_embd": Kind.Q8_0, "blk.0.attn_q": Kind.F16, "blk.0.attn_k": Kind.BF16, "blk.0.attn_v": Kind.F32,
    "blk.0.attn_output": Kind.Q4_0, "blk.0.ffn_gate": Kind.Q4_1, "blk.0.ffn_up": Kind.Q5_0, "blk.0.ffn_down": Kind.Q5_1,
    "blk.1.attn_q": Kind.Q8_0, "blk.1.attn_k": Kind.Q4_1, "blk.1.attn_v": Kind.Q4_0, "blk.1.attn_output": Kind.F16,
    "blk.1.ffn_gate": Kind.BF16, "blk.1": Kind.Q8_0, "output": Kind.Q4_1},
    pre="smollm", kv_heads=2, head_dim=8, inner=64, tied=False, theta=100_000.0)
gguf_file("llama-scaled-q8_0", "llama", 12, {"": Kind.Q8_0}, pre="llama-bpe", kv_heads=1, head_dim=16, inner=64, tied=True,
          theta=10_000.0, scaling=llama3_scaling, lengths=(1, 36))
gguf_file("qwen2-q4_0", "qwen2", 13, {"token_embd": Kind.Q8_0, "": Kind.Q4_0}, pre="qwen2", kv_heads=2, head_dim=8, inner=64,
          tied=True, theta=1_000_000.0)
gguf_file("qwen3-q4_1", "qwen3", 14, {"token_embd": Kind.Q8_0, "": Kind.Q4_1}, pre="qwen2", kv_heads=2, head_dim=16, inner=64,
          tied=True, theta=1_000_000.0)
# As in "Q4_K_M" files of narrow models: a type in blocks of 256 where the width allows, another one where it does not.
gguf_file("llama-k-types", "llama", 15, {
    "attn_v": Kind.Q6_K, "attn_k": Kind.Q5_K, "attn_output": Kind.Q5_0, "ffn_down": Kind.Q8_0,
    "ffn_gate": Kind.Q5_K, "": Kind.Q4_K},
    pre="smollm", width=256, heads=2, kv_heads=1, head_dim=32, inner=32, layers=1, tied=True, theta=100_000.0)
