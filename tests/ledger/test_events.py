"""Every event: its golden line, which must decode for ever, and the invariants that guard both doors."""

import json
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from ledger import events as module
from ledger.events import (
    EVENT_TYPES,
    Adjusted,
    AgentRegistered,
    AgentRetired,
    AgentUpdated,
    Charged,
    CreditsLimit,
    Endpoint,
    Escrow,
    EscrowFunding,
    Event,
    Extended,
    Fact,
    Frozen,
    Lapsed,
    Leaf,
    Limits,
    Line,
    Payout,
    PlanCreated,
    PlanRepriced,
    PlanRetired,
    Purchased,
    RateLimit,
    RefusedRequests,
    Reheld,
    Reinstated,
    Released,
    Requested,
    Reversed,
    SettlementAdopted,
    SettlementCommitted,
    SettlementConfirmed,
    SettlementFailed,
    SettlementOpened,
    SettlementSubmitted,
    SettlementUnknown,
    Share,
    Started,
    Tariff,
    Unfrozen,
    Withdrawn,
    decode_one,
    encode,
    tag,
)
from ledger.log import bodies

HUGE = 10**30
MOST = 2**63 - 1

# One line for every event, in the order of the families. A line is never changed: a log may hold it. A new field is
# shown by a second line of its event, below.
GOLDEN_LINES: list[tuple[bytes, Event]] = [
    (
        b'{"type":"plan_created","key":"k1","fingerprint":"0f","plan":"pro","onchain_id":"0x7","owner":"acme","ass'
        b'et":"eip155:8453/erc20:0xa0b8","decimals":6,"price":[{"receiver":"acme","amount":900},{"receiver":"fee",'
        b'"amount":100}],"credits":1000,"seconds":2592000,"priority":2,"on_lapse":"refund","tariff":{"version":1,"'
        b'policy":"graduated","policy_version":3,"parameters":{"dimension":"calls","tiers":[{"up_to":null,"unit":"'
        b'3/1000"}]}},"limits":{"rate":{"requests":10,"seconds":60},"credits":{"credits":500,"seconds":3600},"open'
        b'":4},"hold_seconds":30,"longest_seconds":900,"late_seconds":7200,"overrun":"debt","debt_limit":50,"perio'
        b'd":"day","record_refusals":true,"record_lines":true}',
        PlanCreated(
            key="k1",
            fingerprint="0f",
            plan="pro",
            onchain_id="0x7",
            owner="acme",
            asset="eip155:8453/erc20:0xa0b8",
            decimals=6,
            price=(Share("acme", 900), Share("fee", 100)),
            credits=1000,
            seconds=2_592_000,
            priority=2,
            on_lapse="refund",
            tariff=Tariff(
                version=1,
                policy="graduated",
                policy_version=3,
                parameters={"dimension": "calls", "tiers": [{"up_to": None, "unit": "3/1000"}]},
            ),
            limits=Limits(rate=RateLimit(10, 60), credits=CreditsLimit(500, 3600), open=4),
            hold_seconds=30,
            longest_seconds=900,
            late_seconds=7200,
            overrun="debt",
            debt_limit=50,
            period="day",
            record_refusals=True,
            record_lines=True,
        ),
    ),
    (
        b'{"type":"plan_repriced","plan":"pro","tariff":{"version":2,"policy":"per_credit","policy_version":1,"para'
        b'meters":{"credits":2}}}',
        PlanRepriced(
            plan="pro", tariff=Tariff(version=2, policy="per_credit", policy_version=1, parameters={"credits": 2})
        ),
    ),
    (
        b'{"type":"plan_retired","plan":"pro"}',
        PlanRetired(plan="pro"),
    ),
    (
        b'{"type":"agent_registered","agent":1,"name":"writer","owner":"acme","plans":["pro"],"endpoints":[{"metho'
        b'd":"POST","url":"https://a.example/v1/*"}],"open_endpoints":[{"method":"*","url":"https://a.example/heal'
        b'th"}],"metadata":{"did":"did:nv:1","tags":["text",1,null]}}',
        AgentRegistered(
            agent=1,
            name="writer",
            owner="acme",
            plans=("pro",),
            endpoints=(Endpoint("POST", "https://a.example/v1/*"),),
            open_endpoints=(Endpoint("*", "https://a.example/health"),),
            metadata={"did": "did:nv:1", "tags": ["text", 1, None]},
        ),
    ),
    (
        b'{"type":"agent_updated","agent":1,"name":"writer","owner":"acme","plans":["pro","day"]}',
        AgentUpdated(agent=1, name="writer", owner="acme", plans=("pro", "day")),
    ),
    (
        b'{"type":"agent_retired","agent":1}',
        AgentRetired(agent=1),
    ),
    (
        b'{"type":"purchased","key":"k2","fingerprint":"ff","account":1,"subscriber":"0xAb5801a7","plan":"pro","cr'
        b'edits":1000,"seconds":60,"asset":"eip155:8453/erc20:0xa0b8","cost":1000000000000000000000000000000,"shar'
        b'es":[{"receiver":"acme","amount":999999999999999999999999999999},{"receiver":"fee","amount":1}],"funding'
        b'":{"escrow":{"chain":"eip155:8453","contract":"0xc0","purchase":"17","block":77}},"payment":"invoice-1",'
        b'"start":1700158546680590,"expiry":1700158606680590,"priority":-1}',
        Purchased(
            key="k2",
            fingerprint="ff",
            account=1,
            subscriber="0xAb5801a7",
            plan="pro",
            credits=1000,
            seconds=60,
            asset="eip155:8453/erc20:0xa0b8",
            cost=HUGE,
            shares=(Share("acme", HUGE - 1), Share("fee", 1)),
            funding=EscrowFunding(Escrow("eip155:8453", "0xc0", "17", 77)),
            payment="invoice-1",
            start=1_700_158_546_680_590,
            expiry=1_700_158_606_680_590,
            priority=-1,
        ),
    ),
    (
        b'{"type":"started","account":1,"lot":9,"draws":[[0,7]],"instant":1700158546680590}',
        Started(account=1, lot=9, draws=((0, 7),), instant=1_700_158_546_680_590),
    ),
    (
        b'{"type":"withdrawn","account":1,"draws":[[9,3],[12,4]],"money":{"9":1000000000000000000000000000000,"12"'
        b':4},"reason":"exit","instant":1700158546680590,"fact":{"chain":"eip155:8453","contract":"0xc0","id":"exi'
        b't:7"},"asset":"USD","paid":1000000000000000000000000000005}',
        Withdrawn(
            account=1,
            draws=((9, 3), (12, 4)),
            money={9: HUGE, 12: 4},
            reason="exit",
            instant=1_700_158_546_680_590,
            fact=Fact("eip155:8453", "0xc0", "exit:7"),
            asset="USD",
            paid=HUGE + 5,
        ),
    ),
    (
        b'{"type":"reversed","account":1,"lot":9,"payment":"invoice-1"}',
        Reversed(account=1, lot=9, payment="invoice-1"),
    ),
    (
        b'{"type":"reinstated","account":1,"lot":9,"payment":"invoice-1","credits":40,"money":100000000000000000000'
        b'0000000000,"repaid":[[9,30],[12,2]]}',
        Reinstated(account=1, lot=9, payment="invoice-1", credits=40, money=HUGE, repaid=((9, 30), (12, 2))),
    ),
    (
        b'{"type":"frozen","account":1,"fact":{"chain":"eip155:8453","contract":"0xc0","id":"asked:7"}}',
        Frozen(account=1, fact=Fact("eip155:8453", "0xc0", "asked:7")),
    ),
    (
        b'{"type":"unfrozen","key":"k4","fingerprint":"aa","account":1}',
        Unfrozen(key="k4", fingerprint="aa", account=1),
    ),
    (
        b'{"type":"requested","account":1,"agent":1,"method":"POST","url":"https://a.example/v1/ask","hold":12,"dr'
        b'aws":[[9,5],[12,7]],"deadline":1700158576680590,"tariff":2,"estimate":{"input_tokens":900},"labels":{"mo'
        b'del":"gpt-4.1"}}',
        Requested(
            account=1,
            agent=1,
            method="POST",
            url="https://a.example/v1/ask",
            hold=12,
            draws=((9, 5), (12, 7)),
            deadline=1_700_158_576_680_590,
            tariff=2,
            estimate={"input_tokens": 900},
            labels={"model": "gpt-4.1"},
        ),
    ),
    (
        b'{"type":"extended","request":14,"deadline":1700158606680590}',
        Extended(request=14, deadline=1_700_158_606_680_590),
    ),
    (
        b'{"type":"reheld","account":1,"request":14,"draws":[[9,5],[0,2],[12,7]]}',
        Reheld(account=1, request=14, draws=((9, 5), (0, 2), (12, 7))),
    ),
    (
        b'{"type":"released","request":14,"reason":"expired","instant":1700158606680590}',
        Released(request=14, reason="expired", instant=1_700_158_606_680_590),
    ),
    (
        b'{"type":"refused","reason":"rate_limited","plan":"pro","agent":1,"estimate":{"calls":1},"count":17}',
        RefusedRequests(reason="rate_limited", plan="pro", agent=1, estimate={"calls": 1}, count=17),
    ),
    (
        b'{"type":"charged","key":"k3","fingerprint":"ab","account":1,"request":14,"agent":1,"credits":9,"draws":['
        b'[9,5],[12,3],[0,1]],"shortfall":2,"usage":{"input_tokens":700},"labels":{"model":"gpt-4.1"},"tariff":2,"'
        b'period":"2023-11","before":{"input_tokens":100},"continues":true,"lines":[{"text":"tier 1","dimension":"'
        b'input_tokens","units":700,"rate":"11/700","credits":"11"}],"final":false,"deadline":1700158606680590,"la'
        b'te":true,"occurred_at":1700158546680590}',
        Charged(
            key="k3",
            fingerprint="ab",
            account=1,
            request=14,
            agent=1,
            credits=9,
            draws=((9, 5), (12, 3), (0, 1)),
            shortfall=2,
            usage={"input_tokens": 700},
            labels={"model": "gpt-4.1"},
            tariff=2,
            period="2023-11",
            before={"input_tokens": 100},
            continues=True,
            lines=(Line(text="tier 1", dimension="input_tokens", units=700, rate="11/700", credits="11"),),
            final=False,
            deadline=1_700_158_606_680_590,
            late=True,
            occurred_at=1_700_158_546_680_590,
        ),
    ),
    (
        b'{"type":"adjusted","account":1,"charge":15,"credits":-4,"draws":[[12,3],[9,1]],"shortfall":1,"reason":"t'
        b'rue_up","usage":{"input_tokens":-200},"before":{"input_tokens":800},"labels":{"model":"gpt-4.1"},"tariff'
        b'":2,"metered":"2023-11","request":14,"expiry":1700244946680590,"note":"agreed"}',
        Adjusted(
            account=1,
            charge=15,
            credits=-4,
            draws=((12, 3), (9, 1)),
            shortfall=1,
            reason="true_up",
            usage={"input_tokens": -200},
            before={"input_tokens": 800},
            labels={"model": "gpt-4.1"},
            tariff=2,
            metered="2023-11",
            request=14,
            expiry=1_700_244_946_680_590,
            note="agreed",
        ),
    ),
    (
        b'{"type":"lapsed","account":1,"lot":9,"credits":9223372036854775807,"instant":1700158606680590}',
        Lapsed(account=1, lot=9, credits=MOST, instant=1_700_158_606_680_590),
    ),
    (
        b'{"type":"settlement_opened","number":1,"chain":"eip155:8453","contract":"0xc0","asset":"eip155:8453/erc2'
        b'0:0xa0b8","covers":{"main":21},"root":"0xaa","digest":"0xbb","payouts":[{"receiver":"acme","amount":1000'
        b'000000000000000000000000000},{"receiver":"fee","amount":-3}],"accounts":2,"head_seq":20,"head_hash":"ab"'
        b"}",
        SettlementOpened(
            number=1,
            chain="eip155:8453",
            contract="0xc0",
            asset="eip155:8453/erc20:0xa0b8",
            covers={"main": 21},
            root="0xaa",
            digest="0xbb",
            payouts=(Payout("acme", HUGE), Payout("fee", -3)),
            accounts=2,
            head_seq=20,
            head_hash="ab",
        ),
    ),
    (
        b'{"type":"settlement_submitted","number":1,"chain":"eip155:8453","contract":"0xc0","attempt":2,"raw":"0x0'
        b'2f8","transaction":"0xdd"}',
        SettlementSubmitted(
            number=1, chain="eip155:8453", contract="0xc0", attempt=2, raw="0x02f8", transaction="0xdd"
        ),
    ),
    (
        b'{"type":"settlement_committed","number":1,"chain":"eip155:8453","contract":"0xc0","transaction":"0xdd","'
        b'block":77}',
        SettlementCommitted(number=1, chain="eip155:8453", contract="0xc0", transaction="0xdd", block=77),
    ),
    (
        b'{"type":"settlement_confirmed","number":1,"chain":"eip155:8453","contract":"0xc0","transaction":"0xdd","'
        b'block":77}',
        SettlementConfirmed(number=1, chain="eip155:8453", contract="0xc0", transaction="0xdd", block=77),
    ),
    (
        b'{"type":"settlement_failed","number":1,"chain":"eip155:8453","contract":"0xc0","reason":"challenged","us'
        b'ed":true}',
        SettlementFailed(number=1, chain="eip155:8453", contract="0xc0", reason="challenged", used=True),
    ),
    (
        b'{"type":"settlement_unknown","number":1,"chain":"eip155:8453","contract":"0xc0","attempt":2,"reason":"ti'
        b'meout"}',
        SettlementUnknown(number=1, chain="eip155:8453", contract="0xc0", attempt=2, reason="timeout"),
    ),
    (
        b'{"type":"settlement_adopted","number":1,"chain":"eip155:8453","contract":"0xc0","asset":"USD","covers":{'
        b'"main":21},"root":"0xaa","digest":"0xbb","payouts":[{"receiver":"acme","amount":5}],"accounts":1,"head_s'
        b'eq":20,"head_hash":"ab","at":1700158546680590,"leaves":[{"subscriber":"0xAb5801a7","plan":"pro","charged'
        b'":1000000000000000000000000000000,"credited":7}]}',
        SettlementAdopted(
            number=1,
            chain="eip155:8453",
            contract="0xc0",
            asset="USD",
            covers={"main": 21},
            root="0xaa",
            digest="0xbb",
            payouts=(Payout("acme", 5),),
            accounts=1,
            head_seq=20,
            head_hash="ab",
            at=1_700_158_546_680_590,
            leaves=(Leaf("0xAb5801a7", "pro", HUGE, 7),),
        ),
    ),
]

