"""Calls MlflowClient for the demo. Runs in MLflow's own environment.

In: a line of JSON, [{"call": method, "arguments": {…}}, …]; several are made at the same time.
Out: a line with one answer each, {"version": …, "done_at": Unix seconds} or {"error": text}.
"""

# pyright: basic, reportMissingImports=false

import json
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from mlflow import MlflowClient

AT_ONCE = 8


def main(uri: str) -> None:
    client = MlflowClient(tracking_uri=uri, registry_uri=uri)

    def make(request: dict[str, Any]) -> dict[str, Any]:
        try:
            answer = getattr(client, request["call"])(**request["arguments"])
        except Exception as error:  # noqa: BLE001 - the other side decides what an error means
            return {"error": f"{type(error).__name__}: {error}"}
        return {"version": getattr(answer, "version", None), "done_at": time.time()}

    with ThreadPoolExecutor(AT_ONCE) as pool:
        print("[]", flush=True)  # ready
        for line in sys.stdin:
            print(json.dumps(list(pool.map(make, json.loads(line)))), flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
