"""Reading traces: what good files mean, and what is said about each kind of bad one."""

from __future__ import annotations

import os
import string
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ledger.errors import BadData, NotFound
from replay.workload.traces import Row, Source, read

AZURE = b"TIMESTAMP,ContextTokens,GeneratedTokens\r\n"
AZURE_ROW = b"2023-11-16 18:15:46.6805900,374,44"
BURST = b"Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type\n"
PLAIN = b"timestamp,subscriber,input_tokens\n"
PLAIN_ROW = b"2026-01-25T00:00:00Z,ann,5\n"


def microseconds(text: str) -> int:
    moment = datetime.fromisoformat(text)
    return int(moment.timestamp()) * 1_000_000 + moment.microsecond


@pytest.fixture
def file(tmp_path: Path):
    def write(content: bytes, name: str = "trace.csv") -> Path:
        path = tmp_path / name
        path.write_bytes(content)
        return path

    return write


def published(name: str) -> Path:
    """A file of TOLLBOOK_TRACES, the folder of the real traces."""
    folder = os.environ.get("TOLLBOOK_TRACES")
    if not folder:
        pytest.skip(f"set TOLLBOOK_TRACES to a folder with {name} to test on the real data")
    path = Path(folder, name)
    if not path.exists():
        pytest.skip(f"there is no {name} in TOLLBOOK_TRACES ({folder})")
    return path


# Good files


def test_an_azure_trace(file):
    """Line ends of two bytes, none at the end, and fractions of seven digits, the last of which is cut off."""
    trace = read(file(AZURE + AZURE_ROW + b"\r\n2023-11-16 18:15:50.9951699,396,109"))
    assert trace.source == Source(kind="azure", file=trace.source.file, rows=2, skipped=0, seed=0)
    assert trace.rows == [
        Row(at=microseconds("2023-11-16T18:15:46.680590+00:00"), usage={"input_tokens": 374, "output_tokens": 44}),
        Row(at=microseconds("2023-11-16T18:15:50.995169+00:00"), usage={"input_tokens": 396, "output_tokens": 109}),
    ]


def test_a_burstgpt_trace(file):
    """Seconds count from 2023; a failure stays a row, with no output."""
    trace = read(file(BURST + b"5,ChatGPT,472,18,490,Conversation log\n86400.25,GPT-4,30,0,30,API log\n"))
    assert trace.source.kind == "burstgpt"
    assert trace.rows == [
        Row(
            at=microseconds("2023-01-01T00:00:05+00:00"),
            model="ChatGPT",
            usage={"input_tokens": 472, "output_tokens": 18},
        ),
        Row(
            at=microseconds("2023-01-02T00:00:00.250000+00:00"),
            model="GPT-4",
            usage={"input_tokens": 30, "output_tokens": 0},
        ),
    ]


def test_a_burstgpt_trace_with_further_columns(file):
    header = b"Timestamp,Session ID,Elapsed time,Model,Request tokens,Response tokens,Total tokens,Log Type\n"
    [row] = read(file(header + b"5.0,,0.75,ChatGPT,472,18,490,API log\n")).rows
    assert row.usage == {"input_tokens": 472, "output_tokens": 18}


def test_a_plain_trace_has_any_dimensions(file):
    trace = read(
        file(
            b"timestamp,model,subscriber,plan,agent,input_tokens,cache_read.input_tokens,seconds\n"
            b'2026-01-25T12:00:00+01:00,"m,1",ann,pro,search,5,0,2\n'
        )
    )
    assert trace.source.kind == "csv"
    assert trace.rows == [
        Row(
            at=microseconds("2026-01-25T11:00:00+00:00"),
            subscriber="ann",
            plan="pro",
            agent="search",
            model="m,1",
            usage={"input_tokens": 5, "cache_read.input_tokens": 0, "seconds": 2},
        )
    ]


def test_an_empty_field_of_a_plain_trace_says_nothing(file):
    [row] = read(file(b"timestamp,subscriber,calls,seconds\n2026-01-25,,,3\n")).rows
    assert (row.subscriber, row.usage) == (None, {"seconds": 3})


