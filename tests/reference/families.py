"""Numpy forward passes of the ternary families, written from the Hugging Face modelling code.

Sources: transformers 5.23 models/{bitnet,llama,qwen3}/modeling_*.py, modeling_rope_utils.py, integrations/bitnet.py.
Names of weights are those of Hugging Face checkpoints. Everything is binary64 here: what another engine rounds is its
difference. The one rounding kept is that of activations to eight bits per token, which is part of BitLinear.
"""

import math
from dataclasses import dataclass, field

import numpy as np


@dataclass
class Config:
    """Shape and arithmetic of a model; the names follow config.json."""

    kind: str  # bitnet, llama, qwen3
    hidden: int = 256
    ffn: int = 512
    layers: int = 2
    heads: int = 4
    kv_heads: int = 2
    head_dim: int = 64
    vocab: int = 384
    theta: float = 10000.0
    eps: float = 1e-5
    act: str = "silu"
    tied: bool = True
    group: int = 0  # columns that share a scale; 0: one scale for the matrix
    ternary_head: bool = False
    quantise: bool = True  # activations to eight bits per token
    norm_in: bool = False  # an RMS norm before each projection
    embedding: bool = False
    rope: dict = field(default_factory=dict)
    context: int = 512


@dataclass
class Linear:
    """Weights in {-1, 0, 1} of shape (out, in); scale is one number or an array (out, in / group)."""

    values: np.ndarray
    scale: np.ndarray | np.float32

    def dense(self) -> np.ndarray:
        scale = np.asarray(self.scale, np.float64)
        if scale.ndim == 0:
            return self.values * scale
        return self.values * np.repeat(scale, self.values.shape[1] // scale.shape[1], axis=1)


@dataclass
class Model:
    config: Config
    linears: dict[str, Linear]
    norms: dict[str, np.ndarray]
    embed: np.ndarray | Linear
    head: np.ndarray | Linear | None = None  # None: the embedding


def dense(weights) -> np.ndarray:
    return weights.dense() if isinstance(weights, Linear) else weights.astype(np.float64)


def rms_norm(x, weight, eps):
    return x / np.sqrt(np.mean(x * x, axis=-1, keepdims=True) + eps) * weight


def silu(x):
    return x / (1.0 + np.exp(-x))


def frequencies(config: Config) -> tuple[np.ndarray, float]:
    """Angles per position of each pair, and the factor of cos and sin."""
    dim, rope = config.head_dim, config.rope
    plain = config.theta ** -(np.arange(0, dim, 2) / dim)
    kind = rope.get("rope_type")
    if kind is None:
        return plain, 1.0
    factor, trained = rope["factor"], rope["original_max_position_embeddings"]
    if kind == "llama3":
        low, high = rope["low_freq_factor"], rope["high_freq_factor"]
        turns = trained * plain / (2 * math.pi)
        smooth = np.clip((turns - low) / (high - low), 0.0, 1.0)
        return (1 - smooth) * plain / factor + smooth * plain, 1.0
    if kind == "yarn":

        def pair_of(rotations):
            return dim * math.log(trained / (rotations * 2 * math.pi)) / (2 * math.log(config.theta))

        first = max(math.floor(pair_of(rope.get("beta_fast", 32))), 0)
        last = min(math.ceil(pair_of(rope.get("beta_slow", 1))), dim - 1)
        ramp = np.clip((np.arange(dim // 2) - first) / max(last - first, 0.001), 0.0, 1.0)
        return plain / factor * ramp + plain * (1 - ramp), 0.1 * math.log(factor) + 1.0
    raise ValueError(f"rope scaling {kind} is not known here")


def rotate(x, config: Config):
    """Pairs (d, d + half) of x (tokens, heads, head_dim), positions from 0."""
    angle, factor = frequencies(config)
    angle = np.arange(len(x))[:, None, None] * angle
    cos, sin = np.cos(angle) * factor, np.sin(angle) * factor
    a, b = np.split(x, 2, axis=-1)
    return np.concatenate([a * cos - b * sin, b * cos + a * sin], axis=-1)


def eight_bits(x, steps=127.0, columns=None):
    """Values rounded to whole steps of the largest magnitude of a row, or of each block of columns of a row."""
    b = x.reshape(*x.shape[:-1], -1, columns or x.shape[-1])
    a = steps / np.maximum(np.abs(b).max(axis=-1, keepdims=True), 1e-5)
    return (np.rint(b * a) / a).reshape(x.shape)


def half(x):
    return x.astype(np.float16).astype(np.float64)


class Forward:
    """One pass over tokens from position 0 on.

    `rounded` adds what docs/numerics.md rounds and Hugging Face does not: embeddings, keys and values in binary16, the head's
    weights and input in eight bits, activations in eight bits where weights have scales in groups of columns.
    """

    def __init__(self, model: Model, rounded: bool = False):
        self.model, self.config, self.rounded = model, model.config, rounded

    def norm(self, name, x):
        return rms_norm(x, self.model.norms[name + ".weight"].astype(np.float64), self.config.eps)

    def linear(self, name, x):
        """BitLinear: y = (q . T) / a * scale, with q = round(x a) and a = 127 / max |x| of the token."""
        if self.config.norm_in:
            x = self.norm(name + ".rms_norm", x)
        weights = self.model.linears[name]
        if self.config.quantise:
            x = eight_bits(x)
        elif self.rounded:
            x = eight_bits(x, columns=self.config.group)
        return x @ weights.dense().T

    def attention(self, prefix, x):
        c, n = self.config, len(x)
        q = self.linear(prefix + "q_proj", x).reshape(n, c.heads, c.head_dim)
        k = self.linear(prefix + "k_proj", x).reshape(n, c.kv_heads, c.head_dim)
        v = self.linear(prefix + "v_proj", x).reshape(n, c.kv_heads, c.head_dim)
        if c.kind == "qwen3":
            q, k = self.norm(prefix + "q_norm", q), self.norm(prefix + "k_norm", k)
        q, k = rotate(q, c), rotate(k, c)
        if self.rounded:
            k, v = half(k), half(v)
        k, v = (np.repeat(t, c.heads // c.kv_heads, axis=1) for t in (k, v))
        scores = np.einsum("ihd,jhd->hij", q, k) / math.sqrt(c.head_dim)
        scores += np.triu(np.full((n, n), -np.inf), 1)
        p = np.exp(scores - scores.max(axis=-1, keepdims=True))
        p /= p.sum(axis=-1, keepdims=True)
        mixed = np.einsum("hij,jhd->ihd", p, v).reshape(n, -1)
        if c.kind == "bitnet":
            mixed = self.norm(prefix + "attn_sub_norm", mixed)
        return self.linear(prefix + "o_proj", mixed)

    def feed_forward(self, prefix, x):
        gate, up = self.linear(prefix + "gate_proj", x), self.linear(prefix + "up_proj", x)
        hidden = (np.maximum(gate, 0) ** 2 if self.config.act == "relu2" else silu(gate)) * up
        if self.config.kind == "bitnet":
            hidden = self.norm(prefix + "ffn_sub_norm", hidden)
        return self.linear(prefix + "down_proj", hidden)

    def hidden(self, tokens):
        """Normed hidden states (tokens, hidden)."""
        x = dense(self.model.embed)[np.asarray(tokens)]
        if self.rounded:
            x = half(x)
        for layer in range(self.config.layers):
            b = f"model.layers.{layer}."
            x = x + self.attention(b + "self_attn.", self.norm(b + "input_layernorm", x))
            x = x + self.feed_forward(b + "mlp.", self.norm(b + "post_attention_layernorm", x))
        return self.norm("model.norm", x)


def logits(model: Model, tokens, rounded: bool = False) -> np.ndarray:
    """Logits (tokens, vocab)."""
    hidden = Forward(model, rounded).hidden(tokens)
    head = model.embed if model.head is None else model.head
    if rounded and isinstance(head, Linear):
        hidden = eight_bits(hidden, columns=model.config.group)
    elif rounded:
        hidden, head = eight_bits(hidden), eight_bits(half(head), steps=120.0)
    return hidden @ dense(head).T


def embed(model: Model, tokens, rounded: bool = False) -> np.ndarray:
    """The last token's hidden state with length 1."""
    last = Forward(model, rounded).hidden(tokens)[-1]
    return last / np.linalg.norm(last)


def greedy(model: Model, tokens, count: int) -> list[tuple[int, float, float]]:
    """A greedy continuation: (token, margin over the second best, RMS of the logits) of each step."""
    tokens, steps = list(tokens), []
    for _ in range(count):
        row = logits(model, tokens, rounded=True)[-1]
        second, first = np.sort(row)[-2:]
        tokens.append(int(row.argmax()))
        steps.append((tokens[-1], float(first - second), float(np.sqrt(np.mean(row * row)))))
    return steps
