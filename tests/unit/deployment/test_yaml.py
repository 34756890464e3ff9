"""What is written in YAML: no key twice, no indentation by chance."""

import subprocess
import sys
from pathlib import Path

from tests.fixtures.manifests import DOCKER, ROOT


def test_yamllint_has_nothing_to_say() -> None:
    yamllint = Path(sys.executable).with_name("yamllint")
    done = subprocess.run(
        [yamllint, "--strict", "-c", ROOT / ".yamllint.yaml", DOCKER],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, "")