def test_a_plain_trace_may_have_nothing_but_times(file):
    [row] = read(file(b"timestamp\n2026-01-25\n")).rows
    assert row.usage == {}


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("2026-01-25", "2026-01-25T00:00:00+00:00"),
        ("2026-01-25T10:30", "2026-01-25T10:30:00+00:00"),
        ("2026-01-25 10:30:15", "2026-01-25T10:30:15+00:00"),
        ("2026-01-25T10:30:15.5Z", "2026-01-25T10:30:15.500000+00:00"),
        ("2026-01-25T10:30:15.123456789+05:30", "2026-01-25T05:00:15.123456+00:00"),
        ("2026-01-25T10:30:15-0800", "2026-01-25T18:30:15+00:00"),
        ("2024-02-29T23:59:59.999999z", "2024-02-29T23:59:59.999999+00:00"),
        ("1970-01-01T00:00:00Z", "1970-01-01T00:00:00+00:00"),
    ],
)
def test_a_time_with_and_without_a_zone(file, written, meant):
    [row] = read(file(f"timestamp\n{written}\n".encode())).rows
    assert row.at == microseconds(meant)


def test_a_byte_order_mark_and_blank_lines_are_passed_over(file):
    trace = read(file(b"\xef\xbb\xbf" + PLAIN + b"\n" + PLAIN_ROW + b"\r\n\n"))
    assert [row.subscriber for row in trace.rows] == ["ann"]
    assert trace.source.skipped == 0


def test_rows_come_out_in_the_order_of_time_and_then_of_the_file(file):
    content = b"timestamp,subscriber\n2026-01-03,late\n2026-01-01,one\n2026-01-02,mid\n2026-01-01,two\n"
    assert [row.subscriber for row in read(file(content)).rows] == ["one", "two", "mid", "late"]


def test_the_largest_number_of_tokens_is_read_exactly(file):
    [row] = read(file(PLAIN + b"2026-01-25,ann,9223372036854775807\n")).rows
    assert row.usage == {"input_tokens": 2**63 - 1}


# The column of customers


@pytest.mark.parametrize(
    "name",
    [
        "user",
        "User ID",
        "customer",
        "customer_id",
        "Customer-ID",
        "client",
        "account",
        "tenant",
        "org",
        "organizationId",
    ],
)
def test_the_customer_is_in_the_column_that_is_named_like_one(file, name):
    trace = read(file(f"timestamp,{name},calls\n2026-01-25,ann,1\n".encode()))
    assert ([row.subscriber for row in trace.rows], trace.source.ignored) == (["ann"], ())


def test_a_surer_name_comes_first_and_of_two_others_one_must_be_asked_for(file):
    trace = read(file(b"timestamp,org,user_id,calls\n2026-01-25,acme,ann,1\n"))
    assert (trace.rows[0].subscriber, trace.source.ignored) == ("ann", ("org",))
    path = file(b"timestamp,org,client,calls\n2026-01-25,acme,ann,1\n")
    with pytest.raises(BadData, match="'org', 'client' may each name the customer") as raised:
        read(path)
    assert "--column NAME=subscriber" in raised.value.hint
    assert read(path, subscriber="org").rows[0].subscriber == "acme"


@pytest.mark.parametrize("text", ["timestamp,subscriber,Payer,calls\n2026-01-25,x,ann,1\n", None])
def test_the_column_that_is_asked_for_names_the_customer(file, text):
    content = text or '{"timestamp":"2026-01-25","subscriber":"x","payer":"ann","calls":1}\n'
    trace = read(file(content.encode()), subscriber="payer")
    assert (trace.rows[0].subscriber, trace.source.ignored) == ("ann", ("subscriber",))
    with pytest.raises(BadData, match="no column 'nothing' names a customer"):
        read(file(content.encode()), subscriber="nothing")


# Names of columns, as people write them

TWO = {"input_tokens": 5, "output_tokens": 7}


