"""A worker answers under its owner's consent contract alone, and nobody but the owner grants one."""

from conftest import receipt_of
from test_cli import read

OWNER = ["--worker-key", "//Worker"]


def complete(party):
    return party.post("/v1/completions", {"model": party.model, "prompt": "Once", "max_tokens": 4, "seed": 1})


def refused(party) -> bool:
    status, body = complete(party)
    return (status, isinstance(body, dict) and body["error"]["code"]) == (403, "consent")


def version(party) -> int:
    """Version of the contract that an answer's receipt names."""
    status, body = complete(party)
    assert status == 200, body
    return receipt_of(body)["consent_version"]


def test_consent_should_be_granted_by_its_owner_and_stay_revoked(network):
    worker = network.party("Worker", "worker", consent=False)
    network.registered(worker=True)
    network.wait("the first look at the contract", lambda: refused(worker))
    assert worker.consent_version() is None

    assert read(network, "consent", "grant", *OWNER)["version"] == 1
    network.wait("the contract", worker.consent_version)
    assert version(worker) == 1

    # It still offers the time, but not the task.
    read(network, "consent", "grant", *OWNER, "--tasks", "embedding")
    network.wait("the amendment", lambda: worker.consent_version() == 2)
    status, body = complete(worker)
    assert status == 403 and "text_gen" in body["error"]["message"], body
    read(network, "consent", "grant", *OWNER, "--tasks", "any")
    network.wait("the amendment", lambda: worker.consent_version() == 3)
    assert version(worker) == 3

    assert read(network, "consent", "revoke", *OWNER)["revoked"]
    network.wait("the revocation", lambda: refused(worker))

    # A restart does not bring it back, not even with the word that grants the first one ...
    worker.kill()
    worker.argv.append("--consent")
    worker.start()
    network.wait("the restarted worker's look", lambda: refused(worker))
    # ... and neither does another connection.
    network.validators[0].kill()
    network.validators[0].start()
    height = network.chain.finalized()
    network.wait("final blocks", lambda: network.chain.finalized() > height + 2, 120)
    connected = lambda: worker.get("/v1/status")[1]["chain"]["connected"]  # noqa: E731
    network.wait("the worker's connection", connected)
    assert refused(worker)
    assert worker.consent_version() is None

    # Its owner grants another one: versions go on.
    assert read(network, "consent", "grant", *OWNER)["version"] == 4
    network.wait("the contract", worker.consent_version)
    assert version(worker) == 4


def test_first_consent_should_be_granted_on_the_owners_word(network):
    worker = network.party("Worker", "worker", consent=True)
    network.registered(worker=True)
    assert version(worker) == 1
    # The worker goes by the best block, the command line by the latest final one.
    height = network.chain.best()
    network.wait("final blocks", lambda: network.chain.finalized() >= height)
    assert read(network, "consent", "show", *OWNER)["version"] == 1
