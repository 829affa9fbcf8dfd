"""Model files as the Python world writes them, and what it reads from them, as the tests of ModelFiles compare with them.

Set-up:  python3 -m venv venv && venv/bin/pip install torch numpy safetensors gguf "transformers>=5"
         python3 -m venv venv4 && venv4/bin/pip install "transformers<5"
Run:     venv/bin/python Tests/Fixtures/Models/make-golden.py         (writes everything but configurations/*-4.json)
         venv4/bin/python Tests/Fixtures/Models/make-golden.py        (writes those alone)

types.gguf, types.safetensors   a tensor of each type with random bytes, and its values as the `gguf` package gives them
configurations/NAME-4.json, -5  `config.json` of each family as transformers 4 and 5 write it
rotary.json                     the rotary speeds that transformers computes for Llama 3's scaling
llama/, qwen2/, qwen3/          Hugging Face folders of tiny models with random weights
llama.gguf, qwen2.gguf, ...     the same models, some matrices quantised: the folders then have what they stand for

Made with gguf 0.19.0, safetensors 0.8.0, torch 2.13.0, transformers 5.24.0 and 4.57.1.
"""
import json, pathlib
import transformers

here = pathlib.Path(__file__).parent
major = int(transformers.__version__.split(".")[0])
llama3 = {
    "rope_type": "llama3", "factor": 32.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
    "original_max_position_embeddings": 8192,
}
shape = dict(
    vocab_size=48, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4,
    num_key_value_heads=2, max_position_embeddings=512,
)


def rope(theta, scaling=None):
    """The arguments for rotary positions, which the two versions name differently."""
    if major >= 5:
        return {"rope_parameters": {"rope_theta": theta, **(scaling or {"rope_type": "default"})}}
    return {"rope_theta": theta, "rope_scaling": scaling}


configurations = {
    "llama": transformers.LlamaConfig(
        **shape, **rope(500000.0, llama3), head_dim=8, attention_bias=True, rms_norm_eps=1e-5, bos_token_id=1,
        eos_token_id=[2, 3], dtype="bfloat16", tie_word_embeddings=False,
    ),
    "llama-plain": transformers.LlamaConfig(
        **shape, **rope(10000.0), rms_norm_eps=1e-6, tie_word_embeddings=True, dtype="float16",
    ),
    "qwen2": transformers.Qwen2Config(
        **shape, **rope(1000000.0), rms_norm_eps=1e-6, bos_token_id=1, eos_token_id=2, tie_word_embeddings=True,
        use_sliding_window=False, dtype="float16",
    ),
    "qwen3": transformers.Qwen3Config(
        **shape, **rope(1000000.0), head_dim=16, rms_norm_eps=1e-6, bos_token_id=1, eos_token_id=2,
        tie_word_embeddings=True, dtype="bfloat16",
    ),
}
(here / "configurations").mkdir(exist_ok=True)
for name, configuration in configurations.items():
    configuration.architectures = [f"{type(configuration).__name__.removesuffix('Config')}ForCausalLM"]
    (here / f"configurations/{name}-{min(major, 5)}.json").write_text(configuration.to_json_string())
if major < 5:
    raise SystemExit

import numpy as np
import torch
import gguf
from gguf import GGMLQuantizationType as Q
from gguf.quants import dequantize, quantize
from safetensors.torch import save_file

random = np.random.default_rng(1602)
F32, F16, BF16 = np.float32, np.float16, "bf16"

# MARK: Each type

# Where the scales of a block lie: random bytes there would be no numbers.
scales = {
    Q.Q8_0: [0], Q.Q4_0: [0], Q.Q4_1: [0, 2], Q.Q5_0: [0], Q.Q5_1: [0, 2], Q.Q4_K: [0, 2], Q.Q5_K: [0, 2], Q.Q6_K: [208],
}
edges = np.array([0.0, -0.0, 6e-8, -3e-5, 6.1e-5, 65504.0, -65504.0, 1.0], dtype=F16)


