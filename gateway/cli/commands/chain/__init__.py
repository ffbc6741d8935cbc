"""`tollbook chain up|deploy|status`: one module each, imported when the command is run.

They need the packages of the extra `evm`. A module imports those, and what imports them, inside its functions, after
`check_extra`, so that its help can be read without them.
"""

from __future__ import annotations

import typer

from ...lazy import LazyGroup


class ChainCommands(LazyGroup):
    """The commands under `tollbook chain`. Each short help is the first sentence of the command's own help."""

    package = __name__
    short_help_of = {  # noqa: RUF012 - never changed
        "up": "Run a local EVM chain with the contract, a test token and funded accounts.",
        "deploy": "Deploy the settlement contract on a chain.",
        "status": "Show the settlement contract, and any problem that would stop a settlement.",
    }


chain = typer.Typer(name="chain", cls=ChainCommands, rich_markup_mode=None, add_completion=False)


@chain.callback()
def _chain() -> None:
    """Run, deploy and inspect the settlement contract on EVM chains.

    \b
    Examples:
      tollbook chain up
      tollbook chain deploy --help
      tollbook chain status --help

    TOLLBOOK_EVM_URL is the node's URL. The key comes from TOLLBOOK_EVM_KEY, or from the keystore file that
    TOLLBOOK_EVM_KEYSTORE names; never from an argument, which other users of the machine could read.
    """


def check_extra() -> None:
    """Raise MissingExtra if a package of the extra `evm` is not installed."""
    import chains.evm.node  # noqa: F401 - raises it
