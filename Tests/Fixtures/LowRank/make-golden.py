"""A LoRA adapter as PEFT writes it, and the logits that PEFT computes with it, as the tests of UserModels compare with them.

Set-up:  python3 -m venv venv && venv/bin/pip install torch safetensors "transformers>=5" peft
Run:     venv/bin/python Tests/Fixtures/LowRank/make-golden.py
Check:   venv/bin/python Tests/Fixtures/LowRank/make-golden.py FOLDER
         (reads an adapter that our tests wrote, FOLDER, and compares its logits with the same numbers)

adapter/             an adapter with drawn A and B, of rank 3 and alpha 5, for each of the seven linear layers of
                     ../LanguageModels/tiny/llama-untied-2-kv-heads-wide-f16
logits.safetensors   `tokens` [T] as float, `base` and `adapted` [T, V]: logits of the model alone and with the adapter

Made with torch 2.13.0, transformers 5.24.0, peft 0.21.2.
"""
import pathlib, shutil, sys
import peft, torch, transformers
from safetensors.torch import load_file, save_file

here = pathlib.Path(__file__).parent
base = here.parent / "LanguageModels/tiny/llama-untied-2-kv-heads-wide-f16"
layers = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
tokens = torch.tensor([[1, 5, 40, 63, 7, 7, 22, 31, 2, 58, 14, 9]])


def model():
    return transformers.AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32, attn_implementation="eager").eval()


def logits(model):
    with torch.no_grad():
        return model(tokens).logits[0].contiguous()


if len(sys.argv) > 1:
    golden = load_file(here / "logits.safetensors")["adapted"]
    found = logits(peft.PeftModel.from_pretrained(model(), sys.argv[1]).eval())
    print("worst difference:", (found - golden).abs().max().item())
    raise SystemExit

torch.manual_seed(3)
plain = logits(model())
configuration = peft.LoraConfig(r=3, lora_alpha=5, target_modules=layers, lora_dropout=0.05, task_type="CAUSAL_LM")
adapted = peft.get_peft_model(model(), configuration).eval()
for name, parameter in adapted.named_parameters():
    if "lora_" in name:
        torch.nn.init.normal_(parameter, std=0.3)
shutil.rmtree(here / "adapter", ignore_errors=True)
adapted.save_pretrained(here / "adapter")
(here / "adapter/README.md").unlink()
# The path of the machine it was made on says nothing.
path = here / "adapter/adapter_config.json"
path.write_text(path.read_text().replace(str(base), "tiny/llama-untied-2-kv-heads-wide-f16"))
with_adapter = logits(adapted)
save_file({"tokens": tokens[0].float(), "base": plain, "adapted": with_adapter}, here / "logits.safetensors")
print("largest change of a logit:", (with_adapter - plain).abs().max().item())
