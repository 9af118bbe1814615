"""References written independently of the engine, and models to compare it on.

    python -m tests.reference.make OUT_DIR            write the models (25 MB)
    python -m pytest -s tests/reference               compare; needs numpy and pytest, and aria-worker built

`families` is the Hugging Face modelling code in numpy, in binary64, with activations in eight bits per token as
BitLinear has them. `make` and `files` write random models. `llama_cpp` is a second oracle for the references and the
GGUF writer: `pip install llama-cpp-python` into the same environment enables it; without it the test says "skipped".

Tolerances are on the RMS of a position's difference, relative to the RMS of the reference's logits:

- 2 % for models with one activation scale per token. The engine's head rounds weights to 120 steps per row and the
  hidden state to 127. With maxima near 3 standard deviations a step is 3/120 or 3/127 of one, its RMS error
  1/sqrt(12) of that: 0.72 % and 0.68 %, together 1.0 %. Keys and values in binary16 (2^-11) move about one in a
  hundred of the layers' activations by a step, which adds some tenths of a percent. The rest is for larger maxima.
- 5 % for Ternary Bonsai, whose reference does not quantise activations: each of 7 projections in a layer adds up to
  0.7 % at random. In two layers: 0.7 % sqrt(14) = 2.6 % and the head's; doubled for what the softmax and the gate
  amplify.
- 5 % for llama.cpp, which scales activations per 256 columns (TQ1_0, TQ2_0) or 32 (Q2_0), and so rounds differently.

Greedy choices must agree where the margin is above six times the tolerance: three RMS errors for each of two logits.
"""

import numpy as np

PROMPT = [1, 70, 33, 200, 263, 17, 99, 270, 5, 5, 141, 12, 280, 64]
CONTINUATION = 24
LLAMA_CPP_TOLERANCE = 0.05


def relative_rms(got, want) -> np.ndarray:
    """The RMS of the difference over that of the reference, for each row."""
    return np.sqrt(np.mean((got - want) ** 2, axis=-1) / np.mean(want**2, axis=-1))


def tolerance(config) -> float:
    return 0.02 if config.quantise else 0.05