@pytest.mark.parametrize(
    "header",
    [
        "timestamp, input_tokens, output_tokens",
        "Timestamp,Input_Tokens,Output_Tokens",
        "TIMESTAMP,INPUT TOKENS,OUTPUT TOKENS",
        "timeStamp,inputTokens,outputTokens",
        "time-stamp,input-tokens,output-tokens",
        "timestamp,prompt_tokens,completion_tokens",
        "timestamp,promptTokens,completionTokens",
        "timestamp,num_prefill_tokens,num_decode_tokens",
        "timestamp,gen_ai.usage.input_tokens,gen_ai.usage.output_tokens",
        "startTime,prompt_tokens,completion_tokens",
        "request_created_at,prompt_tokens,completion_tokens",
        "created_at,usage.prompt_tokens,usage.completion_tokens",
        "arrived_at,num_prefill_tokens,num_decode_tokens",
        "timestamp,ContextTokens,GeneratedTokens",
    ],
)
def test_names_are_matched_as_people_write_them(file, header):
    trace = read(file(f"{header}\n2026-01-25T00:00:00Z,5,7\n".encode()))
    assert [row.usage for row in trace.rows] == [TWO]
    assert (set(trace.dimensions), trace.source.ignored) == (set(TWO), ())


@pytest.mark.parametrize(
    ("name", "dimension"),
    [
        ("cached_tokens", "cache_read.input_tokens"),
        ("input_cached_tokens", "cache_read.input_tokens"),
        ("Cache Read Input Tokens", "cache_read.input_tokens"),
        ("cache_creation_input_tokens", "cache_creation.input_tokens"),
        ("completion_tokens_details.reasoning_tokens", "reasoning.output_tokens"),
        ("gen_ai.usage.reasoning.output_tokens", "reasoning.output_tokens"),
        ("num_model_requests", "calls"),
    ],
)
def test_cached_and_reasoning_tokens_are_known_too(file, name, dimension):
    assert read(file(f"timestamp,{name}\n2026-01-25,5\n".encode())).rows[0].usage == {dimension: 5}


def test_labels_are_matched_like_dimensions(file):
    [row] = read(file(b"Timestamp, Subscriber,PLAN,Agent,gen_ai.request.model\n2026-01-25,ann,pro,bot,m\n")).rows
    assert (row.subscriber, row.plan, row.agent, row.model) == ("ann", "pro", "bot", "m")


@pytest.mark.parametrize("header", ["ts,user id,Model Name", "TS,User ID,model_name", "Ts,userId,modelName"])
def test_times_subscribers_and_models_have_other_common_names_too(file, header):
    trace = read(file(f"{header},input_tokens\n2026-01-25,ann,m,5\n".encode()))
    [row] = trace.rows
    assert (row.at, row.subscriber, row.model) == (microseconds("2026-01-25T00:00:00+00:00"), "ann", "m")
    assert trace.source.ignored == ()


@pytest.mark.parametrize(
    "pair",
    [
        ("input_tokens", "prompt_tokens"),
        ("input_tokens", "Input Tokens"),
        ("model", "Model"),
        ("timestamp", "Time"),
        ("order id", "order_id"),
    ],
)
def test_two_columns_that_come_to_the_same_are_an_error_that_names_both(file, pair):
    header = ",".join(dict.fromkeys(("timestamp", *pair)))
    with pytest.raises(BadData, match="mean the same") as raised:
        read(file(header.encode() + b"\n"))
    assert all(f"'{name}'" in str(raised.value) for name in pair)
    assert raised.value.line == 1


NO_USAGE = [
    "order_id",
    "sessionId",
    "ID",
    "request hash",
    "hash_ids",
    "unit_price",
    "totalCost",
    "end_timestamp",
    "Date",
]


def test_a_column_of_another_name_is_passed_over_and_told(file):
    header = "timestamp,input_tokens,total_tokens,pages," + ",".join(NO_USAGE)
    row = "2026-01-25,5,12,3," + ",".join(["x"] * len(NO_USAGE))
    trace = read(file(f"{header}\n{row}\n".encode()))
    assert trace.rows[0].usage == {"input_tokens": 5}
    assert trace.source.ignored == ("total_tokens", "pages", *NO_USAGE)


@pytest.mark.parametrize("ask", ["dimensions", "reads"])
def test_a_column_is_usage_where_it_is_asked_for(file, ask):
    path = file(b"timestamp,Input Tokens, Pages,words\n2026-01-25,5,3,9\n")
    trace = read(path, **{ask: ["pages"]})
    assert trace.rows[0].usage == {"input_tokens": 5, "pages": 3}
    assert trace.source.ignored == ("words",)
    with pytest.raises(BadData, match="'x' in the column 'pages'"):
        read(file(b"timestamp,pages\n2026-01-25,x\n"), **{ask: ["pages"]})


