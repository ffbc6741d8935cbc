"""The command `tollbook`. What it answers is on stdout, everything else on stderr; only bad answers exit 1.

An uncaught exception and Typer's own broken pipe would exit 1 too, so Typer's `main` is passed by: `main` here runs the
command and turns whatever happens into a line and a code.
"""

from __future__ import annotations

import io
import os
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; the exit code. `argv` is without the program's name."""
    words = list(sys.argv[1:] if argv is None else argv)
    try:
        _prepare_streams()
        with _told_warnings("--json" in words):
            code = _run(words)
        sys.stdout.flush()
    except KeyboardInterrupt as interrupt:
        _drop_stdout()  # who reads it may have stopped reading
        code = _interrupted(interrupt, "--json" in words)
    except BrokenPipeError:
        code = 141
    except Exception as error:  # noqa: BLE001 - the last door: whatever it was becomes a line and a code
        code = _report(error, "--json" in words)
    try:
        sys.stdout.flush()
    except (OSError, ValueError):
        _drop_stdout()
    return code


def _run(words: list[str]) -> int:
    import typer

    from .commands import app

    command = typer.main.get_command(app)
    try:
        with command.make_context("tollbook", words) as context:
            return command.invoke(context) or 0
    except typer.Exit as exit:
        return exit.exit_code
    except typer.Abort as abort:
        raise KeyboardInterrupt from abort


@contextmanager
def _told_warnings(as_json: bool) -> Iterator[None]:
    """What a log says of itself as it is opened is told on stderr, once, as a line of ours."""
    told = set()

    def tell(message: Warning | str, category: type[Warning], *where: object, **more: object) -> None:
        from . import errors

        if (text := str(message)) not in told:
            told.add(text)
            with suppress(OSError, ValueError):
                sys.stderr.write(errors.warning(text, getattr(message, "hint", "report this"), as_json) + "\n")

    with warnings.catch_warnings():
        warnings.filterwarnings("always", message=".*write-ahead file")
        warnings.showwarning = tell
        yield


def _report(error: Exception, as_json: bool) -> int:
    from . import errors

    known = errors.understood(error)
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
    if sys.stdout is None:  # closed by the caller
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 - for as long as the process lives
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
    if isinstance(sys.stdout, io.TextIOWrapper):
        encoding = sys.stdout.encoding if sys.stdout.isatty() else "utf-8"
        sys.stdout.reconfigure(encoding=encoding, errors="backslashreplace")


def _drop_stdout() -> None:
    """What was not written yet goes nowhere, so that the interpreter does not fail on it, or wait, at its very end."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    sys.exit(main())
