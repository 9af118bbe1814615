"""BitNet b1.58 in JAX, with the arithmetic of ternary weights and int8 activations in its forward pass."""

from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

EXACT = jax.lax.Precision.HIGHEST


@dataclass(frozen=True)
class Shape:
    """The sizes of the model. Every input width is a multiple of 128, as the I2_S blocks ask."""

    vocab: int = 2048
    width: int = 256
    layers: int = 6
    heads: int = 4
    kv_heads: int = 2
    head_dim: int = 64
    ffn: int = 768
    context: int = 256
    rope_theta: float = 10000.0
    eps: float = 1e-5

    def matrices(self):
        """(name, outputs, inputs) of the ternary matrices of one layer."""
        q, kv = self.heads * self.head_dim, self.kv_heads * self.head_dim
        return [
            ("attn_q", q, self.width), ("attn_k", kv, self.width), ("attn_v", kv, self.width),
            ("attn_output", self.width, q),
            ("ffn_gate", self.ffn, self.width), ("ffn_up", self.ffn, self.width), ("ffn_down", self.width, self.ffn),
        ]

    def norms(self):
        """(name, width) of the norms of one layer."""
        return [("attn_norm", self.width), ("attn_sub_norm", self.heads * self.head_dim),
                ("ffn_norm", self.width), ("ffn_sub_norm", self.ffn)]


def init(shape, seed):
    """Fresh parameters: {"embed", "output_norm", "matrices": {name: (layers, out, in)}, "norms": {name: (layers, n)}}."""
    rng = np.random.default_rng(seed)

    def normal(*dims, std):
        return jnp.asarray(std * rng.standard_normal(dims), jnp.float32)

    return {
        "embed": normal(shape.vocab, shape.width, std=0.02),
        "output_norm": jnp.ones(shape.width),
        "matrices": {n: normal(shape.layers, o, i, std=0.5 / i**0.5) for n, o, i in shape.matrices()},
        "norms": {n: jnp.ones((shape.layers, w)) for n, w in shape.norms()},
    }


def ternary(w):
    """Absmean quantisation of one matrix: values -1, 0, 1 (as floats) and the scale."""
    scale = jnp.maximum(jnp.mean(jnp.abs(w)), 1e-5)
    return jnp.clip(jnp.round(w / scale), -1, 1), scale


def quantise_activations(x):
    """Per-token absmax quantisation: integers -127..127 (as floats, rounded half to even) and the factor a."""
    a = 127.0 / jnp.maximum(jnp.max(jnp.abs(x), axis=-1, keepdims=True), 1e-5)
    return jnp.clip(jnp.round(x * a), -127, 127), a


def quantised_linear(x, pairs):
    """x through ternary matrices side by side: y = (q . T) / a * scale. The sum is exact: |sum| < 2^24."""
    q, a = quantise_activations(x)
    t = jnp.concatenate([t for t, _ in pairs])
    scales = jnp.concatenate([jnp.full(t.shape[0], s) for t, s in pairs])
    return jnp.matmul(q, t.T, precision=EXACT) / a * scales, (q, a, t, scales)


@jax.custom_vjp
def bit_linear(x, weights):
    """Quantised forward pass of several matrices on one input; the gradients go straight through the rounding."""
    return quantised_linear(x, [ternary(w) for w in weights])[0]


def _forward(x, weights):
    y, saved = quantised_linear(x, [ternary(w) for w in weights])
    return y, (saved, [w.shape[0] for w in weights])


def _backward(residual, g):
    (q, a, t, scales), rows = residual
    dx = (g * scales) @ t
    flat = g.reshape(-1, g.shape[-1])
    dw = flat.T @ (q / a).reshape(-1, q.shape[-1])
    return dx, list(jnp.split(dw, np.cumsum(rows)[:-1].tolist()))


bit_linear.defvjp(_forward, _backward)


def rms_norm(x, w, eps):
    return x * (1.0 / jnp.sqrt(jnp.mean(x * x, axis=-1, keepdims=True) + eps)) * w


