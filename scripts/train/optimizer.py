"""Muon for the ternary matrices, Adam for the embedding and the norms."""

import jax
import jax.numpy as jnp

MUON_MOMENTUM = 0.95
ADAM_B1, ADAM_B2, ADAM_EPS = 0.9, 0.98, 1e-8


def orthogonalise(g):
    """Five Newton-Schulz steps (Keller Jordan's coefficients) on a stack of matrices (n, rows, columns)."""
    a, b, c = 3.4445, -4.7750, 2.0315
    tall = g.shape[1] > g.shape[2]
    x = g.transpose(0, 2, 1) if tall else g
    x = x / (jnp.linalg.norm(x, axis=(1, 2), keepdims=True) + 1e-7)
    for _ in range(5):
        s = x @ x.transpose(0, 2, 1)
        x = a * x + (b * s + c * (s @ s)) @ x
    return x.transpose(0, 2, 1) if tall else x


def init(params):
    zeros = jax.tree.map(jnp.zeros_like, params)
    return {"m": zeros, "v": jax.tree.map(jnp.zeros_like, {k: v for k, v in params.items() if k != "matrices"})}


def update(params, grads, state, step, muon_rate, adam_rate, decay):
    """One step; the rates are already scheduled. Decay is relative to the rate and touches the matrices only."""
    norm = jnp.sqrt(sum(jnp.sum(g * g) for g in jax.tree.leaves(grads)))
    grads = jax.tree.map(lambda g: g * jnp.minimum(1.0, 1.0 / (norm + 1e-6)), grads)
    new, m, v = {}, {}, {}

    m["matrices"] = jax.tree.map(lambda m, g: MUON_MOMENTUM * m + g, state["m"]["matrices"], grads["matrices"])

    def muon(w, m, g):
        direction = orthogonalise(g + MUON_MOMENTUM * m)
        direction *= max(1.0, w.shape[1] / w.shape[2]) ** 0.5
        return w * (1.0 - muon_rate * decay) - muon_rate * direction

    new["matrices"] = jax.tree.map(muon, params["matrices"], m["matrices"], grads["matrices"])
    t = step + 1.0
    for key in state["v"]:
        m[key] = jax.tree.map(lambda m, g: ADAM_B1 * m + (1 - ADAM_B1) * g, state["m"][key], grads[key])
        v[key] = jax.tree.map(lambda v, g: ADAM_B2 * v + (1 - ADAM_B2) * g * g, state["v"][key], grads[key])

        def adam(p, m, v):
            return p - adam_rate * (m / (1 - ADAM_B1**t)) / (jnp.sqrt(v / (1 - ADAM_B2**t)) + ADAM_EPS)

        new[key] = jax.tree.map(adam, params[key], m[key], v[key])
    return new, {"m": m, "v": v}
