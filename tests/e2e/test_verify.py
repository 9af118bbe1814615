"""`aria-worker verify` accepts an honest receipt, and names the check that fails when any one field is changed."""

import copy
import json
import subprocess

import pytest
from conftest import generate_receipt
from harness import MODEL, target_dir


def verify(path, document) -> subprocess.CompletedProcess:
    path.write_text(json.dumps(document))
    return subprocess.run(
        [target_dir() / "aria-worker", "verify", path, "--model", MODEL],
        capture_output=True,
        text=True,
        timeout=120,
    )


def changed(value):
    """Another value of the same kind: the smallest change that keeps the field well-formed."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return value + 1
    if isinstance(value, float):
        return value + 1.0
    if isinstance(value, str):
        if value.startswith("0x") and len(value) > 2:
            return value[:-1] + ("0" if value[-1] != "0" else "1")
        if value.startswith("5") and len(value) > 40:
            # Another well-formed address: Bob's.
            return "5FHneW46xGXgs5mUiveU4sbTyGBzmstUspZC92UhjJM694ty"
        grades = ["unknown", "estimated", "battery", "hardware_monitor", "processor_counters"]
        if value in grades:
            return grades[(grades.index(value) + 1) % len(grades)]
        if value.isdecimal():
            return str(int(value) + 1)
        return value + "x"
    if isinstance(value, list) and value:
        return [changed(value[0]), *value[1:]]
    return "changed"


def leaves(value, path=()):
    """Every field of a document, as a path; a list counts as one field."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from leaves(inner, (*path, key))
    else:
        yield path


@pytest.fixture(scope="module")
def document(tmp_path_factory) -> dict:
    """An honest worker's receipt."""
    return generate_receipt(tmp_path_factory.mktemp("receipt"))


def test_honest_receipt_should_be_accepted(document, tmp_path):
    done = verify(tmp_path / "receipt.json", document)
    assert done.returncode == 0, done.stdout + done.stderr


def test_receipt_of_a_lying_worker_should_be_rejected_though_it_is_signed(tmp_path):
    forged = generate_receipt(tmp_path, "aria-worker-fault", "--alter-token")
    done = verify(tmp_path / "receipt.json", forged)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "signature" not in done.stdout
    assert "token" in done.stdout or "trace" in done.stdout, done.stdout


def test_any_one_changed_field_should_be_rejected_by_name(document, tmp_path):
    paths = list(leaves(document))
    assert len(paths) >= 15, paths
    messages = {}
    for path in paths:
        forged = copy.deepcopy(document)
        holder = forged
        for key in path[:-1]:
            holder = holder[key]
        holder[path[-1]] = changed(holder[path[-1]])
        done = verify(tmp_path / "receipt.json", forged)
        name = ".".join(path)
        assert done.returncode != 0, f"{name}: accepted though changed"
        messages[name] = (done.stdout or done.stderr).strip()
        assert messages[name], f"{name}: rejected without a word"
        assert "panicked" not in messages[name], f"{name}: {messages[name]}"
    # Not one message for everything: the failing check is named.
    assert len(set(messages.values())) >= 3, messages


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", "null", '{"receipt": 1}', "\x00\x00"])
def test_malformed_file_should_be_a_clear_error(text, tmp_path):
    path = tmp_path / "receipt.json"
    path.write_text(text)
    done = subprocess.run(
        [target_dir() / "aria-worker", "verify", path, "--model", MODEL], capture_output=True, text=True, timeout=60
    )
    assert done.returncode != 0
    assert done.stderr.strip() and "panicked" not in done.stderr
