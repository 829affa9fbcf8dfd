"""PyTorch's side of compare-torch: the encoder of `benchmarks encoder`, one training step and the encoding of a batch.

Prints one JSON object with medians over --repeats steps, after three to warm up. --compile uses torch.compile.
"""
import argparse
import json
import statistics
import time

import torch
from torch import nn
from torch.nn import functional as F


class EventTransformer(nn.Module):
    """Item and position tables, pre-norm blocks of causal attention and a feed-forward layer, a last norm."""

    def __init__(self, items, width, layers, heads, length):
        super().__init__()
        self.heads = heads
        self.item_table = nn.Embedding(items, width)
        self.position_table = nn.Parameter(torch.randn(length, width) * 0.02)
        self.layers = nn.ModuleList(
            nn.ModuleDict({
                "norm1": nn.LayerNorm(width), "qkv": nn.Linear(width, 3 * width), "out": nn.Linear(width, width),
                "norm2": nn.LayerNorm(width), "up": nn.Linear(width, 4 * width), "down": nn.Linear(4 * width, width),
            })
            for _ in range(layers)
        )
        self.last_norm = nn.LayerNorm(width)

    def forward(self, events):
        x = self.item_table(events) + self.position_table
        batch, length, width = x.shape
        for layer in self.layers:
            mixed = layer["qkv"](layer["norm1"](x)).view(batch, length, 3, self.heads, width // self.heads)
            q, k, v = mixed.permute(2, 0, 3, 1, 4)
            attended = F.scaled_dot_product_attention(q, k, v, is_causal=True)
            x = x + layer["out"](attended.transpose(1, 2).reshape(batch, length, width))
            x = x + layer["down"](F.gelu(layer["up"](layer["norm2"](x))))
        return self.last_norm(x)


def median_seconds(work, repeats):
    seconds = []
    for run in range(repeats + 3):
        start = time.perf_counter()
        work()
        if run >= 3:
            seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


parser = argparse.ArgumentParser(description=__doc__)
for name in ("items", "width", "layers", "heads", "length", "batch"):
    parser.add_argument(f"--{name}", type=int, required=True)
parser.add_argument("--threads", type=int, default=2)
parser.add_argument("--repeats", type=int, default=8)
parser.add_argument("--compile", action="store_true")
options = parser.parse_args()

torch.set_num_threads(options.threads)
torch.manual_seed(1)
encoder = EventTransformer(options.items, options.width, options.layers, options.heads, options.length)
forward = torch.compile(encoder) if options.compile else encoder
optimizer = torch.optim.AdamW(encoder.parameters(), lr=1e-3, fused=True)
windows = torch.randint(options.items, (options.batch, options.length + 1))
events, targets = windows[:, :-1].contiguous(), windows[:, 1:].reshape(-1)


def train_step():
    optimizer.zero_grad()
    logits = forward(events) @ encoder.item_table.weight.T
    F.cross_entropy(logits.view(-1, options.items), targets).backward()
    optimizer.step()


@torch.no_grad()
def encode():
    forward(events)


train, encoding = median_seconds(train_step, options.repeats), median_seconds(encode, options.repeats)
print(json.dumps({
    "torch": torch.__version__ + (" compiled" if options.compile else ""),
    "train_milliseconds_per_step": train * 1e3,
    "train_tokens_per_second": options.batch * options.length / train,
    "encode_timelines_per_second": options.batch / encoding,
}))