# What was added to an event later on.
LATER_LINES: list[tuple[bytes, Event]] = [
    (
        b'{"type":"purchased","account":1,"subscriber":"s","plan":"p","seconds":60,"start":9,"expiry":60000009,"earliest"'
        b":9}",
        Purchased(account=1, subscriber="s", plan="p", seconds=60, start=9, expiry=60_000_009, earliest=9),
    ),
    (
        b'{"type":"plan_created","plan":"p","owner":"o","asset":"USD","credits":1,"tariff":{"version":1,"policy":"'
        b'time","policy_version":1},"hold_seconds":600,"longest_seconds":900,"period":"month","unpriced":"free"}',
        PlanCreated(
            plan="p",
            owner="o",
            asset="USD",
            credits=1,
            tariff=Tariff(version=1, policy="time", policy_version=1),
            hold_seconds=600,
            longest_seconds=900,
            period="month",
            unpriced="free",
        ),
    ),
    (
        b'{"type":"reversed","account":1,"lot":9,"payment":"invoice-1","credits":40,"money":1000000000000000000000'
        b'000000000,"expiry":1700158606680590,"repaid":[[12,3],[14,4]]}',
        Reversed(
            account=1,
            lot=9,
            payment="invoice-1",
            credits=40,
            money=HUGE,
            expiry=1_700_158_606_680_590,
            repaid=((12, 3), (14, 4)),
        ),
    ),
    (
        b'{"type":"released","request":14,"reason":"voided","repaid":[[9,5]]}',
        Released(request=14, reason="voided", repaid=((9, 5),)),
    ),
    (
        b'{"type":"charged","account":1,"request":14,"credits":9,"draws":[[9,9]],"usage":{"input_tokens":700,"pages'
        b'":3},"tariff":2,"period":"2023-11","before":{"input_tokens":9223372036854775808},"unpriced":{"pages":3},'
        b'"repaid":[[9,5],[12,3]]}',
        Charged(
            account=1,
            request=14,
            credits=9,
            draws=((9, 9),),
            usage={"input_tokens": 700, "pages": 3},
            tariff=2,
            period="2023-11",
            before={"input_tokens": MOST + 1},
            unpriced={"pages": 3},
            repaid=((9, 5), (12, 3)),
        ),
    ),
    (
        b'{"type":"adjusted","account":1,"charge":15,"credits":-4,"draws":[[12,4]],"shortfall":-6,"reason":"true_up'
        b'","usage":{"pages":-2},"before":{"pages":9223372036854775808},"unpriced":{"pages":-2},"repaid":[[12,3]]}',
        Adjusted(
            account=1,
            charge=15,
            credits=-4,
            draws=((12, 4),),
            shortfall=-6,
            reason="true_up",
            usage={"pages": -2},
            before={"pages": MOST + 1},
            unpriced={"pages": -2},
            repaid=((12, 3),),
        ),
    ),
]

