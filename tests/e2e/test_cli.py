"""The command line against real processes: the ledger over a node, consent, a conversation on a terminal, `aria`'s words."""

import json
import os
import pty
import select
import signal
import subprocess
import time

import pytest
from conftest import receipt_of
from harness import MODEL, ROOT, Failure, free_port, http_json, target_dir, wait_for


def run(arguments, program="aria-worker", env=None, check=0) -> subprocess.CompletedProcess:
    done = subprocess.run(
        [target_dir() / program, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, **(env or {})},
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == check, done.stdout + done.stderr
    return done


def read(network, *arguments, check=0):
    """What a command says about the chain, from its JSON."""
    url = f"ws://127.0.0.1:{network.validators[0].rpc}"
    return json.loads(run([*arguments, "--node-url", url, "--json"], check=check).stdout)


def test_ledger_should_be_read_as_the_chain_tells_it(network):
    worker = network.party("Worker", "worker")
    network.party("Verifier", "verifier")
    network.registered(worker=True, verifier=True)
    body = {"model": worker.model, "prompt": "Once upon a time", "max_tokens": 12, "seed": 3}
    receipt = receipt_of(worker.post("/v1/completions", body)[1])
    record = network.settled(receipt)

    shown = read(network, "ledger", "record", record["id"])
    for field in ("worker", "verifier", "model", "trace_root", "output_tokens", "status"):
        assert shown[field] == record[field], field
    assert int(shown["operations"]) == record["operations"]
    # Hex without 0x is as good.
    assert read(network, "ledger", "record", record["id"][2:]) == shown

    chain = network.chain
    stats = read(network, "ledger", "stats")
    assert stats["accepted"] >= 1
    assert stats["workers"] == 2 and stats["models"] == 1
    by_address = read(network, "ledger", "worker", record["worker"])
    assert record["id"] in by_address["records"]
    assert int(by_address["bond"]) == chain.worker(record["worker"])["bond"]
    from harness import account_of

    assert read(network, "ledger", "worker", "0x" + account_of(record["worker"]).hex()) == by_address
    assert {one["account"] for one in read(network, "ledger", "worker")} == set(chain.workers())
    assert read(network, "ledger", "model", record["model"])["root"] == record["model"]

    verdict = read(network, "ledger", "verify")
    assert verdict["ok"] and not verdict["faults"], verdict
    assert verdict["checked"]["records"] >= 1 and verdict["checked"]["block headers"] >= 2
    exported = read(network, "ledger", "export")
    assert record["id"] in [one["id"] for one in exported["records"]]
    assert len(exported["draws"]) == exported["stats"]["draws"]
    assert len(exported["batches"]) == exported["stats"]["batches"]

    status = read(network, "network", "status")
    assert status["genesis"] == chain.call("chain_getBlockHash", 0)
    assert status["finalized"] >= 1 and status["peers"] == 1
    peers = read(network, "network", "peers")
    assert [peer["peer_id"] for peer in peers] == [network.validators[1].chain.call("system_localPeerId")]
    assert read(network, "consent", "show", record["worker"])["version"] >= 1

    doctor = json.loads(
        run(
            ["doctor", "--quick", "--json", "--rpc-port", network.validators[0].rpc]
            + ["--port", network.validators[0].p2p, "--api-port", worker.port, "--state-dir", network.folder / "new"]
        ).stdout
    )
    found = {check["name"]: check for check in doctor["checks"]}
    for name in ("API port", "RPC port", "peer port", "node"):
        assert found[name]["status"] == "ok", found[name]
    assert found["node"]["values"]["genesis"] == status["genesis"]

    # What is not there is an error with a way on.
    nobody = "0x" + "11" * 32
    for words in (["ledger", "record", nobody], ["ledger", "worker", nobody], ["consent", "show", nobody]):
        url = f"ws://127.0.0.1:{network.validators[0].rpc}"
        assert run([*words, "--node-url", url], check=2).stderr.startswith("error:")


def test_consent_should_be_granted_changed_and_revoked(network):
    owner = ["--worker-key", "//Alice"]
    granted = read(network, "consent", "grant", *owner, "--cpu-percent", 50, "--schedule", "22:00-06:00")
    assert granted["terms"]["cpu_percent"] == 50
    assert granted["terms"]["schedule"] == "22:00-06:00"
    assert granted["terms"]["max_ram_mb"] == 512
    changed = read(network, "consent", "grant", *owner, "--tasks", "embedding", "--days", "sat,sun")
    assert changed["version"] == granted["version"] + 1
    assert changed["terms"]["tasks"] == ["embedding"] and changed["terms"]["days"] == ["sat", "sun"]
    assert changed["terms"]["cpu_percent"] == 50, "what is not given stays"
    assert read(network, "consent", "show", *owner) == changed
    assert read(network, "consent", "revoke", *owner)["revoked"]
    url = f"ws://127.0.0.1:{network.validators[0].rpc}"
    assert "no contract" in run(["consent", "show", *owner, "--node-url", url], check=2).stderr
    again = run(["consent", "revoke", *owner, "--node-url", url], check=2)
    assert "Consent.NoContract" in again.stderr


class Terminal:
    """A program on a terminal of its own."""

    def __init__(self, argv, env):
        self.seen = ""
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.execve(argv[0], argv, env)

    def expect(self, text: str, timeout: float = 30.0) -> str:
        """Reads until the text comes; gives what came before it."""
        end = time.monotonic() + timeout
        while text not in self.seen:
            self._read_into(0.2)
            if time.monotonic() > end:
                raise Failure(f"waiting for {text!r} on the terminal; came: {self.seen!r}")
        before, self.seen = self.seen.split(text, 1)
        return before

    def _read_into(self, timeout: float) -> None:
        if not select.select([self.fd], [], [], timeout)[0]:
            return
        try:
            self.seen += os.read(self.fd, 65536).decode(errors="replace")
        except OSError:
            raise Failure(f"the program has ended; last: {self.seen!r}") from None

    def send(self, text: str) -> None:
        os.write(self.fd, text.encode())

    def end(self) -> int:
        """Exit code, once it has ended by itself."""
        end = time.monotonic() + 20
        while time.monotonic() < end:
            try:
                self._read_into(0.1)
            except Failure:
                return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        raise Failure(f"the program goes on; came: {self.seen!r}")

    def kill(self) -> None:
        try:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        except (ProcessLookupError, ChildProcessError):
            pass


@pytest.fixture
def terminal(tmp_path):
    opened = []

    def open_terminal(*arguments):
        env = {"HOME": str(tmp_path), "TERM": "xterm", "PATH": os.environ["PATH"]}
        made = Terminal([str(target_dir() / "aria-worker"), *map(str, arguments)], env)
        opened.append(made)
        return made

    yield open_terminal
    for one in opened:
        one.kill()


def test_conversation_on_a_terminal_should_stream_stop_and_remember(terminal, tmp_path):
    # The slow kernels leave time to press a key.
    slow = ["--isa", "scalar", "--threads", 1, "--temperature", 0]
    chat = terminal("chat", "--model", MODEL, "--max-tokens", 200, "--stats", *slow)
    chat.expect("> ")
    chat.send("Once upon a time\r")
    chat.expect("tokens/s")
    chat.expect("> ")
    chat.send("And then\r")
    chat.expect("And then")
    time.sleep(0.2)
    chat.send("\x03")
    chat.expect("stopped")
    chat.expect("> ")
    chat.send("/help\r")
    chat.expect("/regenerate")
    chat.expect("> ")
    chat.send(f"/save {tmp_path}/talk.json\r")
    chat.expect("written to")
    chat.expect("> ")
    chat.send("/quit\r")
    assert chat.end() == 0
    saved = json.loads((tmp_path / "talk.json").read_text())
    assert [message["role"] for message in saved["messages"]] == ["user", "assistant"] * 2
    assert len(saved["receipts"]) == 1, "an answer that was stopped has no receipt"
    history = tmp_path / ".local/share/aria/chat-history"
    assert "Once upon a time" in history.read_text()
    assert history.stat().st_mode & 0o077 == 0

    # The arrow key brings back the last line of the last conversation.
    again = terminal("chat", "--model", MODEL, "--max-tokens", 5)
    again.expect("> ")
    again.send("\x1b[A\x1b[A\x1b[A\x1b[A\x1b[A")
    again.expect("Once upon a time")
    again.send("\x15/stats\r")
    again.expect("/stats")
    again.expect("on")
    # A key between two lines would be the terminal's, not the program's.
    again.expect("> ")
    again.send("\x04")
    assert again.end() == 0

    silent = terminal("chat", "--model", MODEL, "--no-history")
    silent.expect("> ")
    silent.send("/clear secret\r")
    silent.expect("forgotten")
    silent.expect("> ")
    silent.send("\x04")
    assert silent.end() == 0
    assert "secret" not in history.read_text()


def test_conversation_with_a_worker_should_stop_there_too(offline, terminal):
    worker = offline.party("Worker", "worker", extra=["--api-key", "sk-chat"])
    chat = terminal("chat", "--url", worker.url, "--api-key", "sk-chat", "--max-tokens", 20, "--stats")
    chat.expect("> ")
    chat.send("Hello\r")
    chat.expect("20 tokens")
    chat.expect("> ")
    worker.kill()
    chat.send("Still there?\r")
    chat.expect("can't reach")
    chat.expect("> ")
    chat.send("\x04")
    assert chat.end() == 0


def test_aria_should_carry_every_word_and_keep_the_old_spelling(tmp_path):
    words = run(["--help"], "aria").stdout
    for word in "node worker api chat infer model ledger consent sobriety network verify bench doctor".split():
        assert f"\n  {word} " in words, word
    assert "--dev" not in words.split("Options:")[1].split("Examples:")[0]
    assert "--dev" in run(["node", "--help"], "aria").stdout
    assert "aria chat" in run(["chat", "--help"], "aria").stdout
    assert "aria-worker" not in run(["chat", "--help"], "aria").stdout
    of_node, of_all = (run([*words, "--version"], "aria").stdout.split() for words in (["node"], []))
    assert of_node == ["aria-node", of_all[1]]
    old, new = (run([*before, "build-spec", "--dev", "--disable-default-bootnode"], "aria").stdout for before in ([], ["node"]))
    assert json.loads(old) == json.loads(new)
    answer = run(["infer", "--raw", "Once upon a time", "--model", MODEL, "--max-tokens", 5, "--json"], "aria")
    assert json.loads(answer.stdout)["usage"]["completion_tokens"] == 5
    assert "aria model pull" in run(["infer", "x", "--model", "no-such"], "aria", check=2).stderr

    config = tmp_path / "config.toml"
    config.write_text("[infer]\nmax-tokens = 3\n[node]\nchain = 'no-such-chain.json'\n")
    env = {"ARIA_CONFIG": str(config)}
    answer = run(["infer", "--raw", "Once upon a time", "--model", MODEL, "--json"], "aria", env)
    assert json.loads(answer.stdout)["usage"]["completion_tokens"] == 3
    assert "no-such-chain.json" in run(["node", "--tmp"], "aria", env, check=1).stderr
    config.write_text("[node]\nno-such-option = 1\n")
    assert "node.no-such-option" in run(["doctor"], "aria", env, check=2).stderr


def test_documented_configuration_should_serve_both_programs(tmp_path):
    page = (ROOT / "docs" / "cli.md").read_text()
    config = tmp_path / "config.toml"
    config.write_text(page.split("```toml\n")[1].split("```")[0])
    for program in ("aria", "aria-worker"):
        assert "bitnet-2b4t" in run(["--config", config, "model", "list", "--known"], program).stdout


@pytest.mark.parametrize(
    "words",
    [
        "--help",
        "model list --known",
        "completions bash",
        "node --help",
        "key generate",
        "node key inspect //Alice",
        "build-spec --dev",
        "node export-chain-spec --chain dev",
    ],
)
def test_commands_of_aria_should_end_quietly_when_nobody_reads(words):
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [target_dir() / "aria", *words.split()], stdout=writer, stderr=subprocess.PIPE, text=True, timeout=60
    )
    os.close(writer)
    assert done.returncode in (0, -signal.SIGPIPE), done.stderr
    assert "panicked" not in done.stderr and "rror" not in done.stderr


