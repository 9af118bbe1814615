"""Two validators, a worker and a verifier: an answer becomes an accepted record that any client can read."""

from conftest import polkadot_api, receipt_of


def stream(party, **options) -> tuple[str, dict, list]:
    """Text, receipt and chunks of a completion streamed through the official client."""
    chunks = list(party.openai().completions.create(model=party.model, stream=True, **options))
    text = "".join(c.choices[0].text for c in chunks if c.choices)
    receipt = next((r for c in reversed(chunks) if (r := _receipt(c))), None)
    assert receipt, "no chunk carries a receipt"
    return text, receipt, chunks


def _receipt(chunk):
    from harness import find_receipt

    return find_receipt(chunk.model_dump())


def test_streamed_answer_should_be_accepted_and_read_by_polkadot_js(network):
    worker = network.party("Worker", "worker")
    network.party("Verifier", "verifier")
    network.registered(worker=True, verifier=True)

    text, receipt, chunks = stream(worker, prompt="Once upon a time", max_tokens=16, temperature=0.7, seed=11)
    assert len([c for c in chunks if c.choices and c.choices[0].text]) > 1, "the answer came in one piece"
    assert text.strip()

    record = network.settled(receipt)
    assert record["status"] == "accepted"
    assert record["output_tokens"] == receipt["output_tokens"]
    assert record["worker"] == receipt["worker"]
    assert record["operations"] > 0
    standing = network.chain.worker(record["worker"])
    assert standing["accepted"] >= 1 and standing["rejected"] == 0
    assert standing["credited_operations"] >= record["operations"]

    # Bob, who did not serve the worker, tells the same.
    network.wait("the record at bob", lambda: network.validators[1].chain.record(record["id"]), 60)
    read = polkadot_api(
        network.validators[1].rpc,
        {"record": record["id"], "worker": record["worker"], "model": record["model"]},
    )
    for source in ("storage", "runtimeApi"):
        seen = read[source]["record"]
        assert seen["worker"] == record["worker"], source
        assert seen["traceRoot"] == receipt["trace_root"], source
        assert _accepted(seen["status"]), (source, seen)
        assert read[source]["model"], source
        assert read[source]["worker"], source
    assert int(read["runtimeApi"]["stats"]["accepted"]) >= 1
    assert read["runtimeApi"]["worker"]["accepted"] >= 1
    assert {"usefulWork", "provenance", "consent", "sobriety"} <= set(read["pallets"])


def _accepted(status) -> bool:
    name = status if isinstance(status, str) else next(iter(status))
    return name.lower() == "accepted"


def test_chat_should_stream_in_the_shape_that_clients_need(offline):
    worker = offline.party("Worker", "worker")
    chunks = list(
        worker.openai().chat.completions.create(
            model=worker.model,
            messages=[{"role": "user", "content": "Tell me a story."}],
            max_tokens=8,
            seed=3,
            stream=True,
            stream_options={"include_usage": True},
            user="anybody",
        )
    )
    assert chunks[0].choices[0].delta.role == "assistant"
    assert chunks[-1].choices == [] and chunks[-1].usage.completion_tokens >= 1
    finish = [c.choices[0] for c in chunks if c.choices and c.choices[0].finish_reason]
    assert len(finish) == 1 and not finish[0].delta.content
    assert len({c.id for c in chunks}) == 1


def test_same_request_should_give_the_same_bits_again(offline):
    worker = offline.party("Worker", "worker")
    request = {"model": worker.model, "prompt": "The little dog", "max_tokens": 10, "temperature": 0.9, "seed": 5}
    first, second = (worker.post("/v1/completions", request)[1] for _ in range(2))
    assert first["choices"][0]["text"] == second["choices"][0]["text"]
    assert receipt_of(first)["trace_root"] == receipt_of(second)["trace_root"]
    other = worker.post("/v1/completions", {**request, "seed": 6})[1]
    assert receipt_of(other)["trace_root"] != receipt_of(first)["trace_root"]
