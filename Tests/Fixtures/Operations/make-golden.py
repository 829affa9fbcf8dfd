"""PyTorch's results and gradients for each operation of NeuralNetwork, as the tests compare with them.

Set-up:  python3 -m venv venv && venv/bin/pip install torch numpy
Run:     venv/bin/python Tests/Fixtures/Operations/make-golden.py     (writes operations.safetensors beside itself)

Everything is computed in float64 from float32 inputs and stored as float32. Of each case: `case/in/NAME`, `case/out`,
`case/upstream` (the gradient that came from above) and `case/gradient/NAME`. Made with PyTorch 2.15.0.
"""
import json, math, pathlib, struct
import torch
import torch.nn.functional as F

torch.manual_seed(2402)
tensors = {}


def draw(*shape):
    return torch.randn(*shape).double().requires_grad_()


def case(name, inputs, result):
    """Keeps the inputs, what `result` makes of them, and their gradients for a random upstream gradient."""
    for tensor in inputs.values():
        tensor.grad = None
    out = result(**inputs)
    upstream = torch.randn(out.shape).double()
    (out * upstream).sum().backward()
    for key, tensor in inputs.items():
        tensors[f"{name}/in/{key}"] = tensor
        tensors[f"{name}/gradient/{key}"] = tensor.grad
    tensors[f"{name}/out"] = out
    tensors[f"{name}/upstream"] = upstream


