"""A local chain that runs Foundry's anvil in a separate process."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import threading
from collections import deque
from collections.abc import Iterable
from pathlib import Path

from ledger.errors import BadData, ChainUnavailable

from .chain import CHAIN_ID, MNEMONIC, LocalChain

INSTALL = "npm install --ignore-scripts @foundry-rs/anvil-linux-amd64@1.7.1 (or the package of your platform)"

HARDFORK = "osaka"

CLOSE_SECONDS = 120
"""The time that anvil has to end, and to write its state, before it is killed."""

# The shell waits for the end of its input and then ends anvil. Its input ends when this process closes it or dies, even
# by SIGKILL. Linux's parent-death signal would be sent as soon as the thread that started anvil ends. By itself anvil
# would leave the states of past blocks in the user's home.
_GUARD = (
    'states=$(mktemp -d) || exit; "$@" --cache-path "$states" </dev/null & anvil=$!; echo "$anvil $states"; '
    'exec >/dev/null 2>&1; read -r _; kill "$anvil"; wait; rm -rf "$states"'
)

_FAILURE = re.compile("panicked|rror")

_ENDING_SECONDS = 5
"""The time in which the end of a process is seen after its connections broke off."""


def find_anvil() -> Path | None:
    """Return anvil's path: TOLLBOOK_ANVIL, or on PATH, or in node_modules (of the current folder, or beside this file).

    None if it is not installed, and on systems without a POSIX shell. Raises BadData if TOLLBOOK_ANVIL is no program.
    """
    if os.name != "posix":
        return None
    if named := os.environ.get("TOLLBOOK_ANVIL"):
        if not os.access(named, os.X_OK) or Path(named).is_dir():
            raise BadData(
                f"TOLLBOOK_ANVIL is not the path of a program: {named}",
                "give the path of the anvil binary, or unset it",
            )
        return Path(named)
    if on_path := shutil.which("anvil"):
        return Path(on_path)
    for folder in (Path.cwd(), Path(__file__).parent):
        for program in sorted(folder.glob("node_modules/@foundry-rs/anvil-*/bin/anvil*")):
            if os.access(program, os.X_OK):
                return program
    return None


class Anvil(LocalChain):
    """An anvil process on a port of this machine. It ends when this object is closed or this process dies.

    With `block_time` (seconds) blocks are mined at that interval, with `automine=False` only on request; otherwise each
    transaction is mined when it arrives. `base_fee` (wei) and `timestamp` (UTC seconds) are the first block's. `state`
    is a file that is loaded if it exists and written on close. `port` 0 is a free one. Raises ChainUnavailable if anvil
    is missing or does not start.

    Differences from other nodes: it answers before it mines (see `mined`); a reorganisation puts no transaction back
    into the pool; a transaction whose fee is below the base fee of a mined block is dropped from the pool.
    """

    kind = "anvil"

    def __init__(
        self,
        *,
        chain_id: int = CHAIN_ID,
        automine: bool = True,
        block_time: int | None = None,
        base_fee: int | None = None,
        slots: int = 1,
        state: Path | None = None,
        timestamp: int | None = None,
        port: int = 0,
    ) -> None:
        super().__init__()
        self.chain_id, self.slots = chain_id, slots
        options: dict[str, object] = {
            "--port": port,
            "--chain-id": chain_id,
            "--hardfork": HARDFORK,
            "--mnemonic": MNEMONIC,
            "--slots-in-an-epoch": slots,
            "--block-time": block_time,
            "--block-base-fee-per-gas": base_fee,
            "--state": state,
            "--timestamp": timestamp,
        }
        given = [str(word) for name, value in options.items() if value is not None for word in (name, value)]
        self._start([*given, *([] if automine else ["--no-mining"])])

    def _start(self, options: list[str]) -> None:
        program = find_anvil()
        if program is None:
            raise ChainUnavailable("anvil is not installed", f"run: {INSTALL}")
        self._process = subprocess.Popen(
            ["sh", "-c", _GUARD, "sh", str(program), *options],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
            start_new_session=True,  # Ctrl-C must not reach anvil: `close` ends it in order
        )
        self._output: deque[str] = deque(maxlen=20)
        self._reader: threading.Thread | None = None
        self._states = ""
        try:
            self._read_address()
        except BaseException:
            self.close()
            raise

    def _read_address(self) -> None:
        output = self._process.stdout
        assert output is not None
        process, _, states = (first := output.readline().strip()).partition(" ")
        if not process.isdigit():
            raise ChainUnavailable(f"anvil did not start: {first}", "correct the cause, and start it again")
        self.pid, self._states = int(process), states
        for line in output:
            if line.startswith("Listening on "):
                self.url = f"http://{line.split()[-1]}"
                break
            self._output.append(line.strip())
        else:
            raise ChainUnavailable(f"anvil did not start: {' '.join(self._output).strip()}", "correct the options")
        # It writes a line for each request, and would block if they were not read.
        self._reader = threading.Thread(target=self._read, args=(output,), name="anvil's output", daemon=True)
        self._reader.start()

    def _read(self, output: Iterable[str]) -> None:
        self._output.extend(line.strip() for line in output)

    def close(self) -> None:
        """End the process, and wait until it has ended."""
        process = self._process
        assert process.stdin is not None
        assert process.stdout is not None
        if process.stdin.closed:
            return
        process.stdin.close()
        try:
            process.wait(timeout=CLOSE_SECONDS)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            if self._states:  # the shell was killed too
                shutil.rmtree(self._states, ignore_errors=True)
        if self._reader is not None:
            self._reader.join()
        process.stdout.close()

    def ended(self) -> str:
        assert self._process.stdin is not None
        if self._process.stdin.closed:
            return "it was closed"
        assert self._reader is not None
        self._reader.join(_ENDING_SECONDS)  # its output ends with it
        if self._reader.is_alive():
            return ""
        last_words = next((line for line in reversed(self._output) if _FAILURE.search(line)), None)
        return f"anvil (process {self.pid}) has ended: {last_words or 'it was killed, perhaps for lack of memory'}"
