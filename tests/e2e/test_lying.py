"""A worker that alters one token after generating loses its bond."""

import subprocess

import pytest
from conftest import polkadot_api, receipt_of
from harness import MODEL, target_dir


def test_worker_that_alters_a_token_should_be_slashed(network):
    worker = network.party("Worker", "worker", program="aria-worker-fault", extra=["--alter-token"])
    network.party("Verifier", "verifier")
    network.registered(worker=True, verifier=True)

    status, body = worker.post(
        "/v1/completions", {"model": worker.model, "prompt": "Once upon a time", "max_tokens": 12, "seed": 1}
    )
    assert status == 200, body
    receipt = receipt_of(body)
    bond = network.chain.worker(receipt["worker"])["bond"]
    assert bond > 0

    record = network.settled(receipt)
    assert isinstance(record["status"], dict) and "rejected" in record["status"], record
    assert record["status"]["rejected"] in ("wrong_token", "wrong_trace")

    standing = network.chain.worker(record["worker"])
    assert standing is None or standing["bond"] < bond, "the bond is untouched"
    assert standing is None or standing["rejected"] >= 1

    read = polkadot_api(
        network.validators[0].rpc,
        {"record": record["id"], "worker": record["worker"], "model": record["model"]},
    )
    assert "rejected" in str(read["storage"]["record"]["status"]).lower()
    slashed = [e for e in read["events"] if "slashed" in e["name"].lower()]
    assert slashed, [e["name"] for e in read["events"]]
    assert record["worker"] in str(slashed)


@pytest.mark.parametrize("command", [["serve", "--offline"], ["generate", "--prompt", "Once"]])
def test_ordinary_build_should_not_know_how_to_lie(command):
    done = subprocess.run(
        [target_dir() / "aria-worker", *command, "--model", MODEL, "--alter-token"],
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert done.returncode != 0
    assert "--alter-token" in done.stderr