def test_a_dimension_has_the_name_that_its_reader_gives_it(file):
    path = file(b"timestamp,input_tokens,completion_tokens\n2026-01-25,5,7\n")
    assert read(path, reads=["prompt_tokens"]).rows[0].usage == {"prompt_tokens": 5, "output_tokens": 7}
    path = file(b"timestamp,prompt_tokens,input_tokens\n2026-01-25,5,7\n")
    assert read(path, reads=["prompt_tokens", "input_tokens"]).rows[0].usage == {"prompt_tokens": 5, "input_tokens": 7}


@pytest.mark.parametrize("name", NO_USAGE)
def test_ids_hashes_prices_and_times_are_never_usage(file, name):
    path = file(f"timestamp,input_tokens,{name}\n2026-01-25,5,7\n".encode())
    assert read(path, reads=[name]).rows[0].usage == {"input_tokens": 5}
    with pytest.raises(BadData, match="no usage"):
        read(path, dimensions=[name])


@pytest.mark.parametrize("column", ["Images", "IMAGES", "images"])
@pytest.mark.parametrize(("asked", "reader"), [("images", "Images"), ("Images", "images"), ("i-mages", "images")])
def test_a_dimension_that_is_asked_for_is_there_however_its_reader_spells_it(file, column, asked, reader):
    path = file(f"timestamp,{column}\n2026-01-25,5\n".encode())
    assert read(path, dimensions=[asked], reads=[reader]).rows[0].usage == {reader: 5}
    assert read(path, dimensions=[asked]).rows[0].usage == {asked: 5}


@pytest.mark.parametrize("time", ["1704067200", "1704067200000", "1", "1.5", "-1", "1e9"])
@pytest.mark.parametrize(("name", "row"), [("a.csv", "timestamp\n{}\n"), ("a.jsonl", '{{"timestamp": {}}}\n')])
def test_a_bare_number_as_a_time_is_refused_and_told_what_to_write(file, name, row, time):
    with pytest.raises(BadData, match=f"'{time}' is not a time: a number alone does not say its unit") as raised:
        read(file(row.format(time).encode(), name))
    assert "UTC times as 2023-11-16T18:15:46" in raised.value.hint
    assert "arrived_at" in raised.value.hint


def test_a_dimension_that_must_be_there_and_is_not_is_an_error_that_names_those_that_are(file):
    with pytest.raises(BadData, match="there is no column 'pages'; there are 'input_tokens', 'words'") as raised:
        read(file(b"timestamp,input_tokens,words\n2026-01-25,5,3\n"), dimensions=["pages"])
    assert raised.value.line == 1


# A JSON object a line


def test_a_mooncake_trace_counts_milliseconds_and_lengths(file):
    trace = read(
        file(
            b'{"timestamp": 0, "input_length": 6755, "output_length": 500, "hash_ids": [0, 1, 2]}\n'
            b'{"timestamp": 3052, "input_length": 7234, "output_length": 794, "hash_ids": [0, 28]}\n',
            "mooncake.jsonl",
        )
    )
    assert trace.source.kind == "mooncake"
    assert trace.source.ignored == ("hash_ids",)
    assert trace.rows == [
        Row(at=microseconds("2023-01-01T00:00:00+00:00"), usage={"input_tokens": 6755, "output_tokens": 500}),
        Row(at=microseconds("2023-01-01T00:00:03.052+00:00"), usage={"input_tokens": 7234, "output_tokens": 794}),
    ]


USAGE_LOG = (
    b'\xef\xbb\xbf{"created_at": "2026-01-25T00:00:01Z", "model": "m", "subscriber": 7, "id": "x", "spend": 0.5,'
    b' "usage": {"prompt_tokens": 5, "completion_tokens": 7, "prompt_tokens_details": {"cached_tokens": null}}}\r\n'
    b"\n"
    b'{"created_at": "2026-01-25T00:00:00Z", "usage": {"prompt_tokens": "6", "completion_tokens": 0}}'
)