def random_rows(kind, rows, columns):
    block, size = gguf.GGML_QUANT_SIZES[kind]
    count = rows * columns // block
    if kind in (Q.F32, Q.F16, Q.BF16):
        values = random.normal(size=rows * columns).astype(F32)
        values[:8] = edges.astype(F32)
        if kind == Q.BF16:
            return np.frombuffer(quantize(values, kind).tobytes(), np.uint8).reshape(rows, -1)
        return values.astype({Q.F32: F32, Q.F16: F16}[kind]).view(np.uint8).reshape(rows, -1)
    data = random.integers(0, 256, size=(count, size), dtype=np.uint8)
    for place in scales[kind]:
        halves = random.normal(scale=0.05, size=count).astype(F16)
        halves[: len(edges)] = np.roll(edges, place)[:count]
        data[:, place:place + 2] = halves.view(np.uint8).reshape(count, 2)
    return data.reshape(rows, -1)


writer = gguf.GGUFWriter(here / "types.gguf", "llama")
values = {}
for kind in [Q.F32, Q.F16, Q.BF16, *scales]:
    block = gguf.GGML_QUANT_SIZES[kind][0]
    rows, columns = 3, max(96, 4 * block) if block < 256 else 1024
    data = random_rows(kind, rows, columns)
    writer.add_tensor(kind.name, data, raw_shape=data.shape, raw_dtype=kind)
    values[kind.name] = torch.from_numpy(np.ascontiguousarray(dequantize(data, kind), dtype=F32).reshape(rows, columns))
# One value of every type of metadata.
writer.add_uint8("test.uint8", 255)
writer.add_int8("test.int8", -128)
writer.add_uint16("test.uint16", 65535)
writer.add_int16("test.int16", -32768)
writer.add_uint32("test.uint32", 2**32 - 1)
writer.add_int32("test.int32", -(2**31))
writer.add_uint64("test.uint64", 2**64 - 1)
writer.add_int64("test.int64", -(2**63))
writer.add_float32("test.float32", 0.1)
writer.add_float64("test.float64", 1e-300)
writer.add_bool("test.bool", True)
writer.add_string("test.string", "é\n🙂")
writer.add_array("test.strings", ["a", "", "ß"])
writer.add_array("test.integers", [1, -2, 3])
writer.add_array("test.floats", [0.5, -1.5])
writer.add_array("test.nested", [[1, 2], [3]])
writer.write_header_to_file()
writer.write_kv_data_to_file()
writer.write_tensors_to_file()
writer.close()
save_file(values, here / "types.safetensors")

# MARK: Rotary speeds

from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

big = transformers.LlamaConfig(
    hidden_size=2048, num_attention_heads=32, head_dim=64, rope_parameters={"rope_theta": 500000.0, **llama3}
)
speeds = ROPE_INIT_FUNCTIONS["llama3"](big, "cpu")[0].double().tolist()
(here / "rotary.json").write_text(json.dumps({"head_dim": 64, "rope_theta": 500000.0, **llama3, "speeds": speeds}))

# MARK: Tiny models

template = "{% for message in messages %}<|im_start|>{{ message['content'] }}<|im_end|>{% endfor %}"
tokens = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<tool>", "a", "b", "ab", "Ġ"] + [f"t{i}" for i in range(40)]
types = [3, 3, 3, 4] + [1] * 42 + [5, 6]