def rope_tables(shape, length):
    """cos and sin, (length, head_dim / 2)."""
    half = shape.head_dim // 2
    frequencies = shape.rope_theta ** (-np.arange(half) * 2.0 / shape.head_dim)
    angles = np.arange(length)[:, None] * frequencies[None, :]
    return jnp.asarray(np.cos(angles), jnp.float32), jnp.asarray(np.sin(angles), jnp.float32)


def rope(x, cos, sin):
    """Rotate pairs (d, d + half). x: (batch, length, heads, head_dim)."""
    a, b = jnp.split(x, 2, axis=-1)
    cos, sin = cos[:, None, :], sin[:, None, :]
    return jnp.concatenate([a * cos - b * sin, b * cos + a * sin], axis=-1)


def forward(shape, params, ids):
    """Logits (batch, length, vocab). A matrix is a float array (training) or a frozen pair (ternary, scale)."""
    batch, length = ids.shape
    cos, sin = rope_tables(shape, length)
    causal = jnp.tril(jnp.ones((length, length), bool))
    group = shape.heads // shape.kv_heads

    def linear(x, layer, *names):
        weights = [jax.tree.map(lambda w: w[layer], params["matrices"][n]) for n in names]
        if isinstance(weights[0], tuple):
            y, rows = quantised_linear(x, weights)[0], [t.shape[0] for t, _ in weights]
        else:
            y, rows = bit_linear(x, weights), [w.shape[0] for w in weights]
        return jnp.split(y, np.cumsum(rows)[:-1].tolist(), axis=-1)

    x = params["embed"][ids]
    for layer in range(shape.layers):
        norm = {n: w[layer] for n, w in params["norms"].items()}
        q, k, v = linear(rms_norm(x, norm["attn_norm"], shape.eps), layer, "attn_q", "attn_k", "attn_v")
        q = rope(q.reshape(batch, length, shape.heads, shape.head_dim), cos, sin)
        k = rope(k.reshape(batch, length, shape.kv_heads, shape.head_dim), cos, sin)
        v = v.reshape(batch, length, shape.kv_heads, shape.head_dim)
        q = q.reshape(batch, length, shape.kv_heads, group, shape.head_dim)
        scores = jnp.einsum("bikgd,bjkd->bkgij", q, k) * (1.0 / shape.head_dim**0.5)
        weights = jax.nn.softmax(jnp.where(causal, scores, -jnp.inf), axis=-1)
        mixed = jnp.einsum("bkgij,bjkd->bikgd", weights, v).reshape(batch, length, -1)
        x = x + linear(rms_norm(mixed, norm["attn_sub_norm"], shape.eps), layer, "attn_output")[0]
        gate, up = linear(rms_norm(x, norm["ffn_norm"], shape.eps), layer, "ffn_gate", "ffn_up")
        hidden = jnp.square(jax.nn.relu(gate)) * up
        x = x + linear(rms_norm(hidden, norm["ffn_sub_norm"], shape.eps), layer, "ffn_down")[0]
    return rms_norm(x, params["output_norm"], shape.eps) @ params["embed"].T


def freeze(params):
    """The parameters as they are published: ternary matrices with scales, the embedding rounded to half precision."""
    pairs = jax.jit(jax.vmap(ternary))
    return {
        "embed": jnp.asarray(np.asarray(params["embed"]).astype(np.float16).astype(np.float32)),
        "output_norm": params["output_norm"],
        "matrices": {n: pairs(w) for n, w in params["matrices"].items()},
        "norms": params["norms"],
    }


@partial(jax.jit, static_argnums=0)
def token_losses(shape, params, windows):
    """Cross-entropy in nats of every target of (batch, length + 1) ids."""
    logits = forward(shape, params, windows[:, :-1])
    best = jnp.take_along_axis(logits, windows[:, 1:, None], axis=-1)[..., 0]
    return jax.nn.logsumexp(logits, axis=-1) - best