# The same events with nothing but what they must hold: all that is at its default is left out.
SHORTEST_LINES: list[tuple[bytes, Event]] = [
    (
        b'{"type":"plan_created","plan":"p","owner":"o","asset":"USD","credits":1,"tariff":{"version":1,"policy":"'
        b'time","policy_version":1},"hold_seconds":600,"longest_seconds":900,"period":"month"}',
        PlanCreated(
            plan="p",
            owner="o",
            asset="USD",
            credits=1,
            tariff=Tariff(version=1, policy="time", policy_version=1),
            hold_seconds=600,
            longest_seconds=900,
            period="month",
        ),
    ),
    (
        b'{"type":"agent_registered","agent":1,"name":"a","owner":"o"}',
        AgentRegistered(agent=1, name="a", owner="o"),
    ),
    (
        b'{"type":"purchased","account":1,"subscriber":"s","plan":"p","credits":1}',
        Purchased(account=1, subscriber="s", plan="p", credits=1),
    ),
    (
        b'{"type":"started","account":1,"lot":2,"instant":0}',
        Started(account=1, lot=2, instant=0),
    ),
    (
        b'{"type":"withdrawn","account":1}',
        Withdrawn(account=1),
    ),
    (
        b'{"type":"reversed","account":1,"lot":2}',
        Reversed(account=1, lot=2),
    ),
    (
        b'{"type":"reinstated","account":1,"lot":2}',
        Reinstated(account=1, lot=2),
    ),
    (
        b'{"type":"unfrozen","account":1}',
        Unfrozen(account=1),
    ),
    (
        b'{"type":"requested","account":1,"deadline":9,"tariff":1}',
        Requested(account=1, deadline=9, tariff=1),
    ),
    (
        b'{"type":"released","request":3,"reason":"voided"}',
        Released(request=3, reason="voided"),
    ),
    (
        b'{"type":"reheld","account":1,"request":3}',
        Reheld(account=1, request=3),
    ),
    (
        b'{"type":"refused","reason":"expired","plan":"p","count":1}',
        RefusedRequests(reason="expired", plan="p", count=1),
    ),
    (
        b'{"type":"charged","account":1,"tariff":1,"period":"forever"}',
        Charged(account=1, tariff=1, period="forever"),
    ),
    (
        b'{"type":"adjusted","account":1,"period":"2023-11","reason":"correction"}',
        Adjusted(account=1, period="2023-11", reason="correction"),
    ),
]


