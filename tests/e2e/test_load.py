"""Two hundred clients and hostile ones at once on a node with a worker: `scripts/bench load`, for some seconds."""

import pytest
from load import Node, on_node

# It takes the whole machine, and counts what others would slow down.
pytestmark = pytest.mark.alone

CLIENTS, SECONDS = 200, 20.0


@pytest.fixture
def node(tmp_path):
    # A cache that is full after some seconds: from then on memory is to stay as it is.
    node = Node(tmp_path, cache_mib=64)
    try:
        node.wait()
        yield node
    finally:
        node.stop()


def test_crowd_should_be_served_while_blocks_are_made(node):
    result = on_node(node, CLIENTS, SECONDS, attacks=1)
    assert result["errors"] == 0, result
    assert result["answers"] > 0 and result["tokens_per_second"] > 0, result
    # Nobody has much more than others: an even half of them with all would be 0.5. A single client may have nothing after
    # so short a time: half of them are refused at first, come back after the two seconds that they are told, as OpenAI's
    # clients do, and find a place one time in two or three. In two minutes all have had thousands of tokens.
    assert result["tokens_of_a_client"]["jain_index"] > 0.5, result
    blocks = result["blocks"]
    assert blocks["slots"] - blocks["made"] <= 1, result
    memory = result["memory_mb"]
    assert memory["last_quarter"] - memory["second_quarter"] < 50, result
    # All of them were made, and none did harm: that would be an exception. Two wait for the server's patience to end.
    waiting = {"half_open", "slow_reader"}
    assert all(count > 0 for name, count in result["attacks"].items() if name not in waiting), result
    assert all(process.alive() for process in node.processes)
