"""Other people's clients of Substrate's chains against a node: what each of them reads, submits and asks, without types
of ours, and a table of what works.

The table is written to `e2e-chain-clients.md` in the folder of build results; docs/clients.md has the same rows.
"""

import json
import subprocess
import time

import pytest
import table
from conftest import DevNode
from harness import find_receipt, free_port, target_dir
from javascript import package_version, run_script

PACKAGES = {"polkadot-js": ("polkadot.js", "@polkadot/api"), "papi": ("PAPI", "polkadot-api")}
WORKER = "//Worker"


class Client:
    """A client, by the name that js/chain.mjs has for it."""

    def __init__(self, key: str, node: DevNode):
        self.key, self.node = key, node
        name, package = PACKAGES[key]
        self.name = f"{name} {package_version(package)}"

    def ask(self, what: str, **question):
        url = f"ws://127.0.0.1:{self.node.rpc}"
        return run_script("chain.mjs", self.key, url, json.dumps({"ask": what, **question}))

    def refusal(self, what: str, **question) -> dict:
        return self.ask(what, **question)["error"]


@pytest.fixture(scope="module")
def node(tmp_path_factory):
    made = DevNode(tmp_path_factory.mktemp("chain-clients"))
    try:
        made.account = made.registered()
        yield made
    finally:
        made.close()


def blocks(client: Client):
    seen = client.ask("blocks", count=3)
    for before, block in zip(seen, seen[1:]):
        assert block["number"] == before["number"] + 1 and block["parent"] == before["hash"]
    for block in seen:
        assert client.node.chain.call("chain_getBlockHash", block["number"]) == block["hash"]


def storage(client: Client):
    told = client.ask("storage", account=client.node.account)
    assert told["workers"] == [client.node.account]
    assert int(told["free"]) > 0


def constants(client: Client):
    assert int(client.ask("constant")) == client.node.chain.worker(client.node.account)["bond"]


def runtime_api(client: Client):
    chain = client.node.chain
    worker, stats = chain.worker(client.node.account), chain.stats()
    told = client.ask("runtimeApi", account=client.node.account)
    assert int(told.pop("bond")) == worker["bond"]
    assert told == {"worker": True, "workers": stats["workers"], "models": stats["models"]}


def attest(client: Client) -> dict:
    """Attests the energy of a period after all before it, by the chain's clock."""
    now = time.time_ns() // 1_000_000 - 20_000
    start = max(getattr(client.node, "attested_until", 0), now - 1000)
    period = {"suri": WORKER, "start": start, "end": start + 1, "microjoules": 1234}
    client.node.attested_until = period["end"]
    return period


def extrinsic(client: Client):
    done = client.ask("attest", **attest(client))
    assert done["failure"] is None, done
    assert done["states"][-1].lower() == "finalized" and len(done["states"]) > 2, done
    assert "attested" in [name.split(".")[1].lower() for name in done["events"]], done
    chain = client.node.chain
    number = int(chain.call("chain_getHeader", done["block"])["number"], 16)
    assert chain.call("chain_getBlockHash", number) == done["block"] and number <= chain.finalized()
    client.node.attested_in = done["block"]


def events(client: Client):
    names = [name.lower() for name in client.ask("events", hash=client.node.attested_in)]
    assert "sobriety.attested" in names and "system.extrinsicsuccess" in names, names


def errors(client: Client):
    """A call that fails in its block, by the name that its pallet gives the error."""
    done = client.ask("attest", suri=WORKER, start=1, end=2, microjoules=1)
    assert done["failure"].lower() == "sobriety.overlappingperiod", done


def methods(client: Client):
    status = client.ask("call", method="aria_workerStatus", params=[])
    assert (status["state"], status["worker"]["account"]) == ("ready", client.node.account)
    request = {"model": status["worker"]["models"][0]["id"], "prompt": "Once", "max_tokens": 5, "seed": 2}
    answer = client.ask("call", method="aria_complete", params=[request])
    assert answer["usage"]["completion_tokens"] == 5 and find_receipt(answer)
    refusal = client.refusal("call", method="aria_complete", params=[{**request, "temperature": -1}])
    assert refusal["code"] == 12004 and "temperature" in refusal["message"], refusal


