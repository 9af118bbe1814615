"""Two hundred clients and hostile ones at once on a node with a worker: `scripts/bench load`, for some seconds."""

import pytest
from load import Node, on_node

# It takes the whole machine, and counts what others would slow down.
pytestmark = pytest.mark.alone

CLIENTS, SECONDS = 200, 20.0


@pytest.fixture
def node(tmp_path):
    # A cache that is full after some seconds: from then on memory is to stay as it is.
    node = Node(tmp_path, ["--worker-cache-mib", 64])
    try:
        node.wait()
        yield node
    finally:
        node.process.stop()


def test_crowd_should_be_served_while_blocks_are_made(node):
    result = on_node(node, CLIENTS, SECONDS, attacks=1)
    assert result["errors"] == 0, result
    assert result["answers"] > 0 and result["tokens_per_second"] > 0, result
    # Everybody gets something.
    assert result["tokens_of_a_client"]["least"] > 0, result
    blocks = result["blocks"]
    assert blocks["slots"] - blocks["made"] <= 1, result
    memory = result["memory_mb"]
    assert memory["last_quarter"] - memory["second_quarter"] < 50, result
    # All of them were made, and none did harm: that would be an exception.
    assert all(count > 0 for name, count in result["attacks"].items() if name != "slow_reader"), result
    assert node.process.alive()
