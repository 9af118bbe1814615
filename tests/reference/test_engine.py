"""Our engine against the numpy references: `python -m pytest tests/reference`, with aria-worker built."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts"))

from harness import target_dir  # noqa: E402
from . import CONTINUATION, GREEDY_MARGIN, PROMPT, ROUNDED_TOLERANCE, TOLERANCE  # noqa: E402
from . import families, make, relative_rms  # noqa: E402


def worker(*args) -> subprocess.CompletedProcess:
    argv = [str(target_dir() / "aria-worker"), *map(str, args)]
    return subprocess.run(argv, capture_output=True, text=True, timeout=120)


def answer(command, *args) -> dict:
    done = worker(command, *args, "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout)


def joined(tokens) -> str:
    return ",".join(map(str, tokens))


@pytest.fixture(scope="session", autouse=True)
def program():
    path = target_dir() / "aria-worker"
    if not path.exists():
        pytest.skip(f"{path} is not built")


@pytest.fixture(scope="session")
def cases(tmp_path_factory):
    return {c.name: c for c in make.make(tmp_path_factory.mktemp("models"))}


def names(embedding: bool) -> list[str]:
    """Names of the cases, known before they are written."""
    found = []
    for family, config in make.CONFIGS.items():
        if config.embedding == embedding:
            found += [f"{family}.{row[0]}" for row in make.GGUF.get(family, []) + make.HUGGING_FACE.get(family, [])]
    return found


@pytest.mark.parametrize("name", names(embedding=False))
def test_logits(cases, name):
    case = cases[name]
    rounding = case.model
    if name.endswith("-g64"):
        # Activations are rounded by the blocks of the file, which are half of the model's groups here.
        rounding = replace(rounding, config=replace(rounding.config, group=64))
    plain, rounded = [], []
    for start in range(0, len(PROMPT), 2):
        prompt = PROMPT[start:]
        got = np.array(answer("evaluate", "--model", case.path, "--tokens", joined(prompt))["logits"])
        want = families.logits(case.model, prompt)
        assert got.shape == want.shape
        plain.append(relative_rms(got, want).max())
        rounded.append(np.median(relative_rms(got, families.logits(rounding, prompt, rounded=True))))
    print(f"{name}: relative RMS {max(plain):.4f}, with the documented roundings {min(rounded):.5f} to {max(rounded):.5f}")
    assert max(plain) <= TOLERANCE
    assert min(rounded) <= ROUNDED_TOLERANCE


@pytest.mark.parametrize("name", names(embedding=False))
def test_greedy_continuation(cases, name):
    """The reference chooses; at each step whose margin exceeds what rounding can turn, the engine must agree."""
    case = cases[name]
    steps = families.greedy(case.model, PROMPT, CONTINUATION)
    tokens = PROMPT + [token for token, _, _ in steps]
    got = np.array(answer("evaluate", "--model", case.path, "--tokens", joined(tokens[:-1]))["logits"])
    certain = 0
    for i, (token, margin, rms) in enumerate(steps):
        if margin > GREEDY_MARGIN * rms:
            certain += 1
            assert got[len(PROMPT) - 1 + i].argmax() == token, f"step {i}"
    assert certain >= 4, "the margins are too small for this test to mean anything"


@pytest.mark.parametrize("name", names(embedding=True))
def test_embedding(cases, name):
    case = cases[name]
    got = np.array(answer("embed", "--model", case.path, "--tokens", joined(PROMPT))["embedding"])
    want = families.embed(case.model, PROMPT)
    assert abs(np.linalg.norm(got) - 1) < 1e-5
    assert relative_rms(got, want) <= TOLERANCE


def test_same_weights_have_the_same_root(cases):
    roots = {}
    for case in cases.values():
        if case.same_root:
            roots.setdefault(case.same_root, {})[case.name] = answer("inspect", case.path)["model_root"]
    assert sum(len(group) > 1 for group in roots.values()) >= 5
    for family, group in roots.items():
        assert len(set(group.values())) == 1, f"{family}: {group}"
    assert len({next(iter(group.values())) for group in roots.values()}) == len(roots)


def test_evaluate_and_inspect_name_the_same_root(cases):
    case = cases["bitnet.i2s-f16"]
    evaluated = answer("evaluate", "--model", case.path, "--tokens", "1")
    assert evaluated["model_root"] == answer("inspect", case.path)["model_root"]


def test_refused_files_name_the_reason(tmp_path):
    refused = make.make_refused(tmp_path)
    assert len(refused) == 5
    for path, word in refused.items():
        done = worker("evaluate", "--model", path, "--tokens", "1", "--json")
        assert done.returncode != 0, path.name
        assert word.lower() in (done.stdout + done.stderr).lower(), f"{path.name}: {done.stderr}"
        assert "panicked" not in done.stderr, path.name
