#!/usr/bin/env python3
"""What llama.cpp does with SmolLM2 on this machine: the other side of `benchmarks language-model`.

    Tests/Benchmarks/language_model_peer.py models     --bin BIN --model Q4_1.gguf --folder MODELS
    Tests/Benchmarks/language_model_peer.py speed      --bin BIN --folder MODELS [--rounds 3]
    Tests/Benchmarks/language_model_peer.py perplexity --bin BIN --folder MODELS
    Tests/Benchmarks/language_model_peer.py serve      --bin BIN --folder MODELS [--users 8] [--rounds 3]
    Tests/Benchmarks/language_model_peer.py tokens     --bin BIN --folder MODELS

BIN is what Tests/Benchmarks/build-llama-cpp printed. `models` makes, with llama-quantize, F32 of the published file, and the
other types of F32; it is wanted once. Each command prints one JSON object: its figures, the commands that gave them and the
load of the machine before and after each round. Rounds take the types in turn; figures are medians over the rounds.

- speed: llama-bench, prompts of 512 and 2,048 tokens and 64 tokens decoded, flash attention on and off; tokens/s.
- perplexity: llama-perplexity on northanger-abbey.txt in pieces of 512 tokens, of which it judges the second halves.
- serve: llama-server, each user asking one question after another: 100 tokens of the novel, from another place each time,
  answered by 64 tokens whatever they are; answers a minute.
- tokens: llama-server's /tokenize on the texts of smollm2.json against the tokens there; exits with 1 where they differ.
"""
import argparse
import contextlib
import http.client
import json
import os
import pathlib
import re
import socket
import statistics
import subprocess
import sys
import threading
import time

fixtures = pathlib.Path(__file__).resolve().parent.parent / "Fixtures/LanguageModels"
novel = fixtures / "northanger-abbey.txt"

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("command", choices=["models", "speed", "perplexity", "serve", "tokens"])
parser.add_argument("--bin", type=pathlib.Path, required=True, help="folder with llama.cpp's programs")
parser.add_argument("--folder", type=pathlib.Path, required=True, help="folder of the models in several types")
parser.add_argument("--model", type=pathlib.Path, help="the published file (models)")
parser.add_argument("--types", help="types of weights, separated by commas (all that the command is about)")
parser.add_argument("--rounds", type=int, default=3, help="how often each is measured (3)")
parser.add_argument("--threads", type=int, default=2, help="threads (2)")
parser.add_argument("--users", type=int, default=8, help="users at once (serve; 8)")
parser.add_argument("--questions", type=int, default=6, help="questions of each user in a round (serve; 6)")
options = parser.parse_args()
types = (options.types or {
    "models": "F32,BF16,Q8_0,Q4_0,Q4_K_M", "speed": "BF16,Q8_0,Q4_0,Q4_1", "perplexity": "F32,Q8_0,Q4_0,Q4_1,Q4_K_M",
    "serve": "Q8_0", "tokens": "Q4_1"}[options.command]).split(",")
stem = "SmolLM2-135M-Instruct"
commands = []


def path_of(kind):
    return options.folder / f"{stem}.{kind}.gguf"


def run(program, *arguments):
    command = [str(options.bin / program), *map(str, arguments)]
    if command not in commands:
        commands.append(command)
    result = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if result.returncode:
        sys.exit(f"{' '.join(command)} failed with {result.returncode}:\n{result.stderr[-4000:]}")
    return result.stdout + "\n" + result.stderr if program != "llama-bench" else result.stdout


def load():
    return round(os.getloadavg()[0], 2)


def middle(values):
    return round(statistics.median(values), 4)


# MARK: - Commands


def make_models():
    if not options.model:
        sys.exit("models wants --model, the published Q4_1 file")
    options.folder.mkdir(parents=True, exist_ok=True)
    if not path_of("Q4_1").exists():
        path_of("Q4_1").symlink_to(options.model.resolve())
    for kind in types:
        if path_of(kind).exists():
            continue
        part = path_of(kind).with_suffix(".part")
        if kind == "F32":
            run("llama-quantize", "--allow-requantize", options.model, part, kind)
        else:
            run("llama-quantize", path_of("F32"), part, kind, options.threads)
        part.rename(path_of(kind))
    return {kind: path_of(kind).stat().st_size for kind in types}