GOLDEN, LATER, SHORTEST = dict(GOLDEN_LINES), dict(LATER_LINES), dict(SHORTEST_LINES)
LINES = {**GOLDEN, **LATER, **SHORTEST}


def same(event: Event) -> Any:
    """An event by its fields and types, so that 1 and True are not the same."""
    return type(event), json.dumps(msgspec.to_builtins(event))


# -- what is stored ----------------------------------------------------------------------------------------------------


def test_every_event_has_one_golden_line_in_the_order_of_the_families() -> None:
    assert [type(event) for event in GOLDEN.values()] == list(EVENT_TYPES)


@pytest.mark.smoke
@pytest.mark.parametrize("line", LINES, ids=lambda line: json.loads(line)["type"])
def test_a_golden_line_decodes_for_ever(line: bytes) -> None:
    event = LINES[line]
    assert decode_one(line) == event
    assert same(decode_one(line)) == same(event)
    assert encode(event) == line


def test_golden_lines_together_are_the_body_of_a_commit() -> None:
    assert bodies.decode(bodies.TEXT, b"[" + b",".join(GOLDEN) + b"]") == list(GOLDEN.values())
    assert encode(list(GOLDEN.values())) == b"[" + b",".join(GOLDEN) + b"]"


def test_the_golden_lines_of_an_event_show_every_field_of_its_own() -> None:
    """So that a field that is renamed or retyped breaks a line. A trial has no price, so it has a line of its own."""
    unseen = {("plan_created", "trial"), ("purchased", "kind"), ("adjusted", "period")}
    for event in GOLDEN.values():
        own = set(event.__struct_fields__) - {"key", "fingerprint"}
        shown = {
            name for line, other in (GOLDEN | LATER).items() if type(other) is type(event) for name in json.loads(line)
        }
        defaults = unseen | ({("agent_updated", name) for name in own} if tag(event) == "agent_updated" else set())
        assert {(tag(event), name) for name in own - shown} <= defaults


