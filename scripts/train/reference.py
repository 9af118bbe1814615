"""A plain numpy forward pass of an exported BitNet b1.58 GGUF file, for comparing engines with.

    reference.py MODEL.gguf --ids 0,12,7 [--top 8] [--f64]      logits as JSON
    reference.py MODEL.gguf --text "Once upon a time" [...]     the same for a text, begin-of-text added
    reference.py MODEL.gguf --text T --sample 120 [--temperature 0.7] [--seed 1]   a continuation as text

JSON: {"ids": [...], "top": [per position [[id, logit], ...]], "last": [logits of the last position]}.
"""

import argparse
import json
import sys

import numpy as np

import gguf


class Reference:
    """The model of one file. All arithmetic between the exact integer sums happens in `dtype`."""

    def __init__(self, path, dtype=np.float32):
        self.meta, self.tensors = gguf.read(path)
        arch = self.meta["general.architecture"]
        if arch not in ("bitnet-b1.58", "bitnet-25"):
            raise ValueError(f"architecture {arch} is not known here")
        self.dtype = dtype

        def size(key):
            return self.meta[f"{arch}.{key}"]

        self.layers, self.heads, self.kv_heads = (
            size("block_count"), size("attention.head_count"), size("attention.head_count_kv"))
        self.head_dim, self.theta = size("attention.key_length"), size("rope.freq_base")
        self.eps = dtype(size("attention.layer_norm_rms_epsilon"))

    def linear(self, name, x):
        """y = (q . T) / a * scale with q the int8 activations of each row."""
        ternary, scale = self.tensors[name + ".weight"]
        a = self.dtype(127) / np.maximum(np.abs(x).max(axis=-1, keepdims=True), self.dtype(1e-5))
        q = np.clip(np.rint(x * a), -127, 127).astype(np.int64)
        return (q @ ternary.T.astype(np.int64)).astype(self.dtype) / a * self.dtype(scale)

    def norm(self, name, x):
        w = self.tensors[name + ".weight"].astype(self.dtype)
        mean = np.mean(x * x, axis=-1, keepdims=True, dtype=self.dtype)
        return x * (self.dtype(1) / np.sqrt(mean + self.eps)) * w

    def rope(self, x):
        """Rotate pairs (d, d + half). x: (length, heads, head_dim)."""
        half = self.head_dim // 2
        angles = np.arange(len(x))[:, None] * self.theta ** (-np.arange(half) * 2.0 / self.head_dim)
        cos, sin = (f(angles).astype(self.dtype)[:, None, :] for f in (np.cos, np.sin))
        a, b = x[..., :half], x[..., half:]
        return np.concatenate([a * cos - b * sin, b * cos + a * sin], axis=-1)

    def logits(self, ids):
        """Logits (length, vocab) of token ids from position 0 on."""
        n, group = len(ids), self.heads // self.kv_heads
        embed = self.tensors["token_embd.weight"].astype(self.dtype)
        x = embed[np.asarray(ids)]
        hidden_future = np.triu(np.full((n, n), -np.inf, self.dtype), 1)
        for layer in range(self.layers):
            b = f"blk.{layer}."
            h = self.norm(b + "attn_norm", x)
            q = self.rope(self.linear(b + "attn_q", h).reshape(n, self.heads, self.head_dim))
            k = self.rope(self.linear(b + "attn_k", h).reshape(n, self.kv_heads, self.head_dim))
            v = self.linear(b + "attn_v", h).reshape(n, self.kv_heads, self.head_dim)
            k, v = np.repeat(k, group, axis=1), np.repeat(v, group, axis=1)
            scores = np.einsum("ihd,jhd->hij", q, k) * self.dtype(1 / self.head_dim**0.5) + hidden_future
            e = np.exp(scores - scores.max(axis=-1, keepdims=True))
            p = e / e.sum(axis=-1, keepdims=True)
            mixed = np.einsum("hij,jhd->ihd", p, v).reshape(n, -1)
            x = x + self.linear(b + "attn_output", self.norm(b + "attn_sub_norm", mixed))
            h = self.norm(b + "ffn_norm", x)
            gate = np.maximum(self.linear(b + "ffn_gate", h), 0)
            hidden = gate * gate * self.linear(b + "ffn_up", h)
            x = x + self.linear(b + "ffn_down", self.norm(b + "ffn_sub_norm", hidden))
        return self.norm("output_norm", x) @ embed.T

    def tokenizer(self):
        """The file's byte-level BPE."""
        from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

        tokens = self.meta["tokenizer.ggml.tokens"]
        merges = [tuple(m.split(" ", 1)) for m in self.meta["tokenizer.ggml.merges"]]
        tokenizer = Tokenizer(models.BPE({t: i for i, t in enumerate(tokens)}, merges))
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        tokenizer.decoder = decoders.ByteLevel()
        control = [t for t, kind in zip(tokens, self.meta["tokenizer.ggml.token_type"]) if kind == 3]
        tokenizer.add_special_tokens([AddedToken(t, special=True) for t in control])
        return tokenizer

    def encode(self, text):
        """Ids of a text after the begin-of-text id."""
        return [self.meta["tokenizer.ggml.bos_token_id"], *self.tokenizer().encode(text).ids]

    def sample(self, ids, count, temperature, seed):
        """Up to `count` ids that continue `ids`, up to the end of the text."""
        rng, ids, start = np.random.default_rng(seed), list(ids), len(ids)
        while len(ids) < start + count:
            z = self.logits(ids)[-1].astype(np.float64)
            if temperature == 0:
                token = int(z.argmax())
            else:
                p = np.exp((z - z.max()) / temperature)
                token = int(rng.choice(len(p), p=p / p.sum()))
            if token == self.meta["tokenizer.ggml.eos_token_id"]:
                break
            ids.append(token)
        return ids[start:]


def as_json(ids, logits, top):
    """The answer's structure; logits rounded to 1e-4."""
    best = np.argsort(-logits, axis=-1, kind="stable")[:, :top]
    return {
        "ids": [int(i) for i in ids],
        "top": [[[int(i), round(float(row[i]), 4)] for i in order] for row, order in zip(logits, best)],
        "last": [round(float(v), 4) for v in logits[-1]],
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--ids", help="token ids, separated by commas")
    what.add_argument("--text")
    parser.add_argument("--top", type=int, default=8)
    parser.add_argument("--f64", action="store_true", help="double instead of single precision")
    parser.add_argument("--sample", type=int, help="print a continuation of at most this many tokens")
    parser.add_argument("--temperature", type=float, default=0.7)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    reference = Reference(args.model, np.float64 if args.f64 else np.float32)
    ids = [int(i) for i in args.ids.split(",")] if args.ids else reference.encode(args.text)
    if args.sample:
        more = reference.sample(ids, args.sample, args.temperature, args.seed)
        print(reference.tokenizer().decode(ids + more))
    else:
        json.dump(as_json(ids, reference.logits(ids), args.top), sys.stdout)
        print()


if __name__ == "__main__":
    main()