@pytest.mark.parametrize("name", ["log.jsonl", "log.NDJSON", "log.txt", "log.csv"])
def test_a_usage_log_is_told_by_its_name_or_by_its_content(file, name):
    trace = read(file(USAGE_LOG, name))
    assert trace.source.kind == "jsonl"
    assert trace.source.ignored == ("id", "spend")
    assert trace.rows == [
        Row(at=microseconds("2026-01-25T00:00:00+00:00"), usage={"input_tokens": 6, "output_tokens": 0}),
        Row(at=microseconds("2026-01-25T00:00:01+00:00"), subscriber="7", model="m", usage=TWO),
    ]


BAD_LINES = {
    "no JSON": (b"{", "not valid JSON"),
    "no object": (b"[1]", "not a JSON object"),
    "no time": (b'{"input_tokens": 5}', "the row has no time; it has 'input_tokens'"),
    "a time that is a number": (b'{"timestamp": 1704067200, "input_tokens": 5}', "'1704067200' is not a time"),
    "a time that is neither": (b'{"timestamp": [1], "input_tokens": 5}', "'[1]' is not a time"),
    "a fraction": (b'{"timestamp": "2026-01-25", "input_tokens": 5.0}', "'5.0' in the column 'input_tokens'"),
    "an exponent": (b'{"timestamp": "2026-01-25", "input_tokens": 1e3}', "'1e3' in the column"),
    "below nothing": (b'{"timestamp": "2026-01-25", "input_tokens": -5}', "'-5' in the column"),
    "beyond 64 bits": (b'{"timestamp": "2026-01-25", "input_tokens": 9223372036854775808}', "is not a whole number"),
    "beyond everything": (b'{"timestamp": "2026-01-25", "input_tokens": 1%s}' % (b"0" * 400), "is not a whole number"),
    "true": (b'{"timestamp": "2026-01-25", "input_tokens": true}', "is not a whole number"),
    "a list": (b'{"timestamp": "2026-01-25", "input_tokens": [5]}', "is not a whole number"),
    "a name that is a list": (b'{"timestamp": "2026-01-25", "model": ["m"]}', "in 'model' is no name"),
    "two names for one": (b'{"timestamp": "2026-01-25", "input_tokens": 5, "prompt_tokens": 5}', "mean the same"),
    "a nest": (b'{"timestamp": ' + b"[" * 30_000, "not valid JSON"),
    "latin-1": ('{"timestamp": "Zoë"}'.encode("latin-1"), "is not UTF-8 text"),
    "spaces": (b"   ", "only spaces"),
}


@pytest.mark.parametrize("kind", BAD_LINES)
def test_a_bad_line_is_named_with_its_number_or_skipped(file, kind):
    line, fragment = BAD_LINES[kind]
    good = b'{"timestamp": "2026-01-25", "input_tokens": 5}\n'
    path = file(good + line + b"\n" + good, "log.jsonl")
    with pytest.raises(BadData) as raised:
        read(path)
    assert (raised.value.file, raised.value.line) == (str(path), 2)
    assert fragment in str(raised.value)
    assert str(raised.value).isprintable()
    assert raised.value.hint != BadData.hint
    trace = read(path, skip_bad=True)
    assert (trace.source.rows, trace.source.skipped) == (2, 1)


# Bad rows: the third line of a file of good ones

