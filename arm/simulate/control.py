"""How the running parts of a simulation take commands: a line of words in, a line of JSON out, over a Unix socket.

The answer to a command that can not be carried out is {"error": "why"}. One thread serves one caller after the other:
these are commands of a person or a test, a few in a second. Whoever can reach the socket file may command.
"""

from __future__ import annotations

import contextlib
import json
import logging
import shlex
import socket
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

log = logging.getLogger(__name__)

_LINE: Final = 64 * 1024
_IDLE: Final = 60.0


class ControlServer:
    """Serves commands on a socket file that only its owner may open. `stop` removes the file."""

    def __init__(self, path: Path, handle: Callable[[Sequence[str]], Any]) -> None:
        """`handle` gets the words of a line and gives what JSON can say; ValueError refuses. It runs on the thread."""
        self._path = path
        self._handle = handle
        self._stopping = False
        with contextlib.suppress(FileNotFoundError):
            path.unlink()
        self._sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._sock.bind(str(path))
        path.chmod(0o600)
        self._sock.listen(8)
        self._thread = threading.Thread(target=self._run, name="control", daemon=True)

    def start(self) -> None:
        """Begin to serve."""
        self._thread.start()

    def stop(self) -> None:
        """Serve no more."""
        self._stopping = True
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_RDWR)
        self._sock.close()
        with contextlib.suppress(FileNotFoundError):
            self._path.unlink()

    def _run(self) -> None:
        while not self._stopping:
            try:
                caller, _ = self._sock.accept()
            except OSError:
                return
            with caller, contextlib.suppress(OSError):
                caller.settimeout(_IDLE)
                with caller.makefile("rwb") as stream:
                    while line := stream.readline(_LINE):
                        stream.write(json.dumps(self._answer(line)).encode() + b"\n")
                        stream.flush()

    def _answer(self, line: bytes) -> Any:
        try:
            return self._handle(shlex.split(line.decode()))
        except (ValueError, IndexError) as error:
            return {"error": str(error) or "words are missing"}
        except Exception as error:
            log.exception("command failed line=%r", line)
            return {"error": f"{type(error).__name__}: {error}"}


class CommandError(Exception):
    """The other side answered with an error."""


def ask(path: Path, *words: object, timeout: float = 30.0) -> Any:
    """Send one command; what came back. CommandError if it was refused, OSError if nobody is there."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.settimeout(timeout)
        sock.connect(str(path))
        with sock.makefile("rwb") as stream:
            stream.write(shlex.join(map(str, words)).encode() + b"\n")
            stream.flush()
            line = stream.readline()
    if not line:
        raise ConnectionResetError(f"{path} closed without an answer")
    answer = json.loads(line)
    if isinstance(answer, dict) and "error" in answer:
        raise CommandError(answer["error"])
    return answer