def heads_first(x, heads):
    B, T, D = x.shape
    return x.view(B, T, heads, D // heads).transpose(1, 2)


def attention(q, k, v, heads, key_heads, causal, lengths=None):
    """Softmax attention; query t sees keys up to t + Tk - Tq, and of each row only the first `lengths` keys."""
    q, k, v = heads_first(q, heads), heads_first(k, key_heads), heads_first(v, key_heads)
    k, v = (x.repeat_interleave(heads // key_heads, dim=1) for x in (k, v))
    B, H, Tq, d = q.shape
    Tk = k.shape[2]
    allowed = torch.ones(B, 1, Tq, Tk, dtype=torch.bool)
    if causal:
        allowed &= torch.ones(Tq, Tk, dtype=torch.bool).tril(Tk - Tq)
    if lengths is not None:
        allowed &= torch.arange(Tk)[None, None, None] < torch.tensor(lengths)[:, None, None, None]
    out = F.scaled_dot_product_attention(q, k, v, attn_mask=allowed)
    return out.transpose(1, 2).reshape(B, Tq, H * d)


def rotary(x, heads, positions, base):
    """Hugging Face's convention: value j of a head turns with value j + width / 2."""
    B, T, D = x.shape
    d = D // heads
    speeds = base ** (-torch.arange(0, d, 2).double() / d)
    angles = torch.tensor(positions).double()[:, None] * speeds
    angles = torch.cat([angles, angles], -1).view(B, T, 1, d)
    h = x.view(B, T, heads, d)
    turned = torch.cat([-h[..., d // 2:], h[..., : d // 2]], -1)
    return (h * angles.cos() + turned * angles.sin()).reshape(B, T, D)


def pointwise(packed, bias, heads, divisor, lengths):
    """HSTU's attention: silu(q k^T + bias of the distance) / n, causal, of timelines end to end."""
    results = []
    for rows in packed.split(lengths):
        L, D = rows.shape
        v, q, k = (heads_first(x[None], heads) for x in rows.split(D // 3, -1))
        place = torch.arange(L)
        distance = (place[None] - place[:, None]).clamp(max=0) + bias.shape[1] - 1
        scores = q @ k.transpose(-1, -2) + bias[:, distance][None]
        weights = (F.silu(scores) / divisor).tril()
        results.append((weights @ v).transpose(1, 2).reshape(L, D // 3))
    return torch.cat(results)


def sampled(x, positives, negatives, biases, targets, ids):
    """Softmax of each row over its target and the shared negatives that are not the target."""
    own = (x * positives).sum(-1, keepdim=True)
    others = x @ negatives.T + biases
    others = others.masked_fill(torch.tensor(ids)[None] == torch.tensor(targets)[:, None], -torch.inf)
    return F.cross_entropy(torch.cat([own, others], -1), torch.zeros(len(x), dtype=torch.long), reduction="sum")


case("linear", dict(x=draw(2, 3, 21), weight=draw(19, 21), bias=draw(19)), F.linear)
case("layer_norm", dict(x=draw(5, 19), gain=draw(19), bias=draw(19)),
     lambda x, gain, bias: F.layer_norm(x, (19,), gain, bias, 1e-5))
case("rms_norm", dict(x=draw(5, 19), gain=draw(19)), lambda x, gain: F.rms_norm(x, (19,), gain, 1e-6))
case("gelu", dict(x=draw(3, 37)), lambda x: F.gelu(3 * x, approximate="tanh"))
case("silu", dict(x=draw(3, 37)), lambda x: F.silu(3 * x))
case("swiglu", dict(gate=draw(3, 37), up=draw(3, 37)), lambda gate, up: F.silu(gate) * up)
case("embedding", dict(table=draw(6, 5)), lambda table: F.embedding(torch.tensor([4, 0, 4, 5]), table))
case("embedding_mean", dict(table=draw(6, 5)),
     lambda table: F.embedding_bag(torch.tensor([4, 0, 4, 5, 1]), table, torch.tensor([0, 3, 3]), mode="mean"))
qkv = lambda q, k: dict(q=draw(*q), k=draw(*k), v=draw(*k))
case("attention_bidirectional", qkv((3, 5, 12), (3, 5, 12)),
     lambda q, k, v: attention(q, k, v, 3, 3, False, [5, 1, 3]))
case("attention_causal", qkv((2, 70, 12), (2, 70, 12)), lambda q, k, v: attention(q, k, v, 2, 2, True))
case("attention_grouped", qkv((2, 3, 24), (2, 7, 12)), lambda q, k, v: attention(q, k, v, 4, 2, True))
case("attention_cross", qkv((2, 4, 12), (2, 9, 12)), lambda q, k, v: attention(q, k, v, 3, 3, False, [9, 4]))
case("rotary", dict(x=draw(2, 3, 16)), lambda x: rotary(x, 2, [0, 1, 2, 7, 8, 900], 10_000.0))
case("pointwise_attention", dict(packed=draw(11, 36), bias=draw(2, 9)),
     lambda packed, bias: pointwise(packed, bias, 2, 9, [7, 4]))
case("cross_entropy", dict(x=draw(6, 11), table=draw(23, 11), bias=draw(23)),
     lambda x, table, bias: (F.cross_entropy(F.linear(x, table, bias), torch.tensor([3, 22, 0, -100, 7, 7]),
                                             reduction="none")
                             * torch.tensor([1, 0.5, 2, 1, 1, 0.25])).sum())
case("sampled_cross_entropy", dict(x=draw(4, 9), positives=draw(4, 9), negatives=draw(6, 9)),
     lambda x, positives, negatives: sampled(
         x, positives, negatives, torch.tensor([0.1, -0.2, 0.3, 0.0, 0.5, -1.0]).double(), [3, 8, 3, 1],
         [8, 2, 5, 3, 9, 0]))

# Five steps of AdamW with clipping by the global norm, on two parameters whose gradients are given.
parameters = [draw(3, 4), draw(7)]
for i, parameter in enumerate(parameters):
    tensors[f"adamw/in/{i}"] = parameter.detach().clone()
optimizer = torch.optim.AdamW(parameters, lr=0.03, betas=(0.9, 0.98), eps=1e-7, weight_decay=0.1)
for step in range(5):
    for i, parameter in enumerate(parameters):
        parameter.grad = torch.randn(parameter.shape).double() * (3 if step == 2 else 0.1)
        tensors[f"adamw/gradient/{step}/{i}"] = parameter.grad.clone()
    norm = torch.nn.utils.clip_grad_norm_(parameters, 1.0)
    tensors[f"adamw/norm/{step}"] = norm.reshape(1)
    optimizer.step()
for i, parameter in enumerate(parameters):
    tensors[f"adamw/out/{i}"] = parameter

header, body = {}, b""
for name in sorted(tensors):
    data = tensors[name].detach().float().contiguous().numpy().tobytes()
    header[name] = {"dtype": "F32", "shape": list(tensors[name].shape), "data_offsets": [len(body), len(body) + len(data)]}
    body += data
text = json.dumps(header, separators=(",", ":"), sort_keys=True).encode()
text += b" " * (-len(text) % 8)
path = pathlib.Path(__file__).with_name("operations.safetensors")
path.write_bytes(struct.pack("<Q", len(text)) + text + body)
print(f"{len(tensors)} tensors, {path.stat().st_size} bytes, PyTorch {torch.__version__}")