BAD_ROWS = {
    "negative tokens": (b"2026-01-25,ann,-5", "'-5' in the column 'input_tokens' is not a whole number"),
    "fractional tokens": (b"2026-01-25,ann,5.5", "'5.5' in the column 'input_tokens' is not a whole number"),
    "a whole float": (b"2026-01-25,ann,5.0", "'5.0' in the column"),
    "tokens beyond 64 bits": (b"2026-01-25,ann,9223372036854775808", "is not a whole number from 0 to 2^63-1"),
    "tokens of 5000 digits": (b"2026-01-25,ann," + b"9" * 5000, "'" + "9" * 40 + "'… in the column"),
    "text for tokens": (b"2026-01-25,ann,many", "'many' in the column 'input_tokens'"),
    "tokens that are no number": (b"2026-01-25,ann,NaN", "'NaN' in the column"),
    "tokens with an underscore": (b"2026-01-25,ann,1_000", "'1_000' in the column"),
    "tokens with a space": (b"2026-01-25,ann, 5", "' 5' in the column"),
    "tokens in other digits": ("2026-01-25,ann,٣".encode(), "is not a whole number"),
    "a control character": (b"2026-01-25,ann,\x1b[2J", r"'\x1b[2J' in the column"),
    "a time in words": (b"yesterday,ann,5", "'yesterday' is not a time"),
    "no time": (b",ann,5", "'' is not a time"),
    "a time that is no number": (b"NaN,ann,5", "'NaN' is not a time"),
    "a time with an hour too many": (b"2026-01-25T24:00:00,ann,5", "is not a time"),
    "a time with a strange zone": (b"2026-01-25T10:00:00 CET,ann,5", "is not a time"),
    "a time in other digits": ("٢٠٢٦-01-25,ann,5".encode(), "is not a time"),
    "a day that is not": (b"2026-02-29,ann,5", "'2026-02-29' is no day of the calendar"),
    "the year 0": (b"0000-01-01,ann,5", "is no day of the calendar"),
    "a year of five digits": (b"12026-01-25,ann,5", "is not a time"),
    "a year before 1970": (b"1969-12-31,ann,5", "the time '1969-12-31' is out of range"),
    "a year after 2999": (b"3000-01-01,ann,5", "the time '3000-01-01' is out of range"),
    "a zone that leads before 1970": (b"1970-01-01T00:00:00+01:00,ann,5", "is out of range"),
    "too few fields": (b"2026-01-25,ann", "the row has 2 fields and the header 3"),
    "too many fields": (b"2026-01-25,ann,5,6", "the row has 4 fields and the header 3"),
    "spaces only": (b"   ", "the row has 1 fields and the header 3"),
    "a NUL byte": (b"2026-01-25,a\x00n,5", "there is a NUL byte"),
    "latin-1": ("2026-01-25,Zoë,5".encode("latin-1"), "byte 0xeb is not UTF-8 text"),
    "UTF-16 in the middle": ("\ufeff2026-01-25".encode("utf-16-le"), "this is UTF-16 text"),
    "an open quote": (b'2026-01-25,"ann,5', "do not pair"),
    "text after a quote": (b'2026-01-25,"ann"x,5', "do not pair"),
    "an over-long line": (b"2026-01-25," + b"a" * 65_536 + b",5", "the line is longer than 65,536 bytes"),
    "a line of megabytes": (b"2026-01-25," + b"a" * 3_000_000 + b",5", "the line is longer than 65,536 bytes"),
}


@pytest.mark.parametrize("end", [b"\n", b"\r\n"], ids=["LF", "CRLF"])
@pytest.mark.parametrize("kind", BAD_ROWS)
def test_a_bad_row_is_named_with_its_file_and_line(file, kind, end):
    row, fragment = BAD_ROWS[kind]
    path = file(PLAIN + PLAIN_ROW + row + end + PLAIN_ROW)
    with pytest.raises(BadData) as raised:
        read(path)
    assert (raised.value.file, raised.value.line) == (str(path), 3)
    assert fragment in str(raised.value)
    assert raised.value.hint != BadData.hint
    assert len(str(raised.value)) < 200
    assert str(raised.value).isprintable()


@pytest.mark.parametrize("kind", BAD_ROWS)
def test_a_bad_row_is_skipped_and_counted_on_request(file, kind):
    row, _ = BAD_ROWS[kind]
    trace = read(file(PLAIN + PLAIN_ROW + row + b"\n" + PLAIN_ROW), skip_bad=True)
    assert [row.subscriber for row in trace.rows] == ["ann", "ann"]
    assert (trace.source.rows, trace.source.skipped) == (2, 1)


