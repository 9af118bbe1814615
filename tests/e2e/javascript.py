"""Runs a script of js/ with the npm packages of the end-to-end tests."""

import json
import os
import subprocess
from pathlib import Path

HERE = Path(__file__).resolve().parent
PACKAGES = Path(os.environ.get("ARIA_E2E_JS", "/nonexistent"))


def package_version(package: str) -> str:
    return json.loads((PACKAGES / "node_modules" / package / "package.json").read_text())["version"]


def run_script(name: str, *arguments: str, timeout: float = 120.0):
    """The JSON that a script prints last."""
    # Beside its node_modules, because imports resolve from the importing file; one for each of the tests that run at once.
    script = PACKAGES / f"{Path(name).stem}-{os.getpid()}.mjs"
    script.write_bytes((HERE / "js" / name).read_bytes())
    try:
        done = subprocess.run(["node", script, *arguments], capture_output=True, text=True, timeout=timeout)
    finally:
        script.unlink()
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout.strip().splitlines()[-1])
