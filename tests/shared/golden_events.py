"""Events as they are stored, one line each: what was written once must decode permanently."""

from ledger.events import (
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
    Invoiced,
    InvoicePaid,
    Lapsed,
    Leaf,
    Limits,
    Line,
    Overdue,
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
    Subscribed,
    Tariff,
    Unfrozen,
    Withdrawn,
    WrittenOff,
)

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
        b'{"type":"subscribed","key":"k3","fingerprint":"0e","account":2,"subscriber":"bob","plan":"payg","credits":5'
        b'000,"draws":[[0,7]]}',
        Subscribed(key="k3", fingerprint="0e", account=2, subscriber="bob", plan="payg", credits=5000, draws=((0, 7),)),
    ),
    (
        b'{"type":"invoiced","account":2,"invoice":1,"period":"2023-11","credits":-3,"asset":"USD","money":-1000000000'
        b'000000000000000000000,"due":1703980800000000,"instant":1701388800000000}',
        Invoiced(
            account=2,
            invoice=1,
            period="2023-11",
            credits=-3,
            asset="USD",
            money=-HUGE,
            due=1703980800000000,
            instant=1701388800000000,
        ),
    ),
    (
        b'{"type":"invoice_paid","account":2,"invoice":1,"asset":"USD","money":500,"shares":[{"receiver":"acme","amoun'
        b't":475},{"receiver":"fee","amount":25}],"funding":"direct","payment":"p1","room":499,"repaid":[[4,9]]}',
        InvoicePaid(
            account=2,
            invoice=1,
            asset="USD",
            money=500,
            shares=(Share("acme", 475), Share("fee", 25)),
            funding="direct",
            payment="p1",
            room=499,
            repaid=((4, 9),),
        ),
    ),
    (
        b'{"type":"written_off","account":2,"invoice":1,"money":100,"reason":"gone","room":98,"repaid":[[4,8]]}',
        WrittenOff(account=2, invoice=1, money=100, reason="gone", room=98, repaid=((4, 8),)),
    ),
    (
        b'{"type":"overdue","account":2,"invoice":1,"instant":1703980800000000}',
        Overdue(account=2, invoice=1, instant=1703980800000000),
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
        b'{"type":"plan_created","plan":"p","owner":"o","asset":"USD","price":[{"receiver":"o","amount":9}],"credits":1'
        b',"tariff":{"version":1,"policy":"time","policy_version":1},"hold_seconds":600,"longest_seconds":900,"period":'
        b'"month","billing":"postpaid","credit_limit":50,"due_days":14,"overdue":"stop"}',
        PlanCreated(
            plan="p",
            owner="o",
            asset="USD",
            price=(Share("o", 9),),
            credits=1,
            tariff=Tariff(version=1, policy="time", policy_version=1),
            hold_seconds=600,
            longest_seconds=900,
            period="month",
            billing="postpaid",
            credit_limit=50,
            due_days=14,
            overdue="stop",
        ),
    ),
    (
        b'{"type":"reversed","account":2,"lot":9,"payment":"p1","money":500,"room":499}',
        Reversed(account=2, lot=9, payment="p1", money=500, room=499),
    ),
    (
        b'{"type":"reinstated","account":2,"lot":9,"payment":"p1","money":500,"room":499}',
        Reinstated(account=2, lot=9, payment="p1", money=500, room=499),
    ),
    (
        b'{"type":"plan_created","plan":"p","owner":"o","asset":"USD","asset_decimals":2,"credits":1,"tariff":{"version":1,'
        b'"policy":"time","policy_version":1},"hold_seconds":600,"longest_seconds":900,"period":"month"}',
        PlanCreated(
            plan="p",
            owner="o",
            asset="USD",
            asset_decimals=2,
            credits=1,
            tariff=Tariff(version=1, policy="time", policy_version=1),
            hold_seconds=600,
            longest_seconds=900,
            period="month",
        ),
    ),
    (
        b'{"type":"purchased","account":1,"subscriber":"s","plan":"p","credits":1,"asset":"A","asset_decimals":6}',
        Purchased(account=1, subscriber="s", plan="p", credits=1, asset="A", asset_decimals=6),
    ),
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
        b'{"type":"plan_created","plan":"p","owner":"o","asset":"USD","credits":1,"tariff":{"version":1,"policy":"'
        b'time","policy_version":1},"hold_seconds":600,"longest_seconds":900,"period":"month","key_seconds":86400}',
        PlanCreated(
            plan="p",
            owner="o",
            asset="USD",
            credits=1,
            tariff=Tariff(version=1, policy="time", policy_version=1),
            hold_seconds=600,
            longest_seconds=900,
            period="month",
            key_seconds=86_400,
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