def test_log_of_a_node_should_have_colours_only_if_they_are_asked_for(tmp_path):
    def log(**env):
        argv = [target_dir() / "aria", "--dev", "--tmp", "--rpc-port", free_port(), "--port", free_port()]
        process = subprocess.Popen(
            [*map(str, argv), "--no-prometheus", "--no-telemetry"],
            stderr=subprocess.PIPE,
            text=True,
            env={**{k: v for k, v in os.environ.items() if k != "NO_COLOR"}, **env},
        )
        try:
            lines = []
            for line in iter(process.stderr.readline, ""):
                lines.append(line)
                if "Development" in line:
                    return "".join(lines)
            raise Failure("".join(lines))
        finally:
            process.kill()
            process.wait()
            process.stderr.close()

    assert "\x1b" not in log()
    assert "\x1b" in log(CLICOLOR_FORCE="1")
    assert "\x1b" not in log(CLICOLOR_FORCE="1", NO_COLOR="1")


def test_node_should_run_under_both_spellings(tmp_path):
    for before in (["node"], []):
        argv = [target_dir() / "aria", *before, "--dev", "--tmp", "--rpc-port", free_port(), "--port", free_port()]
        process = subprocess.Popen(
            [*map(str, argv), "--no-prometheus", "--no-telemetry"], stderr=subprocess.PIPE, text=True
        )
        try:
            lines = iter(process.stderr.readline, "")
            assert any("Development" in line for line in lines), before
        finally:
            process.kill()
            process.wait()
            process.stderr.close()


def test_api_should_be_served_for_this_machine_alone(tmp_path):
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    argv = [target_dir() / "aria", "api", "start", "--model", MODEL, "--api-port", port, "--threads", 1]
    with open(tmp_path / "log", "w") as log:
        process = subprocess.Popen([*map(str, argv), "--state-dir", str(tmp_path / "state")], stderr=log)
    try:
        wait_for("the API", lambda: http_json("GET", f"{url}/health")[0] == 200, 60)
        status = json.loads(run(["api", "status", "--url", url, "--json"], "aria").stdout)
        assert status["ready"] and [model["id"] for model in status["models"]] == ["aria-demo"]
        answer = run(["infer", "Hello", "--url", url, "--max-tokens", 5, "--json"], "aria")
        assert json.loads(answer.stdout)["usage"]["completion_tokens"] == 5
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
    finally:
        process.kill()
        process.wait()
    # No node was looked for.
    assert "ws://" not in (tmp_path / "log").read_text()