def test_a_trial_and_the_kinds_of_lots_decode_for_ever() -> None:
    trial = SHORTEST_OF["plan_created"].replace(b',"tariff"', b',"trial":true,"tariff"')
    assert decode_one(trial) == replace(SHORTEST[SHORTEST_OF["plan_created"]], trial=True)
    for kind in ("trial", "gift"):
        line = SHORTEST_OF["purchased"].replace(b',"credits"', b',"kind":"%s","credits"' % kind.encode())
        assert decode_one(line) == replace(SHORTEST[SHORTEST_OF["purchased"]], kind=kind)
        assert encode(decode_one(line)) == line
    direct = SHORTEST_OF["purchased"].replace(b"}", b',"funding":"direct"}')
    assert decode_one(direct) == replace(SHORTEST[SHORTEST_OF["purchased"]], funding="direct")


SHORTEST_OF = {json.loads(line)["type"]: line for line in SHORTEST}


@pytest.mark.parametrize("event", EVENT_TYPES, ids=tag)
def test_type_is_the_first_key_and_a_word(event: type[Event]) -> None:
    line = encode(next(golden for golden in GOLDEN.values() if type(golden) is event))
    assert next(iter(json.loads(line))) == "type"
    assert line.startswith(b'{"type":"%s"' % tag(event).encode())
    assert tag(event).replace("_", "").isalpha()
    assert tag(event).islower()
    assert tag(event) != event.__name__


def test_no_two_events_share_a_word() -> None:
    assert len({tag(event) for event in EVENT_TYPES}) == len(EVENT_TYPES)


@pytest.mark.parametrize("event", EVENT_TYPES, ids=tag)
def test_every_event_is_documented_where_it_stands(event: type[Event]) -> None:
    own = vars(event).get("__doc__")
    assert own
    assert own.rstrip().endswith(".")
    assert event.__module__.startswith(f"{module.__name__}.")


def test_every_event_that_the_module_has_is_in_the_union() -> None:
    """A class without a tag is no event but a part of several."""
    made = {thing for thing in vars(module).values() if isinstance(thing, type) and issubclass(thing, Event)}
    own = {thing for thing in made if thing.__struct_config__.tag not in (thing.__name__, None)}
    assert own == set(EVENT_TYPES)


@pytest.mark.parametrize("event", EVENT_TYPES, ids=tag)
def test_an_event_cannot_be_changed(event: type[Event]) -> None:
    golden = next(golden for golden in GOLDEN.values() if type(golden) is event)
    with pytest.raises(AttributeError):
        golden.key = "other"  # type: ignore[misc]


def test_money_has_any_size_and_survives() -> None:
    for amount in (2**63, 2**64, HUGE, 10**300):
        event = Purchased(account=1, subscriber="s", plan="p", credits=1, cost=amount, shares=(Share("o", amount),))
        assert decode_one(encode(event)) == event
        assert json.loads(encode(event))["cost"] == amount
        gone = Withdrawn(account=1, money={2: amount})
        assert decode_one(encode(gone)) == gone


def test_text_of_every_script_survives() -> None:
    name = 'é 中 \U0001f980 \u202e \0 " \\ \u2028'
    event = Purchased(account=1, subscriber=name, plan="p", credits=1)
    assert decode_one(encode(event)) == event


def test_what_is_unknown_is_an_error_and_not_a_guess() -> None:
    for line in (b'{"type":"bought"}', b'{"plan":"p"}', b"[]", b'{"type":"plan_retired"}', b"{"):
        with pytest.raises(msgspec.DecodeError):
            decode_one(line)


def test_a_field_of_a_later_release_is_passed_over() -> None:
    """Schemas only grow, and what is new has a default: an older reader need not know it."""
    assert decode_one(b'{"type":"plan_retired","plan":"p","why":"sold out"}') == PlanRetired(plan="p")


# -- what is refused at both doors -------------------------------------------------------------------------------------

TARIFF = Tariff(version=1, policy="time", policy_version=1)
PLAN: dict[str, Any] = {"plan": "p", "owner": "o", "asset": "USD", "credits": 1, "tariff": TARIFF} | {
    "hold_seconds": 600,
    "longest_seconds": 900,
    "period": "month",
}
LOT: dict[str, Any] = {"account": 1, "subscriber": "s", "plan": "p", "credits": 1}
REQUEST: dict[str, Any] = {"account": 1, "deadline": 9, "tariff": 1}
CHARGE: dict[str, Any] = {"account": 1, "tariff": 1, "period": "2023-11"}
ADJUSTMENT: dict[str, Any] = {"reason": "correction"}
BATCH: dict[str, Any] = {"number": 1, "chain": "c", "contract": "0x", "asset": "USD", "covers": {}, "root": "0x"}