def speed():
    figures, loads = {}, []
    for _ in range(options.rounds):
        for flash in (0, 1):
            for kind in types:
                loads.append(load())
                output = run("llama-bench", "-m", path_of(kind), "-t", options.threads, "-p", "512,2048", "-n", 64,
                             "-r", 1, "-fa", flash, "-o", "json")
                for test in json.loads(output):
                    name = f"prefill {test['n_prompt']}" if test["n_prompt"] else f"decode {test['n_gen']}"
                    row = figures.setdefault(kind, {}).setdefault("flash" if flash else "plain", {})
                    row.setdefault(name, []).append(test["avg_ts"])
                    build = f"{test['build_number']}, {test['cpu_info']}"
    medians = {kind: {attention: {name: middle(values) for name, values in row.items()} for attention, row in rows.items()}
               for kind, rows in figures.items()}
    return {"tokens_per_second": medians, "all": figures, "loads": loads + [load()], "build": build}


def perplexity():
    figures = {}
    for kind in types:
        output = run("llama-perplexity", "-m", path_of(kind), "-f", novel, "-c", 512, "-b", 512, "-t", options.threads)
        found = re.search(r"Final estimate: PPL = ([0-9.]+) \+/- ([0-9.]+)", output)
        if not found:
            sys.exit(f"llama-perplexity gave no estimate:\n{output[-4000:]}")
        figures[kind] = {"perplexity": float(found[1]), "error": float(found[2])}
    if "F32" in figures:
        for figure in figures.values():
            figure["above_f32_percent"] = round(100 * (figure["perplexity"] / figures["F32"]["perplexity"] - 1), 3)
    return figures


@contextlib.contextmanager
def server(kind, slots):
    """A llama-server of `slots` sequences of 256 tokens, with the prompt cache off, and a function that asks it."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [str(options.bin / "llama-server"), "-m", str(path_of(kind)), "-np", str(slots), "-c", str(256 * slots),
               "-t", str(options.threads), "--host", "127.0.0.1", "--port", str(port), "--cache-ram", "0", "--no-ui"]
    commands.append([part if part != str(port) else "PORT" for part in command])
    log = options.folder / "llama-server.log"
    with open(log, "w") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, stdin=subprocess.DEVNULL)

    def ask(path, body=None, connection=None):
        own = connection or http.client.HTTPConnection("127.0.0.1", port, timeout=600)
        own.request("POST" if body else "GET", path, json.dumps(body) if body else None,
                    {"Content-Type": "application/json"})
        response = own.getresponse()
        text = response.read()
        return response.status, json.loads(text)

    try:
        limit = time.monotonic() + 300
        while True:
            if process.poll() is not None or time.monotonic() > limit:
                sys.exit(f"llama-server did not start:\n{log.read_text()[-4000:]}")
            with contextlib.suppress(OSError):
                if ask("/health")[0] == 200:
                    break
            time.sleep(0.2)
        yield ask
    finally:
        process.terminate()
        process.wait()


def serve():
    figures, loads = {}, []
    for users in dict.fromkeys((1, options.users)):
        with server(types[0], options.users) as ask:
            tokens = ask("/tokenize", {"content": novel.read_text()})[1]["tokens"]
            failures, rates = [], []

            def user(number, round):
                for question in range(options.questions):
                    start = (round * 1_009 + number * 211 + question * 37) % (len(tokens) - 100)
                    status, answer = ask("/completion", {
                        "prompt": tokens[start:start + 100], "n_predict": 64, "ignore_eos": True, "temperature": 0,
                        "cache_prompt": False})
                    if status != 200 or answer["tokens_predicted"] != 64 or answer["tokens_evaluated"] != 100:
                        failures.append((status, answer))

            for round in range(options.rounds + 1):  # the first one warms up
                loads.append(load())
                begin = time.monotonic()
                threads = [threading.Thread(target=user, args=(number, round)) for number in range(users)]
                for thread in threads:
                    thread.start()
                for thread in threads:
                    thread.join()
                if round:
                    rates.append(users * options.questions / (time.monotonic() - begin) * 60)
            if failures:
                sys.exit(f"{len(failures)} answers are not as asked for, the first: {failures[0]}")
            figures[f"{users} users"] = {"answers_per_minute": middle(rates), "all": rates}
    return {"type": types[0], **figures, "loads": loads + [load()]}


def compare_tokens():
    golden = json.loads((fixtures / "smollm2.json").read_text())
    cases = [(entry["text"], entry["tokens"]) for entry in golden["texts"]]
    different = []
    with server(types[0], 1) as ask:
        for text, expected in cases:
            got = ask("/tokenize", {"content": text, "add_special": False, "parse_special": True})[1]["tokens"]
            if got != expected:
                different.append({"text": text, "expected": expected, "llama.cpp": got})
    return {"texts": len(cases), "different": different}


report = {"models": make_models, "speed": speed, "perplexity": perplexity, "serve": serve, "tokens": compare_tokens}[
    options.command]()
print(json.dumps({"command": options.command, "threads": options.threads, "rounds": options.rounds, "result": report,
                  "commands": [" ".join(command) for command in commands]}))
if options.command == "tokens" and report["different"]:
    sys.exit(1)
