"""A worker inside a node: one process, one registry of metrics."""

from harness import http_json


def lines(url: str) -> list[str]:
    status, text = http_json("GET", url)
    assert status == 200, text
    return text.splitlines()


def test_metrics_of_the_worker_should_be_in_the_registry_of_its_node(dev_node):
    model = dev_node.ready()["models"][0]["id"]
    body = {"model": model, "prompt": "Once upon a time", "max_tokens": 7, "seed": 1}
    status, answer = http_json("POST", f"{dev_node.url}/v1/completions", body)
    assert status == 200, answer
    of_node, of_worker = lines(f"http://127.0.0.1:{dev_node.metrics}/metrics"), lines(f"{dev_node.url}/metrics")
    for told in (of_node, of_worker):
        # Substrate adds the chain's name as a label.
        counted = [line.split()[-1] for line in told if line.startswith("aria_tokens_predicted_total{")]
        assert counted == [str(answer["usage"]["completion_tokens"])]
        assert any(line.startswith("substrate_block_height{") for line in told)