def subscriptions(client: Client):
    model = client.node.ready()["models"][0]["id"]
    request = {"model": model, "prompt": "Once upon a time", "max_tokens": 12, "temperature": 0}
    *chunks, last = client.ask("completion", request=request)
    assert last == "[DONE]"
    texts = [chunk["choices"][0]["text"] for chunk in chunks]
    whole = client.node.chain.call("aria_complete", request)
    assert "".join(texts) == whole["choices"][0]["text"] and len(texts) > 3
    assert find_receipt(chunks[-1])["trace_root"] == find_receipt(whole)["trace_root"]
    refusal = client.refusal("completion", request={**request, "model": "nobody"})
    assert refusal["code"] == 12005, refusal


CHECKS = {
    "final blocks": blocks,
    "storage": storage,
    "constants": constants,
    "runtime API": runtime_api,
    "extrinsic to finality": extrinsic,
    "events": events,
    "errors by name": errors,
    "`aria_*`": methods,
    "`aria_*` subscription": subscriptions,
}


def test_chain_clients_should_need_no_types_and_the_documents_should_say_so(node, subtests):
    lines = table.header(CHECKS)
    for key in PACKAGES:
        client = Client(key, node)
        cells = dict.fromkeys(CHECKS, False)
        for feature, check in CHECKS.items():
            with subtests.test(client=client.name, feature=feature):
                check(client)
                cells[feature] = True
        lines.append(table.row(client.name, cells.values()))
    table.should_be_in_the_documents(lines, "e2e-chain-clients.md", "test_chain_clients")


def test_signers_that_decode_what_they_sign_should_be_believed(node):
    """A Ledger, say: it signs the hash of the metadata by which it showed the call."""
    client = Client("polkadot-js", node)
    own = client.ask("metadataHash")
    done = client.ask("attest", metadataHash=own, **attest(client))
    assert done["failure"] is None and done["states"][-1] == "Finalized", done
    other = client.refusal("attest", metadataHash="0x" + "11" * 32, **attest(client))
    assert "bad signature" in other["message"], other


# The hash of `System.Number`'s name.
BLOCK_NUMBER = "0x26aa394eea5630e07c48ae0c9558cef702a5c1b19ab7a04f536c519aca4983ac"


def test_light_client_should_follow_the_chain_and_read_it_by_proof(tmp_path):
    port = free_port()
    node = DevNode(tmp_path, ["--listen-addr", f"/ip4/127.0.0.1/tcp/{port}/ws"], model=None)
    try:
        export = [target_dir() / "aria", "node", "export-chain-spec", "--chain", "dev", "--raw"]
        specification = tmp_path / "dev.json"
        specification.write_bytes(subprocess.run(export, check=True, capture_output=True, timeout=60).stdout)
        address = f"/ip4/127.0.0.1/tcp/{port}/ws/p2p/{node.chain.call('system_localPeerId')}"
        question = {"key": BLOCK_NUMBER, "call": "AriaApi_stats"}
        seen = run_script("light.mjs", str(specification), address, json.dumps(question))
        number = int.from_bytes(bytes.fromhex(seen["value"][2:]), "little")
        assert number > 0 and node.chain.call("chain_getBlockHash", number) == seen["hash"]
        assert node.chain.finalized() >= number
        assert node.chain.call("state_call", "AriaApi_stats", "0x", seen["hash"]) == seen["output"]
    finally:
        node.close()


def sobriety(node, *arguments):
    """What the command line says."""
    url = f"ws://127.0.0.1:{node.rpc}"
    argv = [target_dir() / "aria", "sobriety", *arguments, "--node-url", url, "--json"]
    done = subprocess.run(list(map(str, argv)), capture_output=True, text=True, timeout=60)
    return json.loads(done.stdout) if done.returncode == 0 else done.stderr


def test_command_line_should_tell_what_was_attested(node):
    before = sobriety(node)
    count = before[0]["attestations"] if before else 0
    client = Client("papi", node)
    periods = [attest(client) for _ in range(2)]
    for period in periods:
        assert client.ask("attest", **period)["failure"] is None
    told = sobriety(node, node.account)
    assert told["attestations"] == count + 2 and told["grade"] == "estimated"
    latest = [(int(one["period_start_ms"]), int(one["period_end_ms"])) for one in told["latest"][-2:]]
    assert latest == [(period["start"], period["end"]) for period in periods]
    assert told["latest"][-1]["microjoules"] == "1234"
    # Without an account, everybody who attests.
    (listed,) = sobriety(node)
    assert listed == {name: value for name, value in told.items() if name != "latest"}
    assert "has attested no energy" in sobriety(node, "0x" + "11" * 32)
