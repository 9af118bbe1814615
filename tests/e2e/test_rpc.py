"""The node's own JSON-RPC methods: what its worker does, and who may ask."""

import hashlib
import json
import socket
import subprocess

from conftest import DevNode, receipt_of
from harness import http_json, target_dir

METHODS = ["workerStatus", "receipt", "receipts", "receiptProof", "pendingBatches", "complete"]
SUBSCRIPTION = ["subscribeCompletion", "unsubscribeCompletion"]


def complete(node: DevNode, **options) -> dict:
    model = node.ready()["models"][0]["id"]
    return node.chain.call("aria_complete", {"model": model, "prompt": "Once", "max_tokens": 8, **options})


def committed(node: DevNode, identifier: str) -> dict:
    """The proof of a receipt, once its batch is final."""
    return node.wait("the receipt's batch", lambda: node.chain.call("aria_receiptProof", identifier), 90)


def batch_root(node: DevNode, batch: int) -> tuple[str, int]:
    """Root and count of a batch, as the chain has them."""
    s = node.chain.api("batch", batch.to_bytes(8, "little"))
    return s.option(lambda: (s.take(32), s.hash(), s.uint(4)))[1:]


def is_leaf(leaf: str, proof: dict) -> bool:
    """Whether the hashes of a proof lead from a leaf to its root."""
    here, index, count = bytes.fromhex(leaf[2:]), proof["leafIndex"], proof["count"]
    path = [bytes.fromhex(one[2:]) for one in proof["proof"]]
    while count > 1:
        # The last of an odd number goes up alone.
        if not (index == count - 1 and count % 2 == 1):
            other = path.pop(0)
            pair = here + other if index % 2 == 0 else other + here
            here = hashlib.blake2b(b"\x01" + pair, digest_size=32).digest()
        index, count = index // 2, (count + 1) // 2
    return not path and "0x" + here.hex() == proof["root"]


def test_completion_over_rpc_should_be_committed_and_proved(dev_node):
    listed = dev_node.chain.call("rpc_methods")["methods"]
    assert [f"aria_{name}" for name in METHODS + SUBSCRIPTION if f"aria_{name}" not in listed] == []

    account = dev_node.registered()
    answers = [complete(dev_node, seed=seed) for seed in range(3)]
    identifiers = [answer["aria"]["receipt_id"] for answer in answers]
    page = dev_node.chain.call("aria_receipts", 2)
    assert [one["id"] for one in page["receipts"]] == identifiers[:0:-1]
    assert page["receipts"][0]["worker"] == account
    rest = dev_node.chain.call("aria_receipts", 2, page["next"])
    assert [one["id"] for one in rest["receipts"]] == identifiers[:1] and rest["next"] is None

    for identifier, answer in zip(identifiers, answers):
        proof = committed(dev_node, identifier)
        assert (proof["root"], proof["count"]) == batch_root(dev_node, proof["batch"])
        assert is_leaf(identifier, proof)
        assert not is_leaf("0x" + "00" * 32, proof)
        public = dev_node.chain.call("aria_receipt", identifier)
        assert public["outputTokens"] == 8 and public["receiptFile"] is None
        kept = dev_node.chain.call("aria_receipt", identifier, answer["aria"]["receipt_key"])
        assert kept["state"] == "committed" and kept["committed"]["batch"] == proof["batch"]
        assert kept["receiptFile"] == answer["aria"]["receipt_file"]
        assert receipt_of(kept)["worker"] == account
    assert dev_node.chain.call("aria_pendingBatches") == []
    status = dev_node.ready()
    assert status["receipts"] == {"receipts": 3, "waiting": 0, "pending": 0, "committed": 3}
    assert status["chain"] == {"connected": True, "consentVersion": 1}


def test_receipts_of_a_purged_chain_should_not_be_due_on_the_next(dev_node):
    dev_node.registered()
    before = complete(dev_node, seed=1)["aria"]["receipt_id"]
    assert committed(dev_node, before)["batch"] == 0
    genesis = dev_node.chain.call("chain_getBlockHash", 0)
    dev_node.close()
    purge = [target_dir() / "aria", "node", "purge-chain", "--dev", "-y", "--base-path", dev_node.base]
    subprocess.run(list(map(str, purge)), check=True, capture_output=True)

    dev_node.start()
    # What is told apart has the same genesis.
    assert dev_node.chain.call("chain_getBlockHash", 0) == genesis
    dev_node.registered()
    after = complete(dev_node, seed=2)["aria"]["receipt_id"]
    proof = committed(dev_node, after)
    assert (proof["batch"], proof["count"]) == (0, 1)
    assert dev_node.chain.call("aria_receipt", before)["state"] == "otherChain"
    assert dev_node.chain.call("aria_receiptProof", before) is None


