"""A worker inside a node: one process, one registry of metrics."""

import json
import subprocess
import time
import urllib.error
import urllib.request

from harness import MODEL, Failure, free_port, target_dir


def fetch(url, body=None):
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=10) as reply:
        return reply.read().decode()


def wait_for(url, process, timeout=60.0):
    end = time.monotonic() + timeout
    while time.monotonic() < end:
        if process.poll() is not None:
            raise Failure(f"the node has ended with {process.returncode}")
        try:
            return fetch(url)
        except (urllib.error.URLError, ConnectionError):
            time.sleep(0.2)
    raise Failure(f"{url} did not answer in {timeout} seconds")


def test_metrics_of_the_worker_should_be_in_the_registry_of_its_node(tmp_path):
    api, metrics = free_port(), free_port()
    argv = [target_dir() / "aria", "node", "--dev", "--base-path", tmp_path, "--worker", "--model", MODEL]
    argv += ["--api-port", api, "--prometheus-port", metrics, "--rpc-port", free_port(), "--port", free_port()]
    with open(tmp_path / "log", "w") as log:
        process = subprocess.Popen([*map(str, argv), "--no-telemetry"], stdout=log, stderr=log)
    try:
        wait_for(f"http://127.0.0.1:{api}/health", process)
        model = json.loads(fetch(f"http://127.0.0.1:{api}/v1/models"))["data"][0]["id"]
        body = {"model": model, "prompt": "Once upon a time", "max_tokens": 7, "seed": 1}
        usage = json.loads(fetch(f"http://127.0.0.1:{api}/v1/completions", body))["usage"]
        of_node = fetch(f"http://127.0.0.1:{metrics}/metrics").splitlines()
        of_worker = fetch(f"http://127.0.0.1:{api}/metrics").splitlines()
        for lines in (of_node, of_worker):
            # Substrate adds the chain's name as a label.
            counted = [line.split()[-1] for line in lines if line.startswith("aria_tokens_predicted_total{")]
            assert counted == [str(usage["completion_tokens"])]
            assert any(line.startswith("substrate_block_height{") for line in lines)
    finally:
        process.kill()
        process.wait()
