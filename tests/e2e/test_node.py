"""How a node starts, or says why it does not: ports, keys, and the addresses of its worker."""

import json
import subprocess
from pathlib import Path

import pytest
from conftest import DevNode
from harness import MODEL, Chain, Process, free_port, target_dir, wait_for

QUIET = ["--no-prometheus", "--no-telemetry", "--no-mdns"]


def node(*arguments) -> list[str]:
    """A command line with ports of its own."""
    return [str(one) for one in (target_dir() / "aria", "node", *arguments, "--port", free_port(), *QUIET)]


def ends(argv: list[str]) -> str:
    """What a program says that must end with an error, soon and in words."""
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL)
    said = done.stdout + done.stderr
    assert done.returncode not in (0, 101) and "panicked" not in said, said
    return said


def test_taken_rpc_port_should_be_said(tmp_path):
    first = DevNode(tmp_path, model=None)
    try:
        said = ends(node("--dev", "--tmp", "--rpc-port", first.rpc))
        assert f"127.0.0.1:{first.rpc}" in said and "--rpc-port" in said
        assert first.chain.call("system_chain") == "ARIA Development"
    finally:
        first.close()


def specification(folder: Path, chain: str, **changes) -> Path:
    """A chain's specification as a file, changed."""
    built = subprocess.run(
        [target_dir() / "aria", "node", "export-chain-spec", "--chain", chain, "--raw"],
        check=True,
        capture_output=True,
        timeout=60,
    )
    file = folder / f"{chain}.json"
    file.write_text(json.dumps({**json.loads(built.stdout), **changes}))
    return file


class Validator:
    """A node with the key of Alice, on a fresh machine."""

    def __init__(self, folder: Path, *arguments):
        self.rpc = free_port()
        self.chain = Chain(self.rpc)
        argv = node("--alice", "--validator", "--base-path", folder / "alice", "--rpc-port", self.rpc, *arguments)
        self.process = Process("alice", argv, folder / "alice.log")

    def wait(self) -> None:
        wait_for("the validator", lambda: self.chain.call("system_health"), 60, [self.process])


def test_validators_of_test_networks_should_need_no_key_of_the_network(tmp_path):
    """The README's command, and one with a file."""
    for place, chain in {"named": "local", "file": specification(tmp_path, "dev")}.items():
        folder = tmp_path / place
        folder.mkdir()
        validator = Validator(folder, "--chain", chain)
        try:
            validator.wait()
            peer = validator.chain.call("system_localPeerId")
            validator.process.stop()
            again = Validator(folder, "--chain", chain)
            again.wait()
            assert again.chain.call("system_localPeerId") == peer
            again.process.kill()
        finally:
            validator.process.kill()
    live = specification(tmp_path, "local", chainType="Live")
    assert "generate-node-key" in ends(node("--chain", live, "--alice", "--validator", "--tmp"))


@pytest.fixture
def live(tmp_path):
    """A chain that is none for development."""
    file = specification(tmp_path, "dev", chainType="Live")
    validator = Validator(tmp_path, "--chain", file, "--node-key", "00" * 31 + "01", "--force-authoring")
    validator.specification = file
    try:
        validator.wait()
        yield validator
    finally:
        validator.process.kill()


def test_addresses_that_others_cant_reach_should_not_be_published(live, tmp_path):
    def worker(program: str, *arguments) -> list[str]:
        words = [target_dir() / program, *arguments, "--model", MODEL, "--worker-key", "//Worker", "--threads", 1]
        return [str(one) for one in (*words, "--api-port", free_port(), "--state-dir", tmp_path / "worker")]

    private = {
        "by default": [],
        "private": ["--announce", "/ip4/192.168.1.7/tcp/30400"],
        "all": ["--announce", "/ip4/0.0.0.0/tcp/30400"],
    }
    for name, options in private.items():
        said = ends(worker("aria-worker", "serve", "--node", f"ws://127.0.0.1:{live.rpc}", *options))
        assert "can't reach" in said and "--announce" in said, (name, said)
        beside = ["node", "--chain", live.specification, "--tmp", "--rpc-port", free_port(), "--port", free_port()]
        said = ends(worker("aria", *beside, *QUIET, "--worker", *options))
        assert "can't reach" in said and "--announce" in said, (name, said)
    assert live.chain.workers() == {}

    public = worker("aria-worker", "serve", "--node", f"ws://127.0.0.1:{live.rpc}")
    public += ["--announce", "/ip4/203.0.113.7/tcp/30400"]
    process = Process("worker", public, tmp_path / "worker.log")
    try:
        (registered,) = wait_for("the registration", lambda: live.chain.workers().values(), 90, [process])
        assert registered["address"].startswith("/ip4/203.0.113.7/tcp/30400/p2p/")
    finally:
        process.kill()


def test_worker_of_a_node_should_have_the_options_of_a_worker(tmp_path):
    options = ["--parallel", 2, "--queue", 1, "--cache-mib", 64, "--batch-seconds", 1, "--roles", "worker,verifier"]
    options += ["--no-prefix-cache", "--watts", 20, "--state-dir", tmp_path / "elsewhere"]
    made = DevNode(tmp_path, options)
    try:
        assert made.ready()["roles"] == {"worker": True, "verifier": True}
        assert (tmp_path / "elsewhere" / "network.key").exists()
    finally:
        made.close()
