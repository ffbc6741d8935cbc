"""Interrupts (such as Ctrl-C) that are placed at chosen steps of a thread, as often as a test likes."""

import dis
import linecache
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType
from typing import Any

import ledger

_ROOM = str(Path(ledger.__file__).parent)
LONG = 20
"""Seconds after which somebody is said to wait for ever."""
_AFTER = {"RESUME", "CALL", "CALL_FUNCTION_EX", "CALL_KW", "JUMP_BACKWARD"}


class Steps:
    """Raises KeyboardInterrupt after so many steps, and again so many steps later, for each of `gaps`.

    A step is a bytecode of the package `ledger`, in a file whose path has `file` in it; with `taken`, one before which
    the interpreter looks for signals: after a call, at the beginning of a function, at the end of a loop's body. Lines
    with a `with` are passed over: on the way out a trace sees them again, and there no signal is taken before the lock
    is released.
    """

    def __init__(self, gaps: Sequence[int], file: str, taken: bool = False) -> None:
        self._gaps, self._file, self._taken = list(gaps), file, taken
        self._left = self._gaps.pop(0)
        self._after: dict[FrameType, str] = {}
        self._failed: BaseException | None = None
        self.where: list[str] = []
        self.struck: FrameType | None = None

    def run(self, do: Callable[[], object]) -> None:
        """Do something in a thread of its own, and interrupt it; what it raises then is passed over."""

        def traced() -> None:
            sys.settrace(self.trace)
            try:
                do()
            except BaseException as error:  # noqa: BLE001 - it was interrupted
                if not self.where:
                    self._failed = error
            finally:
                sys.settrace(None)

        thread = threading.Thread(target=traced, daemon=True)
        thread.start()
        thread.join(LONG)
        assert not thread.is_alive(), f"it hangs after {self.where}"
        if self._failed is not None:
            raise self._failed

    def trace(self, frame: FrameType, what: str, _: Any) -> Any:
        """What `sys.settrace` takes."""
        code = frame.f_code.co_filename
        if not code.startswith(_ROOM) or self._file not in code:
            return None
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        return _Local(self)

    def strikes(self, frame: FrameType) -> bool:
        """Whether an interrupt comes before this bytecode."""
        name = dis.opname[frame.f_code.co_code[frame.f_lasti]]
        after = self._after.get(frame, "")
        self._after[frame] = name
        line = linecache.getline(frame.f_code.co_filename, frame.f_lineno or 0).strip()
        taken = after in _AFTER and name != "PUSH_EXC_INFO"  # an exception is on its way there
        if line.startswith("with ") or (self._taken and not taken) or self._left <= 0:
            return False
        self._left -= 1
        if self._left:
            return False
        self.where.append(f"{frame.f_code.co_name}:{frame.f_lineno} {name}: {line}")
        self._left = self._gaps.pop(0) if self._gaps else 0
        return True

    def raise_in(self, frame: FrameType) -> None:
        """Interrupt; the interpreter ends a trace that raises, and `_Local` begins it again."""
        self.struck = frame
        raise KeyboardInterrupt


class _Local:
    """The trace of one frame. When it has raised, the interpreter lets go of it, and it is followed by another."""

    def __init__(self, steps: Steps) -> None:
        self._steps = steps

    def __call__(self, frame: FrameType, what: str, _: Any) -> Any:
        steps = self._steps
        if what == "opcode" and steps.strikes(frame):
            del self
            steps.raise_in(frame)
        return self

    def __del__(self) -> None:
        steps = self._steps
        if steps.struck is not None:
            frame, steps.struck = steps.struck, None
            sys.settrace(steps.trace)
            frame.f_trace, frame.f_trace_opcodes = _Local(steps), True