@pytest.mark.parametrize(
    ("row", "fragment"),
    [
        (b"-1,GPT-4,1,2,3,API log", "'-1' is not a time"),
        (b"nan,GPT-4,1,2,3,API log", "'nan' is not a time"),
        (b"1e5,GPT-4,1,2,3,API log", "'1e5' is not a time"),
        (b"999999999999,GPT-4,1,2,3,API log", "is out of range"),
        (b"5,GPT-4,,2,3,API log", "'' in the column 'Request tokens'"),
        (b"5,GPT-4,1,2.0,3,API log", "'2.0' in the column 'Response tokens'"),
    ],
)
def test_a_bad_row_of_burstgpt(file, row, fragment):
    with pytest.raises(BadData) as raised:
        read(file(BURST + row))
    assert raised.value.line == 2
    assert fragment in str(raised.value)


# Bad headers and files, which no option skips

BAD_FILES = {
    "an empty file": (b"", "the file is empty"),
    "a header only": (AZURE, "there is a header and no row"),
    "a header without a line end": (AZURE.rstrip(), "there is a header and no row"),
    "a header and blank lines": (PLAIN + b"\n\n", "there is a header and no row"),
    "a blank first line": (b"\n" + PLAIN + PLAIN_ROW, "'' is not the header of a trace"),
    "no header": (AZURE_ROW, "is not the header of a trace"),
    "an unknown header": (b"when,who\n1,2\n", "'when,who' is not the header of a trace"),
    "semicolons": (PLAIN.replace(b",", b";") + b"2026-01-25;ann;5\n", "is not the header of a trace"),
    "a missing column of Azure": (b"TIMESTAMP,ContextTokens\n" + AZURE_ROW, "no column 'GeneratedTokens'"),
    "a missing column of BurstGPT": (b"Timestamp,Model,Request tokens\n5,m,1\n", "no column 'Response tokens'"),
    "a column twice": (b"timestamp,seconds,seconds\n2026-01-25,1,2\n", "has the column 'seconds' twice"),
    "a column without a name": (b"timestamp,\n2026-01-25,1\n", "column 2 has no name"),
    "an open quote": (b'timestamp,"calls\n2026-01-25,1\n', "do not pair"),
    "a header of megabytes": (b"timestamp," + b"a" * 3_000_000, "the line is longer than 65,536 bytes"),
    "UTF-16": (PLAIN.decode().encode("utf-16"), "this is UTF-16 text"),
    "UTF-16, no mark": (PLAIN.decode().encode("utf-16-le"), "there is a NUL byte"),
    "UTF-16, big end first": ("\ufeff".encode("utf-16-be") + b"\x00t", "this is UTF-16 text"),
    "latin-1": ("timestamp,Größe\n".encode("latin-1"), "byte 0xf6 is not UTF-8 text"),
    "gzip": (b"\x1f\x8b\x08\x08 trace.csv", "byte 0x8b is not UTF-8 text"),
    "zeros": (bytes(3_000_000), "there is a NUL byte"),
}


@pytest.mark.parametrize("skip_bad", [False, True])
@pytest.mark.parametrize("kind", BAD_FILES)
def test_a_bad_file_is_an_error_at_its_first_line(file, kind, skip_bad):
    content, fragment = BAD_FILES[kind]
    path = file(content)
    with pytest.raises(BadData) as raised:
        read(path, skip_bad=skip_bad)
    assert (raised.value.file, raised.value.line) == (str(path), 1)
    assert fragment in str(raised.value)
    assert raised.value.hint != BadData.hint
    assert str(raised.value).isprintable()


def test_a_file_of_bad_rows_only_is_an_error_with_the_first_of_them(file):
    with pytest.raises(BadData, match="none of the 2 rows can be read; the first: 'x' is not a time") as raised:
        read(file(PLAIN + b"\nx,ann,5\ny,ann,5\n"), skip_bad=True)
    assert raised.value.line == 3


def test_no_such_file(tmp_path):
    with pytest.raises(NotFound, match=r"there is no file .*nowhere\.csv"):
        read(tmp_path / "nowhere.csv")


def test_a_file_for_a_folder(file):
    with pytest.raises(NotFound):
        read(file(AZURE) / "trace.csv")


def test_a_folder(tmp_path):
    with pytest.raises(BadData, match="cannot be read: is a directory") as raised:
        read(tmp_path)
    assert raised.value.file == str(tmp_path)


