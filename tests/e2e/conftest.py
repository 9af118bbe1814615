"""What the end-to-end tests share: networks of real processes, each with its own ports and folders."""

import json
import subprocess
import sys
from pathlib import Path

import openai
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts"))

from harness import MODEL, Chain, Process, find_receipt, free_port, http_json, target_dir, wait_for  # noqa: E402
from javascript import run_script  # noqa: E402

API_KEY = "sk-end-to-end"


def pytest_configure(config) -> None:
    config.addinivalue_line("markers", "alone: runs after all others, with nothing beside it")


class Party:
    """A worker or a verifier: `aria-worker serve`."""

    def __init__(
        self, network: "Network", name: str, roles: str, program: str = "aria-worker", extra=(), consent=None
    ):
        self.network, self.name = network, name
        # The owner's word, once: without it a worker on a chain answers nothing.
        self.consents = bool(network.validators) and ("worker" in roles if consent is None else consent)
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.argv = [target_dir() / program, "serve", "--model", MODEL, "--worker-key", f"//{name}"]
        self.argv += ["--api-port", self.port, "--threads", 1, "--state-dir", network.folder / name]
        self.argv += ["--node", f"ws://127.0.0.1:{network.validators[0].rpc}", "--roles", roles] if network.validators else [
            "--offline"
        ]
        self.argv += ["--consent"] if self.consents else []
        self.argv += list(extra)
        self.start()

    def start(self) -> None:
        self.process = Process(self.name, self.argv, self.network.folder / f"{self.name}.log")
        self.network.processes.append(self.process)
        wait_for(f"{self.name}'s API", lambda: self.get("/health")[0] == 200, 60, [self.process])

    def get(self, path: str, headers: dict | None = None):
        return http_json("GET", self.url + path, headers=headers)

    def post(self, path: str, body, headers: dict | None = None, timeout: float = 60.0):
        return http_json("POST", self.url + path, body, headers, timeout)

    def kill(self) -> None:
        self.process.kill()
        self.network.processes.remove(self.process)

    def consent_version(self) -> int | None:
        """Version of the contract that is in force, as the worker sees it."""
        return self.get("/v1/status")[1]["consent_version"]

    @property
    def model(self) -> str:
        return self.get("/v1/models")[1]["data"][0]["id"]

    def openai(self, key: str = API_KEY) -> openai.OpenAI:
        return openai.OpenAI(base_url=f"{self.url}/v1", api_key=key, max_retries=0, timeout=60.0)


class Validator:
    """`aria --chain local` with one of the well-known keys."""

    def __init__(self, network: "Network", name: str, bootnode: str | None):
        self.network, self.name = network, name
        self.rpc, self.p2p = free_port(), free_port()
        self.argv = [target_dir() / "aria", "--chain", "local", f"--{name}", "--validator"]
        self.argv += ["--base-path", network.folder / name, "--rpc-port", self.rpc]
        self.argv += ["--no-prometheus", "--no-telemetry", "--no-mdns"]
        self.argv += ["--listen-addr", f"/ip4/127.0.0.1/tcp/{self.p2p}"]
        if bootnode is None:
            # Without it, the last node of a network waits for peers before it makes a block.
            self.argv += ["--node-key", "00" * 31 + "01", "--force-authoring"]
        else:
            self.argv += ["--bootnodes", bootnode]
            self.argv += ["--node-key", "00" * 31 + "02"]
        self.chain = Chain(self.rpc)
        self.start()

    def start(self) -> None:
        self.process = Process(self.name, self.argv, self.network.folder / f"{self.name}.log")
        self.network.processes.append(self.process)
        wait_for(f"{self.name}'s RPC", lambda: self.chain.call("system_health"), 90, [self.process])

    def kill(self) -> None:
        self.process.kill()
        self.network.processes.remove(self.process)

    @property
    def address(self) -> str:
        return f"/ip4/127.0.0.1/tcp/{self.p2p}/p2p/{self.chain.call('system_localPeerId')}"


