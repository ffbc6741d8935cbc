"""The meaning of a trace's columns, by the names that people give them.

Names are compared by their letters and digits alone, in any case: `Input_Tokens`, ` input tokens`, `inputTokens` and
`input-tokens` are one name. What is meant by it is known for the names below, which are those of public traces and of
the usage that providers, proxies and tracers report. A column of another name is usage only where it is asked for.

The customer is in the column that is asked for; else in `subscriber` or `user_id`; else in the one column that is named
like a customer (`CUSTOMERS`). Where there are two of these, which of them pays must be said.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from functools import cache
from typing import NamedTuple

from ledger.errors import BadData

from .lines import shown

_KNOWN = {
    "input_tokens": """input_tokens prompt_tokens context_tokens request_tokens num_prefill_tokens prefill_tokens
        num_input_tokens num_prompt_tokens n_prompt_tokens n_context_tokens n_context_tokens_total input_length
        prompt_length input_len prompt_len prompt_size input_token_count prompt_token_count tokens_input tokens_in
        tokens_prompt usage.input_tokens usage.prompt_tokens usage_input_tokens usage_input_tokens_no_cache
        usage_metadata.prompt_token_count gen_ai.usage.input_tokens gen_ai.usage.prompt_tokens
        llm.usage.prompt_tokens llm.token_count.prompt""",
    "output_tokens": """output_tokens completion_tokens generated_tokens response_tokens num_decode_tokens decode_tokens
        num_output_tokens num_completion_tokens n_completion_tokens n_generated_tokens n_generated_tokens_total
        output_length completion_length response_length output_len completion_len token_size output_token_count
        completion_token_count candidates_token_count tokens_output tokens_out tokens_completion usage.output_tokens
        usage.completion_tokens usage_output_tokens usage_metadata.candidates_token_count gen_ai.usage.output_tokens
        gen_ai.usage.completion_tokens llm.usage.completion_tokens llm.token_count.completion""",
    "cache_read.input_tokens": """cache_read.input_tokens cache_read_tokens cached_tokens cached_input_tokens
        input_cached_tokens tokens_cached cached_content_token_count prompt_tokens_details.cached_tokens
        input_tokens_details.cached_tokens usage.cache_read_input_tokens usage.prompt_tokens_details.cached_tokens
        usage.input_tokens_details.cached_tokens usage_input_tokens_cache_read gen_ai.usage.cache_read.input_tokens
        llm.token_count.prompt_details.cache_read""",
    "cache_creation.input_tokens": """cache_creation.input_tokens cache_creation_tokens cache_write_tokens
        cache_write_input_tokens usage.cache_creation_input_tokens gen_ai.usage.cache_creation.input_tokens
        llm.token_count.prompt_details.cache_write""",
    "reasoning.output_tokens": """reasoning.output_tokens reasoning_tokens output_reasoning_tokens tokens_reasoning
        thoughts_token_count completion_tokens_details.reasoning_tokens output_tokens_details.reasoning_tokens
        usage.completion_tokens_details.reasoning_tokens usage.output_tokens_details.reasoning_tokens
        gen_ai.usage.reasoning.output_tokens gen_ai.usage.reasoning_tokens llm.token_count.completion_details.reasoning
        """,
    "text_tokens": "text_tokens",
    "image_tokens": "image_tokens",
    "audio_tokens": "audio_tokens",
    "video_tokens": "video_tokens",
    "images": "images num_images",
    "seconds": "seconds",
    "calls": "calls num_calls num_requests num_model_requests",
}
TIME, ELAPSED = "timestamp", "arrival"
_OTHERS = {
    TIME: "timestamp ts time date_time start_time created_at request_created_at",
    ELAPSED: "arrived_at arrival_time arrival_timestamp",
    "subscriber": "subscriber user_id",
    "plan": "plan",
    "agent": "agent",
    "model": "model model_name gen_ai.request.model",
}
CUSTOMERS = """user customer customer_id client client_id account account_id tenant tenant_id org org_id organization
    organization_id"""
"""Names of columns that are those of a customer, where no column is asked for and none has a surer name."""
LABELS = ("subscriber", "plan", "agent", "model")

_NO_USAGE = {"id", "ids", "uuid", "guid", "hash", "hashes", "timestamp", "timestamps", "date", "datetime"}
_MONEY = {"price", "prices", "cost", "costs", "spend"}
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")


def plain(name: str) -> str:
    """A name's letters and digits, in one case: what is compared."""
    return "".join(sign for sign in name.casefold() if sign.isalnum())


