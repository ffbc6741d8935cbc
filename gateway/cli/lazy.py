"""A command group that imports a command's module only when that command is resolved."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any, ClassVar

import typer
from typer.core import TyperCommand, TyperGroup

from .interrupts import interrupts_held


class LazyGroup(TyperGroup):
    """A group whose commands are the modules of a package: `package.NAME` defines NAME, a function or a Typer group.

    Help pages and suggestions need names and short helps alone, so `--help` imports no command.
    """

    package: ClassVar[str]
    short_help_of: ClassVar[Mapping[str, str]]

    def __init__(self, **settings: Any) -> None:  # noqa: ANN401 - Typer's own
        super().__init__(**settings)
        self.commands = {name: TyperCommand(name, short_help=text) for name, text in self.short_help_of.items()}

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[Any, Any, list[str]]:  # noqa: ANN401 - Typer's own
        """Return the command that `args` begins with, imported. Raises Typer's usage error for an unknown name."""
        name, known, rest = super().resolve_command(ctx, args)
        return name, known and load(self.package, str(known.name)), rest


def load(package: str, name: str) -> Any:  # noqa: ANN401 - a command class that releases of Typer name differently
    """Import the module of a command and return its command object."""
    with interrupts_held():
        command = getattr(import_module(f"{package}.{name}"), name)
    if not isinstance(command, typer.Typer):
        function, command = command, typer.Typer(add_completion=False, rich_markup_mode=None)
        command.command(name)(function)
    return typer.main.get_command(command)
