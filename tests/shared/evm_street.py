"""A settlement contract on a local chain, with a token, two plans and people: for tests of the EVM room."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager

from patience import PATIENCE

from chains import prove
from chains.evm.addresses import asset_name, chain_name
from chains.evm.commitment import commitment_of
from chains.evm.contract import SettlementContract
from chains.evm.deploying import Delays, Roles, deploy_settlement, deploy_token, publish_plan
from chains.evm.local import DEV_ACCOUNTS
from chains.evm.node import Node
from chains.evm.publishing import LeafFiles
from chains.evm.sending import Sender
from chains.evm.tokens import Token
from chains.evm.wallet import Wallet
from chains.leaves import EVM_LEAF
from ledger.amounts import SECOND
from ledger.events import Leaf, Payout
from ledger.settlement.messages import Batch

OWNER, OPERATOR, GUARDIAN, PUBLISHER, ALICE, BOB, SELLER, PLATFORM, CAROL, _ = DEV_ACCOUNTS
PEOPLE = {"owner": OWNER, "operator": OPERATOR, "guardian": GUARDIAN, "alice": ALICE, "bob": BOB, "carol": CAROL}
PURSE = 1_000_000
PRICE = {SELLER.address: 900, PLATFORM.address: 100}


class Market:
    """Alice, Bob and Carol have a purse of the token each. A plan of 100 credits costs 1000 of it, one 1000 wei."""

    def __init__(self, chain, stack, *, window=0, freeze=60, exit=3600):
        self.chain, self.window, self.freeze, self.exit = chain, window, freeze, exit
        self.node = stack.enter_context(Node(chain.url, timeout=PATIENCE))
        self.name = chain_name(chain.chain_id)
        owner, publisher = self.sender(OWNER), self.sender(PUBLISHER)
        self.token = Token(self.node, deploy_token(owner).contract)
        self.asset, self.coin = asset_name(self.name, self.token.address), asset_name(self.name, "0x0")
        for person in (ALICE, BOB, CAROL):
            owner.send(*self.token.mint(person.address, PURSE))
        roles = Roles(OWNER.address, OPERATOR.address, GUARDIAN.address)
        self.deployed = deploy_settlement(owner, roles, Delays(window, freeze, exit))
        self.address = self.deployed.contract
        self.contract = SettlementContract(self.node, self.address)
        self.plan = publish_plan(publisher, self.contract, "pro", asset=self.asset, price=PRICE, credits=100).id
        self.coins = publish_plan(publisher, self.contract, "coins", asset=self.coin, price=PRICE, credits=100).id
        for name, person in PEOPLE.items():
            setattr(self, name, Wallet(self.node, person.key, self.address))

    def sender(self, account):
        return Sender(self.node, account.key)

    def buys(self, wallet, plan=None):
        """A purchase, approved first; its id."""
        if plan != self.coins:
            wallet.approve(self.asset, 1000)
        return wallet.purchase(plan or self.plan).id

    def batch(self, leaves, payouts, after=None, number=None):
        """A batch in the token; `leaves` are (wallet, charged, credited)."""
        made = [Leaf(wallet.address, self.plan, charged, credited) for wallet, charged, credited in leaves]
        return Batch(
            ledger="market",
            chain=self.name,
            contract=self.address,
            number=number or (after.number + 1 if after else 1),
            asset=self.asset,
            at=self.chain.now * SECOND,
            covers={"main": 1},
            head_seq=1,
            head_hash="ab" * 32,
            previous=commitment_of(after).digest if after else "",
            leaves=tuple(sorted(made, key=lambda leaf: (leaf.subscriber, leaf.plan))),
            payouts=tuple(Payout(receiver, amount) for receiver, amount in sorted(payouts.items())),
        )

    def commits(self, batch):
        """The operator records it, and where there is no window pays it out."""
        uri = LeafFiles(None).publish(b"")
        return self.sender(OPERATOR).send(self.address, self.contract.settle_data(batch, uri))

    def proof(self, batch, wallet):
        return prove(batch, EVM_LEAF, wallet.address, self.plan)


@contextmanager
def market(chain, **options):
    with ExitStack() as stack:
        yield Market(chain, stack, **options)
