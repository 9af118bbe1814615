"""Train the demonstration model and write it as GGUF. Run it through scripts/train-demo-model."""

import argparse
import json
import math
import os
import time
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from tokenizers import Tokenizer

import data
import export
import model
import optimizer

MUON_RATE, ADAM_RATE, DECAY = 0.02, 0.004, 0.05
WARM_UP, MIXED, STORY_SHARE = 0.03, 0.5, 0.4
EXTRA = {
    "general.description": "BitNet b1.58 demonstration model, trained from nothing on children's classics and on simple "
    "stories (CC-BY) of African Storybook (africanstorybook.org) and Pratham Books (StoryWeaver)",
    "general.license": "cc-by-4.0",
}


@partial(jax.jit, static_argnums=0, donate_argnums=(1, 2))
def train_step(shape, params, state, windows, step, muon_rate, adam_rate):
    def loss(p):
        return jnp.mean(model.token_losses(shape, p, windows))

    value, grads = jax.value_and_grad(loss)(params)
    params, state = optimizer.update(params, grads, state, step, muon_rate, adam_rate, DECAY)
    return params, state, value


def schedule(progress):
    """The factor on both rates: a short linear warm-up, then half a cosine down to nearly nothing."""
    warm = min(1.0, (progress + 1e-3) / WARM_UP)
    return warm * (0.01 + 0.99 * 0.5 * (1.0 + math.cos(math.pi * min(1.0, progress))))


def held_out_loss(shape, params, windows, mask):
    """Mean nats per held-out token."""
    total = 0.0
    for at in range(0, len(windows), 8):
        part, weight = windows[at : at + 8], mask[at : at + 8]
        fill = 8 - len(part)
        part = np.pad(part, ((0, fill), (0, 0)))
        weight = np.pad(weight, ((0, fill), (0, 0)))
        total += float(np.sum(np.asarray(model.token_losses(shape, params, part)) * weight))
    return total / float(mask.sum())


def save(path, tree, note):
    """Write a checkpoint, whole or not at all."""
    arrays = {jax.tree_util.keystr(k): np.asarray(v) for k, v in jax.tree_util.tree_leaves_with_path(tree)}
    temporary = path.with_suffix(".part.npz")
    np.savez(temporary, __note__=json.dumps(note), **arrays)
    os.replace(temporary, path)


def load(path, like):
    """A checkpoint in the structure of `like`, and its note."""
    with np.load(path) as archive:
        note = json.loads(str(archive["__note__"]))
        tree = jax.tree_util.tree_map_with_path(lambda k, v: jnp.asarray(archive[jax.tree_util.keystr(k)]), like)
    return tree, note


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--corpus", required=True, type=Path)
    parser.add_argument("--minutes", type=float, default=20.0)
    parser.add_argument("--steps", type=int, help="anneal over this many steps instead of by the clock")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--out", required=True, type=Path)
    parser.add_argument("--state", required=True, type=Path, help="folder of checkpoint, tokenizer and log")
    args = parser.parse_args()
    args.state.mkdir(parents=True, exist_ok=True)
    shape = model.Shape()

    classics, stories, held_out = data.read_corpus(args.corpus)
    tokenizer_file = args.state / "tokenizer.json"
    if not tokenizer_file.exists():
        data.train_tokenizer(classics, stories, shape.vocab).save(str(tokenizer_file))
    tokenizer = Tokenizer.from_file(str(tokenizer_file))
    windows = data.Windows(tokenizer, classics, stories, shape.context)
    check, mask = data.held_out_windows(tokenizer, held_out, shape.context)
    print(f"tokens: classics {len(windows.classics[0])}, stories {len(windows.stories[0][0])}, "
          f"held out {int(mask.sum())} in {len(held_out)} stories", flush=True)

    tree = model.init(shape, args.seed)
    tree = {"params": tree, "state": optimizer.init(tree)}
    step, elapsed = 0, 0.0
    checkpoint, log_file = args.state / "checkpoint.npz", args.state / "log.jsonl"
    if checkpoint.exists():
        tree, note = load(checkpoint, tree)
        step, elapsed = note["step"], note["elapsed"]
        print(f"resumed at step {step}", flush=True)
    params, state = tree["params"], tree["state"]

    started, last_saved, losses = None, time.monotonic(), []
    while True:
        progress = step / args.steps if args.steps else elapsed / (args.minutes * 60)
        if progress >= 1.0:
            break
        factor = schedule(progress)
        rng = np.random.default_rng([args.seed, step])
        batch = windows.batch(rng, args.batch, STORY_SHARE if progress < MIXED else 1.0)
        params, state, loss = train_step(
            shape, params, state, batch, float(step), MUON_RATE * factor, ADAM_RATE * factor)
        losses.append(float(loss))
        step += 1
        now = time.monotonic()
        if started is None:  # compiling does not count
            started = now - elapsed
        elapsed = now - started
        if step % 20 == 0:
            line = {"step": step, "tokens": step * args.batch * shape.context, "seconds": round(elapsed, 1),
                    "loss": round(float(np.mean(losses)), 4), "progress": round(progress, 4)}
            losses = []
            if step % 200 == 0:
                line["held_out"] = round(held_out_loss(shape, params, check, mask), 4)
            with log_file.open("a") as f:
                f.write(json.dumps(line) + "\n")
            print(line, flush=True)
        if now - last_saved > 120:
            save(checkpoint, {"params": params, "state": state}, {"step": step, "elapsed": elapsed})
            last_saved = now
    save(checkpoint, {"params": params, "state": state}, {"step": step, "elapsed": elapsed})

    frozen = model.freeze(params)
    nats = held_out_loss(shape, frozen, check, mask)
    characters = sum(len(s.encode()) for s in held_out)
    result = {"steps": step, "tokens": step * args.batch * shape.context, "minutes": round(elapsed / 60, 2),
              "held_out_nats_per_token": round(nats, 4), "held_out_perplexity": round(math.exp(nats), 2),
              "held_out_bits_per_byte": round(nats * float(mask.sum()) / characters / math.log(2), 4),
              "held_out_tokens": int(mask.sum()), "seed": args.seed}
    if started is not None:
        with log_file.open("a") as f:
            last = {"step": step, "tokens": result["tokens"], "seconds": round(elapsed, 1), "held_out": round(nats, 4)}
            f.write(json.dumps(last) + "\n")
    args.out.parent.mkdir(parents=True, exist_ok=True)
    export.write(args.out, shape, frozen, tokenizer, EXTRA)
    (args.state / "result.json").write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result), flush=True)


if __name__ == "__main__":
    main()
