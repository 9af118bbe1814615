"""Tables of what works with which client: made by tests, and compared with the documents."""

import datetime
import platform
from pathlib import Path

from harness import ROOT, target_dir


def machine() -> str:
    info = Path("/proc/cpuinfo")
    names = [line.split(":", 1)[1].strip() for line in info.read_text().splitlines() if line.startswith("model name")]
    return f"{names[0] if names else platform.machine()}, {len(names)} threads" if info.exists() else platform.machine()


def header(features) -> list[str]:
    return ["| client | " + " | ".join(features) + " |", "|---" * (1 + len(features)) + "|"]


def row(client: str, cells) -> str:
    return f"| {client} | " + " | ".join("yes" if cell else "no" for cell in cells) + " |"


def should_be_in_the_documents(lines: list[str], name: str, test: str) -> None:
    """Writes a table into the folder of build results; fails when docs/clients.md has other rows."""
    made = f"Made by `tests/e2e/run -k {test}` on {datetime.date.today()}, {machine()}."
    target = target_dir().parent / name
    target.write_text("\n".join([made, "", *lines, ""]))
    document = (ROOT / "docs" / "clients.md").read_text()
    missing = [line for line in lines if line not in document]
    assert not missing, f"docs/clients.md lacks these rows of {target}: {missing}"
