// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Ownable} from "@openzeppelin/contracts/access/Ownable.sol";
import {Ownable2Step} from "@openzeppelin/contracts/access/Ownable2Step.sol";
import {IERC3009} from "@openzeppelin/contracts/interfaces/draft-IERC3009.sol";
import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {MerkleProof} from "@openzeppelin/contracts/utils/cryptography/MerkleProof.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";

/// @title Settlement of usage that is metered off-chain
/// @notice Purchases put money in escrow. Each period the operator posts one batch: the Merkle root of what every
/// account was charged and credited so far, and the netted payouts. Receivers claim their dues; subscribers leave
/// with their unspent money by proof, also without the operator.
/// @dev At every step, for each token (address 0 is the chain's own coin):
///
///     balance(token) == escrow(token) + Σ max(due(token, receiver), 0)
///
/// (money that is forced here without a purchase is extra, and cannot be withdrawn). Money enters by purchases only,
/// and leaves by claims and exits only. Batches move it from escrow to dues and back, never out.
/// Tokens that take a fee on transfer are refused at the purchase; rebasing tokens, whose balances change without
/// transfers, must not be used.
contract UsageSettlement is Ownable2Step, ReentrancyGuardTransient {
    using SafeCast for uint256;
    using SafeERC20 for IERC20;

    /// @notice One receiver's part of a plan's price, in the token's smallest unit.
    struct Share {
        address receiver;
        uint96 amount;
    }

    /// @notice A plan's terms: what it sells, and its price. They never change.
    /// @dev `token` 0 is the chain's own coin; `duration` is in seconds. The price is the sum of the shares.
    struct Plan {
        address token;
        uint64 credits;
        uint32 duration;
        Share[] shares;
    }

    /// @notice A purchase. Its id, `purchaseId(order)`, is bought once; `salt` distinguishes purchases of one plan.
    struct Order {
        uint256 planId;
        address subscriber;
        bytes32 salt;
    }

    /// @notice An EIP-3009 authorization of `from`, whose nonce is the purchase's id and whose value is its price.
    struct Authorization {
        address from;
        uint256 validAfter;
        uint256 validBefore;
        uint8 v;
        bytes32 r;
        bytes32 s;
    }

    /// @notice A batch, to which the operator commits. Numbers start at 1, and each batch has the previous one's digest.
    /// @dev `periodEnd` is the time (Unix seconds) up to which usage is counted, `leaves` the number of leaves under
    /// `usageRoot`, `dataHash` keccak of the published leaf file, `payoutsHash` keccak of the ABI-encoded payouts.
    struct Batch {
        uint64 seq;
        uint64 periodEnd;
        uint32 leaves;
        address token;
        bytes32 prevDigest;
        bytes32 usageRoot;
        bytes32 dataHash;
        bytes32 payoutsHash;
    }

    /// @notice The amount that a batch adds to a receiver's due; below 0 if refunds exceed earnings.
    struct Payout {
        address receiver;
        int96 amount;
    }

    /// @notice An account's total charges and credits so far, in the token's smallest unit.
    struct Leaf {
        address subscriber;
        uint256 planId;
        uint128 charged;
        uint128 credited;
    }

    /// @notice The stage of a batch.
    enum Stage {
        Absent,
        Committed,
        Executed,
        Cancelled
    }

    /// @notice A recorded batch: its digest, the time and block of its commitment, the block of its last change of
    /// stage, and the stage.
    struct Record {
        bytes32 digest;
        uint64 committedAt;
        uint64 committedBlock;
        uint64 movedBlock;
        Stage stage;
    }

    /// @notice The root of a token's last executed batch, the time up to which it counts usage, and the batch's number.
    /// @dev `periodEnd` is the batch's, but no later than its commitment: future usage cannot be counted.
    struct FinalRoot {
        bytes32 root;
        uint64 periodEnd;
        uint64 seq;
    }

    /// @notice A subscriber's account on a plan: the sum of its purchases, the time of its request to leave, the time of
    /// its claim that it was never charged (both in Unix seconds, 0 for never), and whether it has left.
    struct Account {
        uint128 paid;
        uint48 exitRequestedAt;
        uint48 unchargedClaimedAt;
        bool left;
    }

    /// @notice A plan's stored terms, without its shares; `price` is the sum of the shares, and 0 for no plan.
    struct Terms {
        address token;
        uint64 credits;
        uint32 duration;
        uint96 price;
        bool retired;
    }

    /// @notice The caller has published a plan under that salt.
    error PlanExists(uint256 planId);
    /// @notice No plan of that id is published.
    error PlanUnknown(uint256 planId);
    /// @notice The plan is no longer sold.
    error PlanIsRetired(uint256 planId);
    /// @notice The shares of a plan's price sum to 0.
    error NoPrice();
    /// @notice A plan must grant credits, a time, or both.
    error GrantsNothing();
    /// @notice A plan's price has more shares than the maximum.
    error TooManyShares(uint256 shares, uint256 most);
    /// @notice An address is missing.
    error ZeroAddress();
    /// @notice The order was already bought.
    error PurchaseExists(bytes32 purchaseId);
    /// @notice The value of the call is not the amount that the purchase needs.
    error WrongValue(uint256 sent, uint256 price);
    /// @notice The transfer did not increase the balance by exactly the price: the token takes a fee, or rebases.
    error NotExact(address token, uint256 received, uint256 price);
    /// @notice Only tokens have EIP-3009: a plan in the chain's own coin is bought by `purchase`.
    error CoinCannotBeAuthorized();
    /// @notice The subscriber has asked to leave the plan; a leaving account cannot buy more.
    error Leaving(address subscriber, uint256 planId);
    /// @notice The caller is not the operator.
    error NotOperator(address caller);
    /// @notice The caller is neither the guardian nor the owner.
    error NotGuardian(address caller);
    /// @notice The number is taken by the batch of that digest. If that is the caller's batch, it was already recorded.
    error BatchExists(uint64 seq, bytes32 digest);
    /// @notice Batches are recorded and executed in the order of their numbers.
    error BatchOutOfOrder(uint64 seq, uint64 expected);
    /// @notice The batch's `prevDigest` is not the digest of the previous batch.
    error WrongPrevious(bytes32 previous, bytes32 expected);
    /// @notice A batch must have leaves, and a root over them.
    error EmptyRoot();
    /// @notice No batch of that number and digest is recorded.
    error BatchUnknown(uint64 seq, bytes32 digest);
    /// @notice The batch was already executed or cancelled.
    error BatchNotOpen(uint64 seq);
    /// @notice The batch may still be challenged.
    error WindowOpen(uint256 until);
    /// @notice The contract has a challenge window: commit the batch, and execute it after the window.
    error WindowRequired(uint256 window);
    /// @notice These are not the payouts that the batch committed to.
    error WrongPayouts(bytes32 payoutsHash);
    /// @notice Escrow holds less than the amount that should leave it.
    error EscrowShort(address token, uint256 needed, uint256 escrow);
    /// @notice The proof does not lead from that leaf to the root.
    error ProofInvalid();
    /// @notice The leaf charges no more than the account paid in.
    error NotOverdrawn(uint256 net, uint256 paid);
    /// @notice The caller has bought nothing on that plan.
    error NothingBought(address subscriber, uint256 planId);
    /// @notice The caller has already asked to leave the plan.
    error ExitAlreadyRequested(uint256 since);
    /// @notice The caller has not asked to leave the plan.
    error ExitNotRequested();
    /// @notice The caller has left the plan.
    error ExitAlreadyPaid();
    /// @notice The exit delay is not over.
    error ExitDelay(uint256 until);
    /// @notice Committed batches await execution, so the last final root may be outdated.
    error BatchAwaitsExecution(uint256 waiting);
    /// @notice The caller has already claimed to have been charged nothing.
    error UnchargedAlreadyClaimed(uint256 since);
    /// @notice There is no open claim that the account was charged nothing.
    error UnchargedNotClaimed();
    /// @notice The leaf has no charge and no credit, so it does not refute the claim.
    error NothingRefuted();
    /// @notice The due is not above 0; below 0, the receiver owes.
    error NothingDue(int256 due);
    /// @notice The receiver is the address 0 or this contract, from which money could not be withdrawn.
    error CannotReceive(address receiver);
    /// @notice The receiver did not accept the coin.
    error CoinNotSent(address to, uint256 amount);

    /// @notice A plan is published; its terms never change.
    event PlanSet(
        uint256 indexed planId,
        address indexed owner,
        address token,
        uint64 credits,
        uint32 duration,
        Share[] shares
    );
    /// @notice A plan is no longer sold.
    event PlanRetired(uint256 indexed planId);
    /// @notice A subscriber has bought a plan at its price; the money is in escrow.
    event Purchased(
        bytes32 indexed purchaseId,
        address indexed subscriber,
        uint256 indexed planId,
        address token,
        uint96 amount
    );
    /// @notice A batch is recorded; `uri` is the location of its leaf file.
    event BatchCommitted(uint64 indexed seq, bytes32 digest, Batch batch, string uri);
    /// @notice A batch's payouts are due, and its root is final.
    event BatchExecuted(uint64 indexed seq, bytes32 digest);
    /// @notice A batch will never be executed.
    event BatchCancelled(uint64 indexed seq, bytes32 digest, string reason);
    /// @notice A receiver was paid its due.
    event Claimed(address indexed token, address indexed receiver, uint256 amount);
    /// @notice A subscriber has asked to leave a plan; the ledger freezes the account.
    event ExitRequested(address indexed subscriber, uint256 indexed planId);
    /// @notice A leaving subscriber claims to have been charged nothing.
    event UnchargedClaimed(address indexed subscriber, uint256 indexed planId);
    /// @notice A claim to have been charged nothing was refuted by a leaf.
    event UnchargedRefuted(address indexed subscriber, uint256 indexed planId, address by);
    /// @notice A subscriber has left a plan, and was paid that amount.
    event Exited(address indexed subscriber, uint256 indexed planId, address token, uint256 amount);
    /// @notice A new operator was set.
    event OperatorSet(address operator);
    /// @notice A new guardian was set; the address 0 for none.
    event GuardianSet(address guardian);

    /// @notice The contract's version. It changes with its interface or its behaviour.
    string public constant VERSION = "tollbook-usage-settlement-1";

    /// @notice The maximum number of shares of a plan's price.
    uint256 public constant MAX_SHARES = 32;

    /// @notice Seconds between a batch's commitment and its execution in which it may be challenged or cancelled.
    uint48 public immutable challengeWindow;

    /// @notice Seconds after an exit request until the ledger has certainly seen it: a batch whose period ends after
    /// that has all of the account's charges.
    uint48 public immutable freezeDelay;

    /// @notice Seconds after an exit request until the subscriber may leave without a new batch.
    uint48 public immutable exitDelay;

    /// @notice The block of the contract's deployment: earlier blocks have no logs of it.
    uint256 public immutable deployedBlock;

    /// @notice The account that may commit batches.
    address public operator;

    /// @notice The account that, besides the owner, may cancel a batch before it is executed.
    address public guardian;

    /// @notice The number of the last batch; 0 if there is none.
    uint64 public lastSeq;

    /// @notice The number up to which all batches are executed or cancelled: the batch after it is the next to execute.
    uint64 public settledSeq;

    /// @notice The number of batches that are committed, and neither executed nor cancelled.
    uint64 public waiting;

    /// @notice The money held for subscribers, by token, in its smallest unit.
    mapping(address token => uint256) public escrow;

    /// @notice The due of a receiver, signed: below 0 it is a receivable, which later payouts fill first.
    mapping(address token => mapping(address receiver => int256)) public due;

    /// @notice True for each purchase that was made, by id.
    mapping(bytes32 purchaseId => bool) public purchased;

    /// @notice The last final root by token.
    mapping(address token => FinalRoot) public finalRoot;

    /// @dev Plans, without their shares.
    mapping(uint256 planId => Terms) private _terms;

    /// @dev The shares of plans' prices.
    mapping(uint256 planId => Share[]) private _shares;

    /// @dev Accounts of subscribers, by plan.
    mapping(uint256 planId => mapping(address subscriber => Account)) private _accounts;

    /// @dev All batches, by number. There is no batch 0, so the first one has the previous digest 0.
    mapping(uint64 seq => Record) private _batches;

    /// @notice Deploy the contract. Its delays never change.
    /// @param owner_ sets operator and guardian, and may cancel batches
    /// @param operator_ commits batches
    /// @param guardian_ may cancel batches as well; 0 for none
    /// @param challengeWindow_ seconds; with 0 a batch is executed when it is recorded
    /// @param freezeDelay_ seconds
    /// @param exitDelay_ seconds
    constructor(
        address owner_,
        address operator_,
        address guardian_,
        uint48 challengeWindow_,
        uint48 freezeDelay_,
        uint48 exitDelay_
    ) Ownable(owner_) {
        require(operator_ != address(0), ZeroAddress());
        challengeWindow = challengeWindow_;
        freezeDelay = freezeDelay_;
        exitDelay = exitDelay_;
        deployedBlock = block.number;
        operator = operator_;
        guardian = guardian_;
        emit OperatorSet(operator_);
        emit GuardianSet(guardian_);
    }

    /// @dev Allow only the operator.
    modifier onlyOperator() {
        require(msg.sender == operator, NotOperator(msg.sender));
        _;
    }

    // -- plans --------------------------------------------------------------------------------------------------------

    /// @notice Publish a plan of the caller. Its terms never change; a new price is a new plan.
    /// @param salt distinguishes the caller's plans
    /// @param plan token, credits, duration, and the shares of the price by receiver
    /// @return planId the plan's id, keccak(owner, salt)
    function setPlan(bytes32 salt, Plan calldata plan) external returns (uint256 planId) {
        planId = planIdOf(msg.sender, salt);
        require(_terms[planId].price == 0, PlanExists(planId));
        require(plan.credits > 0 || plan.duration > 0, GrantsNothing());
        require(plan.shares.length <= MAX_SHARES, TooManyShares(plan.shares.length, MAX_SHARES));
        uint256 price;
        for (uint256 i = 0; i < plan.shares.length; i++) {
            _checkReceiver(plan.shares[i].receiver);
            price += plan.shares[i].amount;
            _shares[planId].push(plan.shares[i]);
        }
        require(price > 0, NoPrice());
        _terms[planId] = Terms({
            token: plan.token,
            credits: plan.credits,
            duration: plan.duration,
            price: price.toUint96(),
            retired: false
        });
        emit PlanSet(planId, msg.sender, plan.token, plan.credits, plan.duration, plan.shares);
    }

    /// @notice Stop selling a plan, permanently. Purchases stay valid.
    /// @param salt the salt with which the caller published it
    function retirePlan(bytes32 salt) external {
        uint256 planId = planIdOf(msg.sender, salt);
        require(_terms[planId].price > 0, PlanUnknown(planId));
        require(!_terms[planId].retired, PlanIsRetired(planId));
        _terms[planId].retired = true;
        emit PlanRetired(planId);
    }

    /// @notice The id of a plan, published or not.
    /// @param owner the publisher
    /// @param salt distinguishes that owner's plans
    /// @return the plan's id
    function planIdOf(address owner, bytes32 salt) public pure returns (uint256) {
        return uint256(keccak256(abi.encode(owner, salt)));
    }

    /// @notice A plan's terms and whether it is retired; empty for a plan that is not published.
    /// @param planId the plan's id
    /// @return plan the terms
    /// @return price the sum of the shares; 0 if the plan is not published
    /// @return retired true if it is no longer sold
    function getPlan(uint256 planId) external view returns (Plan memory plan, uint96 price, bool retired) {
        Terms memory terms = _terms[planId];
        plan = Plan(terms.token, terms.credits, terms.duration, _shares[planId]);
        return (plan, terms.price, terms.retired);
    }

    // -- purchases ----------------------------------------------------------------------------------------------------

    /// @notice The id of an order on this contract: its EIP-3009 nonce.
    /// @param order plan, subscriber and salt
    /// @return the purchase's id
    function purchaseId(Order calldata order) public view returns (bytes32) {
        return keccak256(abi.encode(block.chainid, address(this), order));
    }

    /// @notice Buy a plan for a subscriber with the caller's money: the value of the call, or approved tokens.
    /// @param order plan, subscriber and salt; each order buys once
    /// @return id the purchase's id
    function purchase(Order calldata order) external payable nonReentrant returns (bytes32 id) {
        Terms memory terms;
        (id, terms) = _enter(order);
        if (terms.token == address(0)) {
            require(msg.value == terms.price, WrongValue(msg.value, terms.price));
        } else {
            require(msg.value == 0, WrongValue(msg.value, 0));
            uint256 before = IERC20(terms.token).balanceOf(address(this));
            IERC20(terms.token).safeTransferFrom(msg.sender, address(this), terms.price);
            _checkExact(terms, before);
        }
    }

    /// @notice Buy a plan with an EIP-3009 authorization, which anyone may relay. Its nonce is the purchase's id, so
    /// that the money buys only this order, and only once.
    /// @param order plan, subscriber and salt
    /// @param authorization the payer's, for exactly the price, to this contract
    /// @return id the purchase's id
    function purchaseWithAuthorization(
        Order calldata order,
        Authorization calldata authorization
    ) external nonReentrant returns (bytes32 id) {
        Terms memory terms;
        (id, terms) = _enter(order);
        require(terms.token != address(0), CoinCannotBeAuthorized());
        uint256 before = IERC20(terms.token).balanceOf(address(this));
        IERC3009(terms.token).receiveWithAuthorization(
            authorization.from,
            address(this),
            terms.price,
            authorization.validAfter,
            authorization.validBefore,
            id,
            authorization.v,
            authorization.r,
            authorization.s
        );
        _checkExact(terms, before);
    }

    /// @dev Record a purchase without its money, which must be received before the call ends.
    /// @param order plan, subscriber and salt
    /// @return id the purchase's id
    /// @return terms of the plan
    function _enter(Order calldata order) private returns (bytes32 id, Terms memory terms) {
        terms = _terms[order.planId];
        require(terms.price > 0, PlanUnknown(order.planId));
        require(!terms.retired, PlanIsRetired(order.planId));
        require(order.subscriber != address(0), ZeroAddress());
        id = purchaseId(order);
        require(!purchased[id], PurchaseExists(id));
        Account storage account = _accounts[order.planId][order.subscriber];
        // The ledger freezes a leaving account permanently, so it could not use the purchase.
        require(account.exitRequestedAt == 0, Leaving(order.subscriber, order.planId));
        purchased[id] = true;
        account.paid += terms.price;
        escrow[terms.token] += terms.price;
        emit Purchased(id, order.subscriber, order.planId, terms.token, terms.price);
    }

    /// @dev Check that the transfer brought exactly the price: a token with a transfer fee would leave escrow short.
    /// @param terms of the plan
    /// @param before this contract's balance before the transfer
    function _checkExact(Terms memory terms, uint256 before) private view {
        uint256 held = IERC20(terms.token).balanceOf(address(this));
        uint256 received = held > before ? held - before : 0;
        require(received == terms.price, NotExact(terms.token, received, terms.price));
    }

    // -- accounts -----------------------------------------------------------------------------------------------------

    /// @notice True if a subscriber has bought a plan and not asked to leave. Its remaining credits and time are in the
    /// ledger.
    /// @param subscriber the buyer
    /// @param planId the plan's id
    /// @return true if it has bought the plan, and not asked to leave
    function hasAccess(address subscriber, uint256 planId) external view returns (bool) {
        Account storage account = _accounts[planId][subscriber];
        return account.paid > 0 && account.exitRequestedAt == 0;
    }

    /// @notice A subscriber's unspent money on a plan as of the last final root, in the token's smallest unit.
    /// @param subscriber the buyer
    /// @param planId the plan's id
    /// @param charged of its leaf
    /// @param credited of its leaf
    /// @param proof the leaf's siblings, up to the last final root of the plan's token
    /// @return the sum of its purchases less net charges; 0 once it has left
    function spendable(
        address subscriber,
        uint256 planId,
        uint128 charged,
        uint128 credited,
        bytes32[] calldata proof
    ) external view returns (uint256) {
        Leaf memory leaf = Leaf(subscriber, planId, charged, credited);
        require(_proves(finalRoot[_terms[planId].token].root, leaf, proof), ProofInvalid());
        Account storage account = _accounts[planId][subscriber];
        return account.left ? 0 : _rest(account.paid, leaf);
    }

    /// @notice A subscriber's account on a plan.
    /// @param subscriber the buyer
    /// @param planId the plan's id
    /// @return its purchases and the state of its exit; empty if it bought nothing
    function getAccount(address subscriber, uint256 planId) external view returns (Account memory) {
        return _accounts[planId][subscriber];
    }

    // -- batches ------------------------------------------------------------------------------------------------------

    /// @notice A recorded batch; empty for a number that is not taken.
    /// @param seq the batch's number
    /// @return digest, times and stage
    function getBatch(uint64 seq) external view returns (Record memory) {
        return _batches[seq];
    }

    /// @notice The digest of a batch on this contract, which is recorded, and is the next batch's `prevDigest`.
    /// @param batch the batch
    /// @return the digest, which also covers chain and contract
    function digestOf(Batch calldata batch) public view returns (bytes32) {
        return keccak256(abi.encode(block.chainid, address(this), batch));
    }

    /// @notice Record a batch. It can be executed after the challenge window.
    /// @param batch the next one in order, with the digest of the last one
    /// @param uri the location of its leaf file
    function commitBatch(Batch calldata batch, string calldata uri) external onlyOperator {
        _commit(batch, uri, Stage.Committed);
        waiting += 1;
    }

    /// @notice Record a batch and execute it, if there is no challenge window and no batch awaits execution.
    /// @param batch the next one in order, with the digest of the last one
    /// @param payouts the amounts that it adds to dues
    /// @param uri the location of its leaf file
    function settleBatch(Batch calldata batch, Payout[] calldata payouts, string calldata uri) external onlyOperator {
        require(challengeWindow == 0, WindowRequired(challengeWindow));
        bytes32 digest = _commit(batch, uri, Stage.Executed);
        require(waiting == 0, BatchAwaitsExecution(waiting));
        _execute(batch, payouts, digest);
    }

    /// @notice Execute a batch: its payouts change dues, and its root becomes the token's final one. Anyone may call
    /// this.
    /// @param batch the first one that is neither executed nor cancelled, after its challenge window
    /// @param payouts those that it committed to
    function executeBatch(Batch calldata batch, Payout[] calldata payouts) external {
        bytes32 digest = digestOf(batch);
        Record storage record = _open(batch.seq, digest);
        uint256 until = uint256(record.committedAt) + challengeWindow;
        require(block.timestamp >= until, WindowOpen(until));
        uint64 next = settledSeq + 1;
        require(batch.seq == next, BatchOutOfOrder(batch.seq, next));
        record.stage = Stage.Executed;
        record.movedBlock = uint64(block.number);
        waiting -= 1;
        _execute(batch, payouts, digest);
    }

    /// @notice Cancel a batch that is not executed. It keeps its number, and the next batch builds on its digest.
    /// @param seq the batch's number
    /// @param reason recorded in the log
    function cancelBatch(uint64 seq, string calldata reason) external {
        require(msg.sender == guardian || msg.sender == owner(), NotGuardian(msg.sender));
        _cancel(seq, _batches[seq].digest, reason);
    }

    /// @notice Cancel a batch by a leaf of it that charges an account more than it ever paid in. Anyone may call this.
    /// @param batch one that is committed and not executed
    /// @param leaf the account's leaf
    /// @param proof the leaf's siblings, up to the batch's root
    function challengeOverdraw(Batch calldata batch, Leaf calldata leaf, bytes32[] calldata proof) external {
        bytes32 digest = digestOf(batch);
        _open(batch.seq, digest);
        require(_proves(batch.usageRoot, leaf, proof), ProofInvalid());
        // Purchases in another token do not count.
        bool sameToken = _terms[leaf.planId].token == batch.token;
        uint256 paid = sameToken ? _accounts[leaf.planId][leaf.subscriber].paid : 0;
        uint256 net = _net(leaf);
        require(net > paid, NotOverdrawn(net, paid));
        _cancel(batch.seq, digest, "challenged: a leaf is overdrawn");
    }

    /// @dev Record a batch with the next number, the previous digest, and a root.
    /// @param batch the batch
    /// @param uri the location of its leaf file
    /// @param stage committed, or executed if it is executed in the same call
    /// @return digest the batch's
    function _commit(Batch calldata batch, string calldata uri, Stage stage) private returns (bytes32 digest) {
        uint64 last = lastSeq;
        require(batch.seq == 0 || batch.seq > last, BatchExists(batch.seq, _batches[batch.seq].digest));
        require(batch.seq == last + 1, BatchOutOfOrder(batch.seq, last + 1));
        bytes32 expected = _batches[last].digest;
        require(batch.prevDigest == expected, WrongPrevious(batch.prevDigest, expected));
        require(batch.usageRoot != bytes32(0) && batch.leaves > 0, EmptyRoot());
        digest = digestOf(batch);
        uint64 number = uint64(block.number);
        _batches[batch.seq] = Record(digest, uint64(block.timestamp), number, number, stage);
        lastSeq = batch.seq;
        emit BatchCommitted(batch.seq, digest, batch, uri);
    }

    /// @dev Make the root final, and move the payouts from escrow to dues, or back. No receiver's state can make this
    /// fail.
    /// @param batch the next one in order
    /// @param payouts those that it committed to
    /// @param digest the batch's
    function _execute(Batch calldata batch, Payout[] calldata payouts, bytes32 digest) private {
        require(keccak256(abi.encode(payouts)) == batch.payoutsHash, WrongPayouts(batch.payoutsHash));
        _settledUpTo(batch.seq);
        uint64 committedAt = _batches[batch.seq].committedAt;
        uint64 periodEnd = batch.periodEnd < committedAt ? batch.periodEnd : committedAt;
        finalRoot[batch.token] = FinalRoot(batch.usageRoot, periodEnd, batch.seq);
        mapping(address => int256) storage owed = due[batch.token];
        int256 moved; // the amount that leaves escrow: the change of the sum of positive dues
        for (uint256 i = 0; i < payouts.length; i++) {
            int256 before = owed[payouts[i].receiver];
            int256 afterwards = before + payouts[i].amount;
            owed[payouts[i].receiver] = afterwards;
            moved += (afterwards > 0 ? afterwards : int256(0)) - (before > 0 ? before : int256(0));
        }
        uint256 held = escrow[batch.token];
        if (moved > 0) {
            require(uint256(moved) <= held, EscrowShort(batch.token, uint256(moved), held));
            escrow[batch.token] = held - uint256(moved);
        } else if (moved < 0) {
            escrow[batch.token] = held + uint256(-moved);
        }
        emit BatchExecuted(batch.seq, digest);
    }

    /// @dev Cancel a batch that is committed, and neither executed nor cancelled.
    /// @param seq the batch's number
    /// @param digest the batch's
    /// @param reason recorded in the log
    function _cancel(uint64 seq, bytes32 digest, string memory reason) private {
        Record storage record = _open(seq, digest);
        record.stage = Stage.Cancelled;
        record.movedBlock = uint64(block.number);
        waiting -= 1;
        if (seq == settledSeq + 1) _settledUpTo(seq);
        emit BatchCancelled(seq, digest, reason);
    }

    /// @dev Set `settledSeq` to that batch, or to the last of the cancelled batches right after it.
    /// @param seq the batch's number
    function _settledUpTo(uint64 seq) private {
        uint64 last = lastSeq;
        while (seq < last && _batches[seq + 1].stage == Stage.Cancelled) seq++;
        settledSeq = seq;
    }

    /// @dev The record of a batch that is committed, and neither executed nor cancelled.
    /// @param seq the batch's number
    /// @param digest the batch's
    /// @return record in storage
    function _open(uint64 seq, bytes32 digest) private view returns (Record storage record) {
        record = _batches[seq];
        require(record.stage != Stage.Absent && record.digest == digest, BatchUnknown(seq, digest));
        require(record.stage == Stage.Committed, BatchNotOpen(seq));
    }

    // -- payouts ------------------------------------------------------------------------------------------------------

    /// @notice Pay a receiver its due. Anyone may call this; a receiver that cannot accept it blocks no other receiver.
    /// @param token the token; 0 for the chain's own coin
    /// @param receiver the receiver
    function claim(address token, address receiver) external nonReentrant {
        _checkReceiver(receiver);
        int256 owed = due[token][receiver];
        require(owed > 0, NothingDue(owed));
        due[token][receiver] = 0;
        emit Claimed(token, receiver, uint256(owed));
        _pay(token, receiver, uint256(owed));
    }

    // -- exits --------------------------------------------------------------------------------------------------------

    /// @notice Ask to leave a plan. The ledger freezes the account, and its unspent money can be taken by proof.
    /// @param planId the plan that the caller bought
    function requestExit(uint256 planId) external {
        Account storage account = _accounts[planId][msg.sender];
        require(account.paid > 0, NothingBought(msg.sender, planId));
        require(account.exitRequestedAt == 0, ExitAlreadyRequested(account.exitRequestedAt));
        account.exitRequestedAt = uint48(block.timestamp);
        emit ExitRequested(msg.sender, planId);
    }

    /// @notice Leave with the unspent money, by proof against the last final root: immediately if its period ends
    /// `freezeDelay` or more after the request; otherwise `exitDelay` after it, while no batch awaits execution.
    /// @dev A batch that cannot be executed (its payouts are not published, or escrow is short), or a series of new
    /// batches, must not lock money permanently: two `exitDelay` and a `challengeWindow` after the request, batches that
    /// await execution no longer prevent the exit.
    /// @param planId the plan that the caller bought
    /// @param charged of its leaf
    /// @param credited of its leaf
    /// @param proof the leaf's siblings, up to the last final root of the plan's token
    /// @return amount the amount that is paid, in the token's smallest unit
    function exit(
        uint256 planId,
        uint128 charged,
        uint128 credited,
        bytes32[] calldata proof
    ) external nonReentrant returns (uint256 amount) {
        Account storage account = _leaving(planId);
        Terms memory terms = _terms[planId];
        FinalRoot memory last = finalRoot[terms.token];
        Leaf memory leaf = Leaf(msg.sender, planId, charged, credited);
        require(_proves(last.root, leaf, proof), ProofInvalid());
        if (last.periodEnd < uint256(account.exitRequestedAt) + freezeDelay) {
            uint256 until = uint256(account.exitRequestedAt) + exitDelay;
            require(block.timestamp >= until, ExitDelay(until));
            until += uint256(exitDelay) + challengeWindow;
            require(waiting == 0 || block.timestamp >= until, BatchAwaitsExecution(waiting));
        }
        amount = _leave(account, planId, terms.token, _rest(account.paid, leaf));
    }

    /// @notice Claim to have been charged nothing, `exitDelay` after the request, for an account without a leaf. Anyone
    /// may refute the claim by a leaf.
    /// @param planId the plan that the caller bought
    function claimUncharged(uint256 planId) external {
        Account storage account = _leaving(planId);
        require(account.unchargedClaimedAt == 0, UnchargedAlreadyClaimed(account.unchargedClaimedAt));
        uint256 until = uint256(account.exitRequestedAt) + exitDelay;
        require(block.timestamp >= until, ExitDelay(until));
        account.unchargedClaimedAt = uint48(block.timestamp);
        emit UnchargedClaimed(msg.sender, planId);
    }

    /// @notice Refute a claim to have been charged nothing, by a leaf of the last final root.
    /// @param leaf the account's leaf
    /// @param proof the leaf's siblings, up to the last final root of the plan's token
    function refuteUncharged(Leaf calldata leaf, bytes32[] calldata proof) external {
        Account storage account = _accounts[leaf.planId][leaf.subscriber];
        require(account.unchargedClaimedAt != 0 && !account.left, UnchargedNotClaimed());
        require(_proves(finalRoot[_terms[leaf.planId].token].root, leaf, proof), ProofInvalid());
        require(leaf.charged > 0 || leaf.credited > 0, NothingRefuted());
        account.unchargedClaimedAt = 0;
        emit UnchargedRefuted(leaf.subscriber, leaf.planId, msg.sender);
    }

    /// @notice Leave with the full price of all purchases, `exitDelay` after an unrefuted claim to have been charged
    /// nothing.
    /// @param planId the plan that the caller bought
    /// @return amount the amount that is paid, in the token's smallest unit
    function exitUncharged(uint256 planId) external nonReentrant returns (uint256 amount) {
        Account storage account = _leaving(planId);
        require(account.unchargedClaimedAt != 0, UnchargedNotClaimed());
        uint256 until = uint256(account.unchargedClaimedAt) + exitDelay;
        require(block.timestamp >= until, ExitDelay(until));
        amount = _leave(account, planId, _terms[planId].token, account.paid);
    }

    /// @dev The caller's account, which has asked to leave and has not left.
    /// @param planId the plan that the caller bought
    /// @return account in storage
    function _leaving(uint256 planId) private view returns (Account storage account) {
        account = _accounts[planId][msg.sender];
        require(account.exitRequestedAt != 0, ExitNotRequested());
        require(!account.left, ExitAlreadyPaid());
    }

    /// @dev Close the caller's account permanently, and pay it.
    /// @param account the caller's, in storage
    /// @param planId the plan that the caller bought
    /// @param token the plan's
    /// @param rest the amount to pay
    /// @return the amount
    function _leave(Account storage account, uint256 planId, address token, uint256 rest) private returns (uint256) {
        uint256 held = escrow[token];
        require(rest <= held, EscrowShort(token, rest, held));
        account.left = true;
        escrow[token] = held - rest;
        emit Exited(msg.sender, planId, token, rest);
        _pay(token, msg.sender, rest);
        return rest;
    }

    // -- roles --------------------------------------------------------------------------------------------------------

    /// @notice Set a new operator. Batches of the previous one stay valid.
    /// @param operator_ the account that may commit batches from now on
    function setOperator(address operator_) external onlyOwner {
        require(operator_ != address(0), ZeroAddress());
        operator = operator_;
        emit OperatorSet(operator_);
    }

    /// @notice Set a new guardian, or none (0).
    /// @param guardian_ the account that, besides the owner, may cancel batches from now on
    function setGuardian(address guardian_) external onlyOwner {
        guardian = guardian_;
        emit GuardianSet(guardian_);
    }

    // -- leaves and money ---------------------------------------------------------------------------------------------

    /// @dev OpenZeppelin's standard leaf: hashed twice, so that no inner node of a tree can pass for one.
    /// @param root of the tree; 0 if there is none: it has no leaves
    /// @param leaf an account's counters
    /// @param proof the leaf's siblings
    /// @return true if the tree has the leaf
    function _proves(bytes32 root, Leaf memory leaf, bytes32[] calldata proof) private pure returns (bool) {
        bytes32 hashed = keccak256(bytes.concat(keccak256(abi.encode(leaf))));
        return root != bytes32(0) && MerkleProof.verifyCalldata(proof, root, hashed);
    }

    /// @dev An account's net charges.
    /// @param leaf the account's counters
    /// @return charged less credited, at least 0
    function _net(Leaf memory leaf) private pure returns (uint256) {
        return leaf.charged > leaf.credited ? leaf.charged - leaf.credited : 0;
    }

    /// @dev An account's unspent money: from 0 to `paid`, for any counters that an operator committed to.
    /// @param paid the sum of its purchases
    /// @param leaf the account's counters
    /// @return paid less net charges, at least 0
    function _rest(uint256 paid, Leaf memory leaf) private pure returns (uint256) {
        uint256 net = _net(leaf);
        return net < paid ? paid - net : 0;
    }

    /// @dev Refuse an address that cannot be paid.
    /// @param receiver of a share, or of a due
    function _checkReceiver(address receiver) private view {
        require(receiver != address(0) && receiver != address(this), CannotReceive(receiver));
    }

    /// @dev Pay out. Each call does this last, after all changes of state.
    /// @param token the token; 0 for the chain's own coin
    /// @param to the receiver
    /// @param amount in the token's smallest unit; for 0 nothing is called
    function _pay(address token, address to, uint256 amount) private {
        if (amount == 0) return;
        if (token != address(0)) {
            IERC20(token).safeTransfer(to, amount);
            return;
        }
        (bool sent, ) = to.call{value: amount}("");
        require(sent, CoinNotSent(to, amount));
    }
}