def permuted(rows, heads):
    """llama.cpp's order of q and k: the two values that are rotated together become neighbours."""
    return rows.reshape(heads, 2, rows.shape[0] // heads // 2, *rows.shape[1:]).swapaxes(1, 2).reshape(rows.shape)


def returned(rows, heads):
    return rows.reshape(heads, rows.shape[0] // heads // 2, 2, *rows.shape[1:]).swapaxes(1, 2).reshape(rows.shape)


names = {
    "input_layernorm": "attn_norm", "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v", "self_attn.o_proj": "attn_output", "self_attn.q_norm": "attn_q_norm",
    "self_attn.k_norm": "attn_k_norm", "post_attention_layernorm": "ffn_norm", "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down",
}
outer = {"model.embed_tokens.weight": "token_embd.weight", "model.norm.weight": "output_norm.weight",
         "lm_head.weight": "output.weight"}
kinds = {"q_proj.weight": Q.Q8_0, "k_proj.weight": Q.Q4_1, "v_proj.weight": Q.Q5_1, "gate_proj.weight": Q.Q4_0,
         "down_proj.weight": Q.Q5_0}


def gguf_name(name):
    if name in outer:
        return outer[name]
    _, _, block, *middle, last = name.split(".")
    return f"blk.{block}.{names['.'.join(middle)]}.{last}"


for family in ["llama", "qwen2", "qwen3"]:
    configuration = configurations[family]
    torch.manual_seed(16)
    model = transformers.AutoModelForCausalLM.from_config(configuration, dtype=torch.float32)
    state = {name: value.detach() for name, value in model.state_dict().items()}
    if configuration.tie_word_embeddings:
        state.pop("lm_head.weight")
    for name, value in state.items():
        if value.ndim == 1:  # biases start at 0, norms at 1: draw them, so that their order shows
            value.copy_(torch.randn_like(value) * 0.1 + (1 if "norm" in name else 0))
    writer = gguf.GGUFWriter(here / f"{family}.gguf", family)
    writer.add_block_count(2)
    writer.add_context_length(512)
    writer.add_embedding_length(32)
    writer.add_feed_forward_length(64)
    writer.add_head_count(4)
    writer.add_head_count_kv(2)
    writer.add_layer_norm_rms_eps(configuration.rms_norm_eps)
    writer.add_rope_freq_base(configuration.rope_parameters["rope_theta"])
    if family == "qwen3":
        writer.add_key_length(16)
        writer.add_value_length(16)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre({"llama": "llama-bpe"}.get(family, "qwen2"))
    writer.add_token_list(tokens)
    writer.add_token_types(types)
    writer.add_token_merges(["a b"])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    if family == "llama":
        writer.add_eot_token_id(3)
    writer.add_add_bos_token(family == "llama")
    writer.add_chat_template(template)
    stored = {}
    for name, value in state.items():
        kind = next((k for end, k in kinds.items() if name.endswith(end)), Q.F32 if value.ndim == 1 else Q.BF16)
        heads = 4 if "q_proj" in name else 2 if "k_proj" in name else None
        isPermuted = family == "llama" and heads is not None
        rows = permuted(value.numpy(), heads) if isPermuted else value.numpy()
        data = quantize(rows, kind)
        back = dequantize(data, kind)
        if kind == Q.F32:
            writer.add_tensor(gguf_name(name), data)
        else:
            writer.add_tensor(gguf_name(name), data.view(np.uint8), raw_shape=data.view(np.uint8).shape, raw_dtype=kind)
        back = returned(back, heads) if isPermuted else back
        back = torch.from_numpy(np.ascontiguousarray(back, dtype=F32).reshape(value.shape))
        stored[name] = back.to(torch.bfloat16) if kind == Q.BF16 else back
    if family == "llama":
        ratio = transformers.LlamaConfig(**shape, **rope(500000.0), head_dim=8)
        plain = 1.0 / (500000.0 ** (torch.arange(0, 8, 2).float() / 8))
        divisors = plain / ROPE_INIT_FUNCTIONS["llama3"](configuration, "cpu")[0]
        writer.add_tensor("rope_freqs.weight", divisors.numpy().astype(F32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()

    folder = here / family
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text((here / f"configurations/{family}-5.json").read_text())
    (folder / "generation_config.json").write_text(
        json.dumps({"bos_token_id": 1, "eos_token_id": [2, 3] if family == "qwen2" else 2})
    )
    if family == "llama":  # two shards
        shards = [{}, {}]
        for index, (name, value) in enumerate(stored.items()):
            shards[index % 2][name] = value
        where = {}
        for index, shard in enumerate(shards):
            file = f"model-0000{index + 1}-of-00002.safetensors"
            save_file(shard, folder / file)
            where.update({name: file for name in shard})
        (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": where}))
        (folder / "tokenizer_config.json").write_text(
            json.dumps({"chat_template": [{"name": "tool", "template": "x"}, {"name": "default", "template": template}]})
        )
    else:
        save_file(stored, folder / "model.safetensors", metadata={"format": "pt"})
        (folder / "tokenizer_config.json").write_text(json.dumps({"chat_template": "of tokenizer_config.json"}))
    if family == "qwen3":
        (folder / "chat_template.jinja").write_text(template)
