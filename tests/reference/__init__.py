"""References written independently of the engine, and models to compare it on.

    python -m tests.reference.make OUT_DIR            write the models (25 MB)
    python -m pytest -s tests/reference               compare; needs numpy, pytest and llama_cpp, and aria-worker built

`families` is the Hugging Face modelling code in numpy, in binary64, with activations in eight bits per token as
BitLinear has them. `make` and `files` write random models. llama.cpp (`llama-cpp-python`) is a second oracle for the
references and the GGUF writer.

Tolerances are on the RMS of a position's difference, relative to the RMS of the reference's logits:

- 6 % to Hugging Face's arithmetic. The engine's head rounds weights to 120 steps per row and the hidden state to
  127: with maxima near 3 standard deviations the RMS errors are 3/120 and 3/127 over sqrt(12), 0.72 % and 0.68 %.
  Keys and values in binary16 move some activations by a whole step of the eight bits, which later layers amplify.
  `test_documented_rounding_stays_within_the_tolerance` computes it all in numpy and prints each family's figure.
- 0.2 % to the same with those roundings (`rounded=True`), for the median of the positions of the best of seven
  prompts. What is left is binary32 against binary64, some 1e-4; but where an activation lands on the other side of
  a rounding, one such step grows to the size of the rounding errors themselves in the layers and positions after
  it. With random weights that happens in one prompt of four, so the worst is held to the first tolerance only.
- 6 % for llama.cpp, which scales activations per 256 columns (TQ1_0, TQ2_0) or 32 (Q2_0), and so rounds differently.

Greedy choices must agree with the rounded reference where its margin is above 20 % of the RMS of the logits: three
RMS errors of 3.5 % for each of two logits.
"""

import os

# Small matrices: threads would only wait for each other.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np  # noqa: E402

PROMPT = [1, 70, 33, 200, 263, 17, 99, 270, 5, 5, 141, 12, 280, 64]
CONTINUATION = 24
TOLERANCE = 0.06
ROUNDED_TOLERANCE = 0.002
GREEDY_MARGIN = 0.2
LLAMA_CPP_TOLERANCE = 0.06


def relative_rms(got, want) -> np.ndarray:
    """The RMS of the difference over that of the reference, for each row."""
    return np.sqrt(np.mean((got - want) ** 2, axis=-1) / np.mean(want**2, axis=-1))
