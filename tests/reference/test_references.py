"""The references themselves: against llama.cpp, and by their own properties."""

import llama_cpp
import numpy as np
import pytest

from . import LLAMA_CPP_TOLERANCE, PROMPT, TOLERANCE, families, files, make, relative_rms


@pytest.fixture(scope="session")
def cases(tmp_path_factory):
    return {c.name: c for c in make.make(tmp_path_factory.mktemp("models"))}


def llama_cpp_logits(path) -> np.ndarray:
    llm = llama_cpp.Llama(str(path), n_ctx=64, n_threads=1, logits_all=True, verbose=False, n_gpu_layers=0)
    llm.eval(PROMPT)
    return np.array(llm.scores[: len(PROMPT)])


def test_llama_cpp(cases):
    wrong, compared = [], 0
    for case in cases.values():
        if not case.llama_cpp:
            continue
        errors = relative_rms(llama_cpp_logits(case.path), families.logits(case.model, PROMPT))
        print(f"{case.name}: relative RMS {errors.max():.4f}")
        compared += 1
        if not errors.max() <= LLAMA_CPP_TOLERANCE:
            wrong.append((case.name, errors.round(4)))
    assert compared >= 9
    assert not wrong


@pytest.mark.parametrize("family", make.CONFIGS)
def test_logits_vary(family):
    """Random models whose logits say little would hide errors."""
    model, _ = make.random_model(family)
    if model.config.embedding:
        a, b = families.embed(model, PROMPT), families.embed(model, PROMPT[:-1])
        assert abs(a @ b) < 0.9
    else:
        assert 1.5 < families.logits(model, PROMPT).std() < 6


@pytest.mark.parametrize("family", make.CONFIGS)
def test_documented_rounding_stays_within_the_tolerance(family):
    """What the engine is allowed to differ from Hugging Face is what its documented roundings cause."""
    model, _ = make.random_model(family)
    of = families.embed if model.config.embedding else families.logits
    error = np.max(relative_rms(of(model, PROMPT, rounded=True), of(model, PROMPT)))
    print(f"{family}: relative RMS {error:.4f}")
    assert 0.001 < error <= TOLERANCE


def test_packed_rows_come_back():
    values = np.random.default_rng(1).integers(-1, 2, (512, 256)).astype(np.int8)
    packed = files.pack_hugging_face(values)
    rows = np.concatenate([packed >> 2 * i & 3 for i in range(4)])
    assert np.array_equal(rows.astype(np.int8) - 1, values)


def test_master_weights_quantise_to_the_model():
    model, masters = make.random_model("bitnet-online")
    for name, linear in model.linears.items():
        inverse = np.float32(1) / np.float32(np.abs(masters[name]).mean(dtype=np.float64))
        assert np.float32(1) / inverse == linear.scale
        scaled = masters[name].astype(np.float32) * inverse
        assert np.array_equal(np.clip(np.rint(scaled), -1, 1), linear.values)
