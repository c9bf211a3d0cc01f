"""What a start does not need is loaded later, by who needs it."""

import subprocess
import sys


def test_a_start_loads_no_client_that_an_ingress_never_uses() -> None:
    code = "import sys, tidegate.app.adapters, tidegate.cli.main; sys.exit('aiohttp' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