class DevNode:
    """`aria node --dev`, which makes blocks alone, with a worker in the same process if it has a model."""

    def __init__(self, folder: Path, extra=(), model: Path | None = MODEL):
        self.folder, self.base = folder, folder / "base"
        self.rpc, self.api, self.metrics = free_port(), free_port(), free_port()
        self.url = f"http://127.0.0.1:{self.api}"
        self.argv = [target_dir() / "aria", "node", "--dev", "--base-path", self.base, "--no-telemetry", "--no-mdns"]
        self.argv += ["--rpc-port", self.rpc, "--prometheus-port", self.metrics]
        self.argv += [] if "--listen-addr" in extra else ["--port", free_port()]
        if model is not None:
            self.argv += ["--worker", "--model", model, "--api-port", self.api, "--threads", 1]
        self.argv += list(extra)
        self.chain = Chain(self.rpc)
        self.start()

    def start(self) -> None:
        self.process = Process("node", self.argv, self.folder / "node.log")
        try:
            self.wait("the node's RPC", lambda: self.chain.call("system_health"), 90)
        except BaseException:
            self.close()
            raise

    def wait(self, what: str, check, timeout: float = 60.0):
        return wait_for(what, check, timeout, [self.process])

    def ready(self) -> dict:
        """What the worker says of itself, once it answers: it has its model, and its owner's consent."""

        def check():
            status = self.chain.call("aria_workerStatus")
            if status["state"] == "ready" and status["worker"]["chain"]["consentVersion"]:
                return status["worker"]

        return self.wait("the worker", check, 60)

    def registered(self) -> str:
        """The worker's account, once it is registered in a final block."""
        account = self.ready()["account"]
        self.wait("the worker's registration", lambda: self.chain.worker(account), 90)
        return account

    def close(self) -> None:
        self.process.kill()


class Network:
    """Validators, workers and verifiers of one test."""

    def __init__(self, folder: Path, validators: bool = True):
        self.folder = folder
        self.processes: list[Process] = []
        self.validators: list[Validator] = []
        self.parties: list[Party] = []
        if validators:
            alice = Validator(self, "alice", None)
            self.validators.append(alice)
            self.validators.append(Validator(self, "bob", alice.address))
            self.wait("a finalized block", lambda: alice.chain.finalized() >= 1, 120)

    @property
    def chain(self) -> Chain:
        return self.validators[0].chain

    def wait(self, what: str, check, timeout: float = 60.0):
        return wait_for(what, check, timeout, self.processes)

    def party(self, name: str, roles: str, **options) -> Party:
        self.parties.append(Party(self, name, roles, **options))
        return self.parties[-1]

    def registered(self, worker: bool = False, verifier: bool = False) -> None:
        def check():
            roles = [w["roles"] for w in self.chain.workers().values()]
            return (not worker or any(r["worker"] for r in roles)) and (
                not verifier or any(r["verifier"] for r in roles)
            )

        self.wait("registrations on the finalized chain", check, 90)
        for one in self.parties:
            if one.consents:
                self.wait(f"{one.name}'s consent", one.consent_version, 90)

    def settled(self, receipt: dict, timeout: float = 120.0) -> dict:
        """The finalized record of a receipt, with its `id`, once its draw is settled."""

        def check():
            for draw in self.chain.draws():
                if draw["record"] is None or draw["status"] in ("drawn", "opened"):
                    continue
                record = self.chain.record(draw["record"])
                if record and record["trace_root"] == receipt["trace_root"]:
                    return {"id": draw["record"], "draw": draw["id"], **record}
            return None

        return self.wait("the receipt's settlement on the finalized chain", check, timeout)

    def close(self) -> None:
        for process in self.processes:
            process.kill()


@pytest.fixture
def network(tmp_path):
    """Two validators."""
    made = Network(tmp_path)
    yield made
    made.close()


@pytest.fixture
def offline(tmp_path):
    """No chain: for workers that run with --offline."""
    made = Network(tmp_path, validators=False)
    yield made
    made.close()


@pytest.fixture
def dev_node(tmp_path):
    """A development node with a worker."""
    made = DevNode(tmp_path)
    yield made
    made.close()


def generate_receipt(folder: Path, program: str = "aria-worker", *extra: str) -> dict:
    """The signed receipt of an answer of `aria-worker generate`, as `aria-worker verify` reads it."""
    path = folder / "receipt.json"
    done = subprocess.run(
        [target_dir() / program, "generate", "--model", MODEL, "--prompt", "Once upon a time", "--max-tokens", "12"]
        + ["--temperature", "0.8", "--seed", "7", "--suri", "//Worker", "--receipt", path, "--json", *extra],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(path.read_text())


def polkadot_api(rpc_port: int, question: dict) -> dict:
    """What `js/read.mjs` reads from the ledger through @polkadot/api."""
    return run_script("read.mjs", f"ws://127.0.0.1:{rpc_port}", json.dumps(question))


def receipt_of(body) -> dict:
    found = find_receipt(body)
    assert found is not None, f"no receipt in {json.dumps(body)}"
    return found