WRONG: list[tuple[str, type[Any], dict[str, Any]]] = [
    ("a plan grants something", PlanCreated, PLAN | {"credits": 0}),
    ("a plan has a name", PlanCreated, PLAN | {"plan": ""}),
    ("a plan has an owner", PlanCreated, PLAN | {"owner": ""}),
    ("a plan has an asset", PlanCreated, PLAN | {"asset": ""}),
    ("a trial has no price", PlanCreated, PLAN | {"trial": True, "price": (Share("o", 1),)}),
    ("a receiver stands once in a price", PlanCreated, PLAN | {"price": (Share("o", 1), Share("o", 1))}),
    ("a hold lasts", PlanCreated, PLAN | {"hold_seconds": 0}),
    ("a hold is no longer than the longest", PlanCreated, PLAN | {"hold_seconds": 11, "longest_seconds": 10}),
    (
        "a plan begins with version 1",
        PlanCreated,
        PLAN | {"tariff": Tariff(version=2, policy="time", policy_version=1)},
    ),
    ("decimals are few", PlanCreated, PLAN | {"decimals": 37}),
    ("decimals are not negative", PlanCreated, PLAN | {"decimals": -1}),
    ("an agent has a number", AgentRegistered, {"agent": 0, "name": "a", "owner": "o"}),
    ("an updated agent has a number", AgentUpdated, {"agent": 0, "name": "a", "owner": "o"}),
    ("an agent has a name", AgentRegistered, {"agent": 1, "name": "", "owner": "o"}),
    ("accounts count from 1", Purchased, LOT | {"account": 0}),
    ("the shares sum to the cost", Purchased, LOT | {"cost": 10, "shares": (Share("o", 9),)}),
    ("a cost has shares", Purchased, LOT | {"cost": 10}),
    ("shares have a cost", Purchased, LOT | {"shares": (Share("o", 9),)}),
    ("a gift has no cost", Purchased, LOT | {"kind": "gift", "cost": 1, "shares": (Share("o", 1),)}),
    ("a trial lot has no cost", Purchased, LOT | {"kind": "trial", "cost": 1, "shares": (Share("o", 1),)}),
    ("a lot has credits or an end", Purchased, LOT | {"credits": 0}),
    ("a lot that starts pays debt only", Started, {"account": 1, "lot": 2, "instant": 0, "draws": ((2, 1),)}),
    ("batches are numbered from 1", SettlementFailed, {"number": 0, "chain": "mock:local", "contract": "c"}),
    ("debt cannot be withdrawn", Withdrawn, {"account": 1, "draws": ((0, 1),)}),
    ("lots pay debt, debt does not", Released, {"request": 3, "reason": "voided", "repaid": ((0, 1),)}),
    ("a payment of debt is positive", Released, {"request": 3, "reason": "voided", "repaid": ((2, 0),)}),
    ("lots pay debt at a charge", Charged, CHARGE | {"repaid": ((0, 1),)}),
    ("lots pay debt at a correction", Adjusted, ADJUSTMENT | {"account": 1, "charge": 4, "repaid": ((0, 1),)}),
    ("lots pay debt at a reversal", Reversed, {"account": 1, "lot": 2, "repaid": ((0, 1),)}),
    ("lots pay debt at a reinstatement", Reinstated, {"account": 1, "lot": 2, "repaid": ((0, 1),)}),
    ("what is held again is positive", Reheld, {"account": 1, "request": 3, "draws": ((2, 0),)}),
    ("draws sum to the hold", Requested, REQUEST | {"hold": 5, "draws": ((2, 4),)}),
    ("a hold has draws", Requested, REQUEST | {"hold": 5}),
    ("draws have a hold", Requested, REQUEST | {"draws": ((2, 4),)}),
    ("draws are positive", Requested, REQUEST | {"draws": ((2, 0),)}),
    ("no draw is negative", Requested, REQUEST | {"draws": ((2, 5), (3, -5))}),
    ("lots are not negative", Requested, REQUEST | {"hold": 1, "draws": ((-1, 1),)}),
    ("an expiry has an instant", Released, {"request": 3, "reason": "expired"}),
    ("only an expiry has an instant", Released, {"request": 3, "reason": "voided", "instant": 7}),
    ("somebody was refused", RefusedRequests, {"reason": "expired", "plan": "p", "count": 0}),
    ("draws sum to the credits", Charged, CHARGE | {"credits": 5, "draws": ((2, 4),)}),
    ("credits have draws", Charged, CHARGE | {"credits": 5}),
    ("a direct charge is final", Charged, CHARGE | {"final": False}),
    (
        "draws sum to what is given back",
        Adjusted,
        ADJUSTMENT | {"account": 1, "charge": 4, "credits": -5, "draws": ((2, 4),)},
    ),
    (
        "draws sum to what is taken",
        Adjusted,
        ADJUSTMENT | {"account": 1, "charge": 4, "credits": 5, "draws": ((2, 4),)},
    ),
    ("an adjustment corrects something", Adjusted, ADJUSTMENT | {"account": 1}),
    ("an adjustment corrects one thing", Adjusted, ADJUSTMENT | {"account": 1, "charge": 4, "period": "2023-11"}),
    ("a lapse is of something", Lapsed, {"account": 1, "lot": 2, "credits": 0, "instant": 0}),
    ("debt does not lapse", Lapsed, {"account": 1, "lot": 0, "credits": 1, "instant": 0}),
    ("tariffs count from 1", Tariff, {"version": 0, "policy": "time", "policy_version": 1}),
    ("a rate has requests", RateLimit, {"requests": 0, "seconds": 1}),
    ("a rate has a time", RateLimit, {"requests": 1, "seconds": 0}),
    ("a window has a length", CreditsLimit, {"credits": 1, "seconds": 0}),
    ("a limit lets one request in", Limits, {"open": 0}),
]


