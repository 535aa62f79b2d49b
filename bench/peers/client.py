"""The parent's end of worker.py and of user.py: a peer in its own interpreter, timed request by request."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

WORKER = Path(__file__).with_name("worker.py")


class Peer:
    """A worker process that stays alive between requests, with the variables given besides those of this process."""

    def __init__(self, name: str, python: str, script: Path = WORKER, **variables: str) -> None:
        self.name = name
        self._process = subprocess.Popen(
            [python, str(script)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=os.environ | variables,
        )

    def ask(self, **case: Any) -> dict[str, Any]:
        """Send one request and wait for its answer."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(json.dumps({"peer": self.name, **case}), file=self._process.stdin, flush=True)
        line = self._process.stdout.readline()
        answer: dict[str, Any] = json.loads(line) if line else {"error": "the worker died"}
        if "error" in answer:
            raise RuntimeError(f"{self.name}: {answer['error']}")
        return answer

    def seconds(self, **case: Any) -> float:
        """Seconds of one run of a case, without compilation."""
        return float(self.ask(**case)["seconds"][0])

    def close(self) -> None:
        """Let the worker end."""
        self._process.communicate()