def error(node: DevNode, method: str, *params) -> dict:
    """The error with which a call is refused."""
    body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": list(params)}
    status, answer = http_json("POST", node.chain.url, body)
    assert status == 200, answer
    return answer["error"]


def test_strangers_should_be_denied_what_uses_the_machine(tmp_path):
    node = DevNode(tmp_path, ["--rpc-methods", "safe"])
    try:
        model = node.ready()["models"][0]["id"]
        request = {"model": model, "prompt": "Once", "max_tokens": 2}
        unknown = "0x" + "11" * 32
        for method, params in {"complete": [request], "receipts": [], "receipt": [unknown]}.items():
            assert error(node, f"aria_{method}", *params)["code"] == -32601, method
        assert node.chain.call("aria_receiptProof", unknown) is None
        assert node.ready()["receipts"]["receipts"] == 0
    finally:
        node.close()


def test_node_without_a_worker_should_say_how_to_get_one(tmp_path):
    node = DevNode(tmp_path, model=None)
    try:
        for method, params in {"workerStatus": [], "complete": [{"prompt": "x"}], "receipts": []}.items():
            told = error(node, f"aria_{method}", *params)
            assert told["code"] == 12001 and "--worker" in told["message"], method
    finally:
        node.close()


def from_page(node: DevNode, origin: str, method: str, *params) -> dict:
    """The answer that a web page's program gets."""
    body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": list(params)}
    status, answer = http_json("POST", node.chain.url, body, {"origin": origin})
    assert status == 200, answer
    return answer


def over_websocket(node: DevNode, origin: str | None, method: str, *params) -> dict:
    """The same over a WebSocket, which browsers let every page open."""
    with socket.create_connection(("127.0.0.1", node.rpc), timeout=30) as connection:
        lines = ["GET / HTTP/1.1", f"host: 127.0.0.1:{node.rpc}", "upgrade: websocket", "connection: Upgrade"]
        lines += ["sec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==", "sec-websocket-version: 13"]
        lines += [f"origin: {origin}"] if origin else []
        connection.sendall("\r\n".join([*lines, "", ""]).encode())
        stream = connection.makefile("rb")
        assert b" 101 " in stream.readline()
        while stream.readline().strip():
            pass
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": list(params)}).encode()
        # One short text frame, with a mask of zeros.
        assert len(body) < 126
        connection.sendall(bytes([0x81, 0x80 | len(body)]) + bytes(4) + body)
        while True:
            kind, length = stream.read(2)
            if length == 126:
                length = int.from_bytes(stream.read(2), "big")
            payload = stream.read(length)
            # Others are pings.
            if kind == 0x81:
                return json.loads(payload)


UNSAFE = {"aria_receipts": [], "aria_complete": [{"prompt": "x"}], "author_rotateKeys": [], "system_peers": []}


def test_pages_should_be_denied_what_uses_the_machine_unless_named(tmp_path):
    node = DevNode(tmp_path, ["--rpc-cors", "https://a.example,https://b.example"])
    try:
        node.ready()
        own = f"http://127.0.0.1:{node.rpc}"
        for ask in (from_page, over_websocket):
            for stranger in ("https://evil.example", "http://127.0.0.1:1", "null", "https://polkadot.js.org"):
                for method, params in UNSAFE.items():
                    assert ask(node, stranger, method, *params)["error"]["code"] == -32601, (stranger, method)
                assert "--rpc-cors" in ask(node, stranger, "aria_receipts")["error"]["message"]
                # What every node of the chain tells everybody.
                assert ask(node, stranger, "system_chain")["result"] == "ARIA Development"
            for page in ("https://a.example", "https://b.example", own):
                assert ask(node, page, "aria_receipts")["result"]["receipts"] == []
                assert ask(node, page, "system_peers")["result"] == []
        assert over_websocket(node, None, "aria_receipts")["result"]["receipts"] == []
    finally:
        node.close()


def test_development_chains_should_name_no_pages_by_themselves(dev_node):
    dev_node.ready()
    for ask in (from_page, over_websocket):
        assert ask(dev_node, "https://evil.example", "aria_receipts")["error"]["code"] == -32601
        assert ask(dev_node, "https://evil.example", "author_rotateKeys")["error"]["code"] == -32601


def test_all_pages_may_be_named(tmp_path):
    node = DevNode(tmp_path, ["--rpc-cors", "all"])
    try:
        node.ready()
        assert from_page(node, "https://evil.example", "aria_receipts")["result"]["receipts"] == []
    finally:
        node.close()