def raw(event: type[Any], fields: dict[str, Any]) -> bytes:
    """The line that the fields would have if nothing checked them."""
    named = {"type": tag(event)} if issubclass(event, Event) else {}
    return msgspec.json.encode(named | fields)


@pytest.mark.parametrize(("event", "fields"), [row[1:] for row in WRONG], ids=[row[0] for row in WRONG])
def test_what_is_not_true_of_any_event_is_refused_at_both_doors(event: type[Any], fields: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"."):
        event(**fields)
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(raw(event, fields), type=event)


def amounts(
    name: str, event: type[Any], fields: dict[str, Any], *path: Any
) -> tuple[str, type[Any], dict[str, Any], Any]:
    return name, event, fields, path


# Every place of an event where an amount of credits, usage or money stands, with an event that is right.
CREDITS = [
    amounts("a plan's credits", PlanCreated, PLAN, "credits"),
    amounts("a plan's debt limit", PlanCreated, PLAN, "debt_limit"),
    amounts("a plan's limit of credits", CreditsLimit, {"credits": 5, "seconds": 1}, "credits"),
    amounts("a lot's credits", Purchased, LOT | {"expiry": 9}, "credits"),
    amounts("a hold", Requested, REQUEST | {"hold": 1, "draws": ((2, 1),)}, "hold"),
    amounts("a hold's draw", Requested, REQUEST | {"hold": 1, "draws": ((2, 1),)}, "draws", 0, 1),
    amounts("an estimate", Requested, REQUEST | {"estimate": {"calls": 1}}, "estimate", "calls"),
    amounts(
        "a refused estimate",
        RefusedRequests,
        {"reason": "r", "plan": "p", "count": 1, "estimate": {"x": 1}},
        "estimate",
        "x",
    ),
    amounts("a charge's credits", Charged, CHARGE | {"credits": 1, "draws": ((2, 1),)}, "credits"),
    amounts("a charge's draw", Charged, CHARGE | {"credits": 1, "draws": ((2, 1),)}, "draws", 0, 1),
    amounts("a shortfall", Charged, CHARGE, "shortfall"),
    amounts("usage", Charged, CHARGE | {"usage": {"calls": 1}}, "usage", "calls"),
    amounts("unpriced units", Charged, CHARGE | {"unpriced": {"calls": 1}}, "unpriced", "calls"),
    amounts("a charge's payment of debt", Charged, CHARGE | {"repaid": ((2, 1),)}, "repaid", 0, 1),
    amounts(
        "an adjustment's draw",
        Adjusted,
        ADJUSTMENT | {"account": 1, "charge": 4, "credits": 1, "draws": ((2, 1),)},
        "draws",
        0,
        1,
    ),
    amounts(
        "an adjustment's payment of debt",
        Adjusted,
        ADJUSTMENT | {"account": 1, "charge": 4, "repaid": ((2, 1),)},
        "repaid",
        0,
        1,
    ),
    amounts("a reversal's credits", Reversed, {"account": 1, "lot": 2}, "credits"),
    amounts("a reversal's payment of debt", Reversed, {"account": 1, "lot": 2, "repaid": ((3, 1),)}, "repaid", 0, 1),
    amounts("credits that stand again", Reinstated, {"account": 1, "lot": 2}, "credits"),
    amounts("a reinstated payment of debt", Reinstated, {"account": 1, "lot": 2, "repaid": ((3, 1),)}, "repaid", 0, 1),
    amounts(
        "a release's payment of debt", Released, {"request": 3, "reason": "voided", "repaid": ((2, 1),)}, "repaid", 0, 1
    ),
    amounts("what is held again", Reheld, {"account": 1, "request": 3, "draws": ((2, 1),)}, "draws", 0, 1),
    amounts("a debt that is paid", Started, {"account": 1, "lot": 2, "instant": 0, "draws": ((0, 1),)}, "draws", 0, 1),
    amounts("a withdrawal's draw", Withdrawn, {"account": 1, "draws": ((2, 1),)}, "draws", 0, 1),
    amounts("what lapses", Lapsed, {"account": 1, "lot": 2, "credits": 1, "instant": 0}, "credits"),
]
METERS = [
    amounts("a meter", Charged, CHARGE | {"before": {"calls": 1}}, "before", "calls"),
    amounts(
        "an adjustment's meter",
        Adjusted,
        ADJUSTMENT | {"account": 1, "charge": 4, "before": {"calls": 1}},
        "before",
        "calls",
    ),
]
SIGNED = [
    amounts("an adjustment's shortfall", Adjusted, ADJUSTMENT | {"account": 1, "charge": 4}, "shortfall"),
    amounts(
        "unpriced units of a delta",
        Adjusted,
        ADJUSTMENT | {"account": 1, "charge": 4, "unpriced": {"calls": -1}},
        "unpriced",
        "calls",
    ),
    amounts(
        "an adjustment", Adjusted, ADJUSTMENT | {"account": 1, "charge": 4, "credits": 1, "draws": ((2, 1),)}, "credits"
    ),
    amounts(
        "a usage delta", Adjusted, ADJUSTMENT | {"account": 1, "charge": 4, "usage": {"calls": -1}}, "usage", "calls"
    ),
]
MONEY = [
    amounts("a share", Share, {"receiver": "o", "amount": 1}, "amount"),
    amounts("a cost", Purchased, LOT | {"cost": 1, "shares": (Share("o", 1),)}, "cost"),
    amounts("money that was void", Reversed, {"account": 1, "lot": 2}, "money"),
    amounts("money that stands again", Reinstated, {"account": 1, "lot": 2}, "money"),
    amounts("money withdrawn", Withdrawn, {"account": 1, "money": {2: 1}}, "money", 2),
]
PAYOUTS = [amounts("a payout", Payout, {"receiver": "o", "amount": -1}, "amount")]
NOT_WHOLE: list[Any] = [1.0, 1.5, True, "1", None, float("nan"), float("inf")]


