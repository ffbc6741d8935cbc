"""The entry point of `tollbook`: streams, exit codes, interrupts. The commands are in `commands`.

The answer is on stdout, everything else on stderr; only a bad answer exits 1. An uncaught exception and Typer's own
handling of a broken pipe would exit 1 too, so `main` replaces Typer's and turns every outcome into a line and a code.
"""

from __future__ import annotations

import gc
import io
import os
import signal
import sys
import threading
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

_REPEAT_SECONDS = 0.01
"""The time in which the finalizer that an interrupt hit comes to its end."""

COMPLETE = "_TOLLBOOK_COMPLETE"
"""The variable with which a shell asks for completions, as Typer's scripts set it."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code. `argv` lacks the program's name."""
    words = list(sys.argv[1:] if argv is None else argv)
    gc.set_threshold(200_000, 20, 100)  # a command makes many objects and few cycles: it collects less often
    try:
        _prepare_streams()
        with _warnings_on_stderr("--json" in words), _lost_interrupts_repeated():
            code = _run(words)
        sys.stdout.flush()
    except KeyboardInterrupt as interrupt:
        _drop_stdout()  # its reader may have stopped reading
        code = _interrupted(interrupt, "--json" in words)
    except BrokenPipeError:
        code = 141
    except Exception as error:  # noqa: BLE001 - the last resort: every error becomes a line and a code
        code = _report(error, "--json" in words)
    if argv is None:  # this is the program: a further Ctrl-C must not interrupt the interpreter's end
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        sys.stdout.flush()
    except (OSError, ValueError):
        _drop_stdout()
    return code


def _run(words: list[str]) -> int:
    from .interrupts import interrupts_held

    with interrupts_held():
        import typer

        from .commands import app

    command = typer.main.get_command(app)
    try:
        if COMPLETE in os.environ:  # a shell asks for completions: Typer answers them in its own entry point
            command.main(words, prog_name="tollbook")
        with command.make_context("tollbook", words) as context:
            return command.invoke(context) or 0
    except typer.Exit as exit:
        return exit.exit_code
    except SystemExit as exit:  # how Typer ends after completions
        return int(exit.code or 0)
    except typer.Abort as abort:
        raise KeyboardInterrupt from abort


@contextmanager
def _warnings_on_stderr(as_json: bool) -> Iterator[None]:
    """Write the warnings about a log that is opened to stderr, each once, in the format of `errors.warning`."""
    written = set()

    def write(message: Warning | str, category: type[Warning], *where: object, **more: object) -> None:
        from . import errors

        if (text := str(message)) not in written:
            written.add(text)
            with suppress(OSError, ValueError):
                errors.write_warning(text, getattr(message, "hint", "report this"), as_json)

    with warnings.catch_warnings():
        warnings.filterwarnings("always", message=".*write-ahead file")
        warnings.showwarning = write
        yield


@contextmanager
def _lost_interrupts_repeated() -> Iterator[None]:
    """Repeat a Ctrl-C that arrived in a finalizer or a callback, where Python drops the exception with a traceback."""
    hook, main_thread = sys.unraisablehook, threading.main_thread().ident

    def repeat(lost: sys.UnraisableHookArgs) -> None:
        if isinstance(lost.exc_value, KeyboardInterrupt) and main_thread is not None:
            threading.Timer(_REPEAT_SECONDS, signal.pthread_kill, (main_thread, signal.SIGINT)).start()
        else:
            hook(lost)

    if hasattr(signal, "pthread_kill"):
        sys.unraisablehook = repeat
    try:
        yield
    finally:
        sys.unraisablehook = hook


def _report(error: Exception, as_json: bool) -> int:
    from . import errors

    known = errors.as_ledger_error(error)
    with suppress(OSError, ValueError):
        if os.environ.get("TOLLBOOK_DEBUG") == "1":
            import traceback

            traceback.print_exception(error, file=sys.stderr)
        sys.stderr.write((errors.as_json(known) if as_json else errors.as_line(known)) + "\n")
        sys.stderr.flush()
    return errors.exit_code(known)


def _interrupted(interrupt: KeyboardInterrupt, as_json: bool) -> int:
    if not as_json:
        with suppress(OSError, ValueError):
            sys.stderr.write("; ".join(["tollbook: interrupted", *getattr(interrupt, "__notes__", ())]) + "\n")
    return 130


def _prepare_streams() -> None:
    if sys.stdout is None:  # the caller closed it
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 - for as long as the process lives
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
    if isinstance(sys.stdout, io.TextIOWrapper):
        encoding = sys.stdout.encoding if sys.stdout.isatty() else "utf-8"
        sys.stdout.reconfigure(encoding=encoding, errors="backslashreplace")


def _drop_stdout() -> None:
    """Discard what is not written yet, so that the interpreter neither fails on it nor waits as it exits."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    sys.exit(main())