def test_a_file_that_may_not_be_read(file, monkeypatch):
    def refuse(*_args: object) -> None:
        raise PermissionError(13, "Permission denied")

    path = file(AZURE)
    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(BadData, match="cannot be read: permission denied"):
        read(path)


@pytest.mark.skipif(
    not Path("/proc/self/mem").exists(), reason="needs Linux's /proc/self/mem, whose bytes are unreadable"
)
def test_a_file_that_fails_while_it_is_read():
    with pytest.raises(BadData, match="cannot be read: input/output error"):
        read("/proc/self/mem")


# Properties

QUICK = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
NAMES = st.text(alphabet=string.ascii_letters + ' ,"é語', max_size=8)
GOOD = st.tuples(st.integers(0, 10**15), NAMES, st.integers(0, 2**63 - 1))


def line_of(row: tuple[int, str, int]) -> bytes:
    at, name, tokens = row
    time = datetime.fromtimestamp(at // 10**6, UTC).isoformat()
    quoted = name.replace('"', '""')
    return f'{time},"{quoted}",{tokens}\n'.encode()


@QUICK
@given(rows=st.lists(st.one_of(GOOD, st.sampled_from([row for row, _ in BAD_ROWS.values()])), max_size=12))
def test_skipping_loses_the_bad_rows_and_no_other(file, rows):
    good = [row for row in rows if isinstance(row, tuple)]
    if not good:
        return
    content = PLAIN + b"".join(line_of(row) if isinstance(row, tuple) else row + b"\n" for row in rows)
    trace = read(file(content), skip_bad=True)
    expected = sorted(
        ((at // 10**6 * 10**6, name or None, tokens) for at, name, tokens in good), key=lambda row: row[0]
    )
    assert [(row.at, row.subscriber, row.usage["input_tokens"]) for row in trace.rows] == expected
    assert trace.source.skipped == len(rows) - len(good)


@QUICK
@given(
    header=st.sampled_from([b"", AZURE, BURST, PLAIN, b"\xef\xbb\xbf" + PLAIN, b'{"timestamp":"2026-01-25"}\n', b"{"]),
    rest=st.binary(),
    skip_bad=st.booleans(),
)
def test_any_bytes_are_a_trace_or_bad_data(file, header, rest, skip_bad):
    path = file(header + rest)
    try:
        trace = read(path, skip_bad=skip_bad)
    except BadData as raised:
        problem = raised
    else:
        assert trace.source.rows == len(trace.rows) > 0
        return
    assert problem.file == str(path)
    assert 1 <= problem.line <= (header + rest).count(b"\n") + 1


# The real data


def test_the_azure_trace_of_2023():
    trace = read(published("azure_llm_conv_2023.csv"))
    assert (trace.source.kind, trace.source.rows, trace.source.skipped) == ("azure", 19_366, 0)
    assert trace.rows[0].at == microseconds("2023-11-16T18:15:46.680590+00:00")
    assert all(left.at <= right.at for left, right in pairwise(trace.rows))
    assert sum(row.usage["input_tokens"] for row in trace.rows) == 22_361_870


# The names of public traces and usage logs, as their publishers write them

PUBLISHED = {
    "Azure 2024": "TIMESTAMP,ContextTokens,GeneratedTokens",
    "Vidur": "arrived_at,num_prefill_tokens,num_decode_tokens",
    "Splitwise": "request_id,request_type,application_id,arrival_timestamp,batch_size,prompt_size,token_size",
    "LiteLLM's spend log": "request_id,startTime,endTime,model,spend,total_tokens,prompt_tokens,completion_tokens",
    "Helicone": "request_id,request_created_at,model,prompt_tokens,completion_tokens,cost_usd",
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_public_traces_have_known_tokens_and_no_other_usage(file, name):
    header = PUBLISHED[name].split(",")
    row = ["2026-01-25T00:00:00Z" if "time" in column.lower() or column.endswith("_at") else "3" for column in header]
    [read_row] = read(file(",".join(header).encode() + b"\n" + ",".join(row).encode() + b"\n")).rows
    assert read_row.usage.items() >= {"input_tokens": 3, "output_tokens": 3}.items()
    assert set(read_row.usage) <= {"input_tokens", "output_tokens", "cache_read.input_tokens", "calls"}