def put(fields: Any, path: tuple[Any, ...], value: Any) -> Any:
    """The fields with another value in one place."""
    if not path:
        return value
    if isinstance(fields, dict):
        return fields | {path[0]: put(fields.get(path[0]), path[1:], value)}
    return tuple(put(part, path[1:], value) if place == path[0] else part for place, part in enumerate(fields))


def refused_at_both_doors(event: type[Any], fields: dict[str, Any], path: tuple[Any, ...], value: Any) -> None:
    event(**fields)  # the event is right but for this
    wrong = put(fields, path, value)
    with pytest.raises((ValueError, TypeError)):
        event(**wrong)
    with pytest.raises(msgspec.DecodeError):
        msgspec.json.decode(raw(event, wrong), type=event)


PLACES = [*CREDITS, *METERS, *SIGNED, *MONEY, *PAYOUTS]


@pytest.mark.parametrize("value", NOT_WHOLE, ids=repr)
@pytest.mark.parametrize(("event", "fields", "path"), [row[1:] for row in PLACES], ids=[row[0] for row in PLACES])
def test_an_amount_is_a_whole_number(
    event: type[Any], fields: dict[str, Any], path: tuple[Any, ...], value: Any
) -> None:
    """Neither a float, nor a bool, nor a text: msgspec's constructor checks no types, so the event does."""
    refused_at_both_doors(event, fields, path, value)


UNSIGNED = [*CREDITS, *METERS, *MONEY]


@pytest.mark.parametrize(("event", "fields", "path"), [row[1:] for row in UNSIGNED], ids=[row[0] for row in UNSIGNED])
def test_an_amount_is_not_negative(event: type[Any], fields: dict[str, Any], path: tuple[Any, ...]) -> None:
    refused_at_both_doors(event, fields, path, -1)


BOUNDED = [row for row in [*CREDITS, *SIGNED] if row[3][-1] != 1]  # a draw is bounded by what it is a part of


@pytest.mark.parametrize(("event", "fields", "path"), [row[1:] for row in BOUNDED], ids=[row[0] for row in BOUNDED])
def test_credits_and_usage_fit_64_bits(event: type[Any], fields: dict[str, Any], path: tuple[Any, ...]) -> None:
    refused_at_both_doors(event, fields, path, MOST + 1)


@pytest.mark.parametrize(("event", "fields", "path"), [row[1:] for row in SIGNED], ids=[row[0] for row in SIGNED])
def test_what_is_signed_is_bounded_downwards_too(
    event: type[Any], fields: dict[str, Any], path: tuple[Any, ...]
) -> None:
    refused_at_both_doors(event, fields, path, -MOST - 1)


@pytest.mark.parametrize(("event", "fields", "path"), [row[1:] for row in METERS], ids=[row[0] for row in METERS])
def test_a_meter_may_have_counted_for_a_lifetime(
    event: type[Any], fields: dict[str, Any], path: tuple[Any, ...]
) -> None:
    """Bounds hold for what is open and for single amounts, never for a sum over a life."""
    beyond = event(**put(fields, path, 3 * MOST))
    assert decode_one(encode(beyond)) == beyond


def test_every_amount_of_the_golden_lines_is_tried_above() -> None:
    """So that a new event, or a new amount in one, is guarded too."""
    amounts = {"credits", "debt_limit", "hold", "draws", "estimate", "shortfall", "usage", "before", "cost", "money"}
    amounts |= {"unpriced", "repaid"}
    shown = {
        (tag(event), name)
        for event in GOLDEN.values()
        for name in event.__struct_fields__
        if name in amounts and (tag(event), name) != ("plan_created", "unpriced")  # a word, no amount
    }
    tried = {(tag(event), path[0]) for _, event, _, path in PLACES if issubclass(event, Event)}
    assert shown - tried <= {("adjusted", "draws")}
