"""kill -9 of a worker in the middle of an answer and of a validator in the middle of a block: nothing is lost."""

import http.client
import json
import threading

from conftest import receipt_of
from harness import wait_for


def complete(party, **options) -> dict:
    status, body = party.post("/v1/completions", {"model": party.model, "prompt": "Once", "max_tokens": 8, **options})
    assert status == 200, body
    return receipt_of(body)


def test_killed_worker_should_restart_and_keep_what_it_promised(network):
    worker = network.party("Worker", "worker")
    network.party("Verifier", "verifier")
    network.registered(worker=True, verifier=True)
    before = network.settled(complete(worker, seed=1))
    assert before["status"] == "accepted"

    # A receipt that is signed and handed out, but perhaps not committed yet ...
    promised = complete(worker, seed=2)
    # ... and a stream that is under way.
    first_piece = threading.Event()

    def consume() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", worker.port, timeout=30)
        try:
            body = {"model": worker.model, "prompt": "Once", "max_tokens": 200, "seed": 3, "stream": True}
            connection.request("POST", "/v1/completions", json.dumps(body), {"content-type": "application/json"})
            answer = connection.getresponse()
            while answer.readline():
                first_piece.set()
        except (OSError, http.client.HTTPException):
            pass
        finally:
            first_piece.set()
            connection.close()

    model = worker.model
    assert model
    reader = threading.Thread(target=consume, daemon=True)
    reader.start()
    assert first_piece.wait(30)
    worker.kill()
    reader.join(30)
    assert not reader.is_alive()

    worker.start()
    assert network.settled(promised, 180)["status"] == "accepted"
    assert network.settled(complete(worker, seed=4))["status"] == "accepted"
    assert network.chain.record(before["id"])["status"] == "accepted"
    assert network.chain.worker(before["worker"])["rejected"] == 0


def test_killed_validator_should_restart_and_lose_nothing(network):
    worker = network.party("Worker", "worker")
    network.party("Verifier", "verifier")
    network.registered(worker=True, verifier=True)
    before = network.settled(complete(worker, seed=1))

    bob = network.validators[1]
    network.wait("the record at bob", lambda: bob.chain.record(before["id"]), 60)
    kept = bob.chain.finalized()
    # In the middle of a block: right after a new one came, while the next is being made.
    height = bob.chain.best()
    network.wait("a new block", lambda: bob.chain.best() > height, 60)
    bob.kill()

    height = network.chain.best()
    network.wait("blocks without bob", lambda: network.chain.best() >= height + 2, 90)
    bob.start()
    wait_for("bob's own record", lambda: bob.chain.record(before["id"]), 60, [bob.process])
    assert bob.chain.finalized() >= kept
    after = network.chain.finalized()
    network.wait("finality with bob back", lambda: network.chain.finalized() >= after + 2, 120)
    network.wait("bob to catch up", lambda: bob.chain.finalized() >= after, 120)
    assert network.settled(complete(worker, seed=2))["status"] == "accepted"
