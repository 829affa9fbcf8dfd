"""Makes renderings.json: conversations as `transformers` (5.24.0) renders them with published chat templates.

    python make-golden.py

The longer templates lie in templates/, as the models on Hugging Face have them; the short ones are written here.
Needs the packages `transformers` and `tokenizers`, and ids from ../Tokenizers.
"""

import datetime
import json
import os

from transformers import PreTrainedTokenizerFast
from transformers.utils import chat_template_utils



class Today(datetime.datetime):
    """What `strftime_now` of the templates sees."""

    @classmethod
    def now(cls, zone=None): return cls(2025, 3, 5)


chat_template_utils.datetime = Today
HERE = os.path.dirname(os.path.abspath(__file__))


def chatml(system):
    begin = ("{% if loop.first and messages[0]['role'] != 'system' %}{{ '<|im_start|>system\n" + system
             + "<|im_end|>\n' }}{% endif %}") if system else ""
    return ("{% for message in messages %}" + begin + "{{'<|im_start|>' + message['role'] + '\n' + message['content'] + "
            "'<|im_end|>' + '\n'}}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}")


ZEPHYR = """{% for message in messages %}
{% if message['role'] == 'user' %}
{{ '<|user|>
' + message['content'] + eos_token }}
{% elif message['role'] == 'system' %}
{{ '<|system|>
' + message['content'] + eos_token }}
{% elif message['role'] == 'assistant' %}
{{ '<|assistant|>
'  + message['content'] + eos_token }}
{% endif %}
{% if loop.last and add_generation_prompt %}
{{ '<|assistant|>' }}
{% endif %}
{% endfor %}"""
PHI4_MINI = ("{% for message in messages %}{% if message['role'] == 'system' and 'tools' in message and message['tools'] is "
             "not none %}{{ '<|' + message['role'] + '|>' + message['content'] + '<|tool|>' + message['tools'] + '<|/tool|>' + "
             "'<|end|>' }}{% else %}{{ '<|' + message['role'] + '|>' + message['content'] + '<|end|>' }}{% endif %}{% endfor %}"
             "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% else %}{{ eos_token }}{% endif %}")


def stored(name):
    with open(f"{HERE}/templates/{name}.jinja", newline="") as f: return f.read()


# name here, template, bos_token, eos_token
TEMPLATES = [
    ("chatml", chatml(None), "<|endoftext|>", "<|im_end|>"),
    ("smollm2", chatml("You are a helpful AI assistant named SmolLM, trained by Hugging Face"), "<|im_start|>", "<|im_end|>"),
    ("qwen2", chatml("You are a helpful assistant."), None, "<|im_end|>"),
    ("chatml", chatml("Answer in rhymes."), None, "<|im_end|>"),
    ("chatml", stored("qwen3_instruct_2507"), None, "<|im_end|>"),
    ("qwen2.5", stored("qwen2_5"), None, "<|im_end|>"),
    ("qwen3", stored("qwen3"), None, "<|im_end|>"),
    ("llama3", stored("llama3"), "<|begin_of_text|>", "<|eot_id|>"),
    ("llama3.1", stored("llama3_1"), "<|begin_of_text|>", "<|eot_id|>"),
    ("llama3.2", stored("llama3_2"), "<|begin_of_text|>", "<|eot_id|>"),
    ("zephyr", ZEPHYR, "<s>", "</s>"),
    ("gemma", stored("gemma"), "<bos>", "<eos>"),
    ("gemma3", stored("gemma3"), "<bos>", "<eos>"),
    ("phi3", stored("phi3"), "<s>", "<|endoftext|>"),
    ("phi3.5", stored("phi3_5"), "<s>", "<|endoftext|>"),
    ("phi4-mini", PHI4_MINI, "<|endoftext|>", "<|endoftext|>"),
]
S, U, A = "system", "user", "assistant"
CONVERSATIONS = [
    [(U, "What is the capital of France?")],
    [(S, "Be brief."), (U, "Hello")],
    [(S, ""), (U, "")],
    [(U, "  spaces \n\n"), (A, "\n\tHi there! \u00a0"), (U, "\u3000Größe 東京 👩‍👩‍👧\x1f")],
    [(S, "  Talk like a pirate.\n"), (U, "One"), (A, "Two"), (U, "Three"), (A, "Four")],
    [(S, "s"), (U, "u"), (A, "<think>\nlong thought\n</think>\n\nShort answer."), (U, "again")],
    [(U, "u"), (A, "<think>\n\nthought\n\n</think>\n\nAnswer.")],
    [(U, "u"), (A, "first"), (A, "a</think>\n\nb</think>\nc")],
    [(U, "u"), (A, "no thought"), (U, "<tool_response>\n42\n</tool_response>"), (A, "<think>why</think>It is 42.")],
    [(U, "<tool_response>only</tool_response>"), (A, "x")],
    [(A, "I begin."), (U, "Then I.")],
    [(U, "one"), (U, "two")],
    [(U, "one"), (S, "late"), (U, "two")],
    [(S, "one"), (S, "two"), (U, "three")],
    [(S, "only a system message")],
    [(U, "'quotes' \"double\" {{ braces }} {% tags %} \\n <b>&amp;</b>")],
]


def render(tokenizer, template, messages, prompt, **more):
    try:
        return tokenizer.apply_chat_template(
            [{"role": r, "content": c} for r, c in messages], chat_template=template, tokenize=False,
            add_generation_prompt=prompt, **more)
    except Exception as error:
        return {"error": str(error)}


def main():
    result = {"conversations": CONVERSATIONS, "templates": []}
    base = f"{HERE}/../Tokenizers/qwen2.json"
    for name, template, bos, eos in TEMPLATES:
        tokenizer = PreTrainedTokenizerFast(tokenizer_file=base, bos_token=bos, eos_token=eos)
        entry = {"name": name, "template": template, "bos": bos or "", "eos": eos}
        for key, prompt in (("open", True), ("closed", False)):
            entry[key] = [render(tokenizer, template, c, prompt) for c in CONVERSATIONS]
        if name == "qwen3":
            entry["thoughtless"] = [render(tokenizer, template, c, True, enable_thinking=False) for c in CONVERSATIONS]
        result["templates"].append(entry)
    # Ids of whole renderings, for conversations without marks.
    result["ids"] = {}
    for name, file in (("qwen2", "qwen2"), ("llama3", "llama3"), ("smollm2", "smollm2-pruned")):
        template, bos, eos = next((t, b, e) for n, t, b, e in TEMPLATES if n == name)
        tokenizer = PreTrainedTokenizerFast(tokenizer_file=f"{HERE}/../Tokenizers/{file}.json", bos_token=bos, eos_token=eos)
        result["ids"][file] = {"template": name, "ids": [
            tokenizer(render(tokenizer, template, c, True), add_special_tokens=False)["input_ids"] for c in CONVERSATIONS[:5]]}
    with open(f"{HERE}/renderings.json", "w") as f: json.dump(result, f, ensure_ascii=False, indent=0)


main()