def is_usage(name: str) -> bool:
    """True if a column of that name can be counted: ids, hashes, prices and times never are."""
    words = [word.lower() for word in _WORD.findall(name)]
    return not (set(words) & _MONEY) and not (set(words[-1:]) & _NO_USAGE) and plain(name) not in _meanings(_OTHERS)


def _customer(names: Sequence[str], asked: str) -> str:
    """Return the name of the column that names the customer; empty if it is known by its own name, or there is none.
    Raises BadData for two."""
    if asked:
        return next((name for name in names if plain(name) == plain(asked)), asked)
    if any(_known().get(plain(name)) == "subscriber" for name in names):
        return ""  # it is known by its own name
    found = [name for name in names if plain(name) in _meanings({"": CUSTOMERS})]
    if len(found) > 1:
        message = f"the columns {', '.join(map(shown, found))} may each name the customer"
        raise BadData(message, "say which one it is by --column NAME=subscriber")
    return found[0] if found else ""


@cache
def _known() -> dict[str, str]:
    return _meanings(_KNOWN) | _meanings(_OTHERS)


def _meanings(of: dict[str, str]) -> dict[str, str]:
    return {plain(name): meant for meant, names in of.items() for name in names.split()}


class Columns(NamedTuple):
    """The columns of a trace: the kind of time they have (TIME, ELAPSED, or none) and its index; the indexes of labels
    and dimensions, by name; and the names of ignored columns."""

    clock: str
    time: int
    labels: dict[str, int]
    dimensions: dict[str, int]
    ignored: tuple[str, ...]


def columns(names: Sequence[str], asked: Collection[str] = (), subscriber: str = "") -> Columns:
    """Return the meaning of each column. `asked` are dimensions by the names that a policy reads: columns of such a
    name are these, and so are columns that mean the same; `subscriber` is the column that names the customer. Raises
    BadData where two columns have the same meaning."""
    customer = _customer(names, subscriber)
    wanted = {plain(name): name for name in asked}
    meaning = {_known().get(key, key): name for key, name in wanted.items()}
    meaning |= {name: name for name in asked}
    found: dict[str, int] = {}
    seen: dict[str, str] = {}
    ignored = []
    for index, name in enumerate(names):
        key = plain(name)
        meant = _known().get(key)
        if customer and customer != name and meant == "subscriber":
            ignored.append(name)
            continue
        if customer == name:
            meant = "subscriber"
        elif key in wanted and is_usage(name):
            meant = wanted[key]
        elif meant in _KNOWN:
            meant = meaning.get(meant, meant)
        if (earlier := seen.setdefault(meant or key or name, name)) is not name or names.count(name) > 1:
            raise _same(earlier, name, meant or name)
        if meant is None:
            ignored.append(name)
        else:
            found[meant] = index
    if TIME in found and ELAPSED in found:
        raise _same(names[found[TIME]], names[found[ELAPSED]], "time")
    clock = next((name for name in (TIME, ELAPSED) if name in found), "")
    return Columns(
        clock=clock,
        time=found.get(clock, -1),
        labels={name: found[name] for name in LABELS if name in found},
        dimensions={name: index for name, index in found.items() if name not in _OTHERS},
        ignored=tuple(ignored),
    )


def _same(one: str, other: str, meant: str) -> BadData:
    if one == other:
        return BadData(f"the header has the column {shown(one)} twice", "give each column a name of its own")
    found = f"the columns {shown(one)} and {shown(other)} mean the same: {shown(meant)}"
    return BadData(found, "leave one of them out, or give it another name")
