"""A local chain that is Foundry's anvil, as a process of its own."""

from __future__ import annotations

import contextlib
import os
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

# The shell waits for the end of its input, which comes when we close it or die, in whatever way, and ends anvil. The
# signal that Linux can send at a parent's death comes already when the thread dies that started the process.
_GUARD = '"$@" </dev/null & anvil=$!; echo "$anvil"; exec >/dev/null 2>&1; read -r _; kill "$anvil"; wait'


def find_anvil() -> Path | None:
    """Return the program: TOLLBOOK_ANVIL, or on PATH, or in node_modules (of the current folder, or beside this file).

    None where there is none, and on systems without a POSIX shell. Raises BadData where TOLLBOOK_ANVIL names none.
    """
    if os.name != "posix":
        return None
    if named := os.environ.get("TOLLBOOK_ANVIL"):
        if not os.access(named, os.X_OK) or Path(named).is_dir():
            raise BadData(f"TOLLBOOK_ANVIL names no program: {named}", "give the path of the anvil binary, or unset it")
        return Path(named)
    if on_path := shutil.which("anvil"):
        return Path(on_path)
    for folder in (Path.cwd(), Path(__file__).parent):
        for found in sorted(folder.glob("node_modules/@foundry-rs/anvil-*/bin/anvil*")):
            if os.access(found, os.X_OK):
                return found
    return None


class Anvil(LocalChain):
    """One anvil process at a port of this machine, which ends when this object is closed or this process dies.

    `block_time` mines every so many seconds, `automine=False` only on request; otherwise each transaction is mined when
    it comes. `base_fee` (wei) is the first block's. `state` is a file that is loaded if it exists and written on close;
    `timestamp` the first block's; `port` 0 is a free one. Raises ChainUnavailable where anvil is missing or does not
    start.

    Where it differs from nodes at large: it answers before it mines (see `mined`); a re-organisation puts nothing back
    into the pool; a transaction whose fee is below the base fee of a block that is mined is thrown out of the pool.
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
            start_new_session=True,  # Ctrl-C is for us; we end it in order
        )
        assert self._process.stdout is not None
        self.pid = int(self._process.stdout.readline())
        said: deque[str] = deque(maxlen=20)
        for line in self._process.stdout:
            if line.startswith("Listening on "):
                self.url = f"http://{line.split()[-1]}"
                break
            said.append(line.strip())
        else:
            self.close()
            raise ChainUnavailable(f"anvil did not start: {' '.join(said).strip()}", "correct the options")
        # It writes a line for each request, and would stand still if nobody read them.
        self._reader = threading.Thread(target=_drain, args=(self._process.stdout,), name="anvil's output", daemon=True)
        self._reader.start()

    def close(self) -> None:
        """End the process, and wait until it is gone."""
        process = self._process
        assert process.stdin is not None
        assert process.stdout is not None
        if process.stdin.closed:
            return
        process.stdin.close()
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        if reader := getattr(self, "_reader", None):
            reader.join()
        process.stdout.close()


def _drain(lines: Iterable[str]) -> None:
    for _ in lines:
        pass
