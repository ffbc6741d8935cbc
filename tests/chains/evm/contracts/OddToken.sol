// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";
import {ERC3009} from "@openzeppelin/contracts/token/ERC20/extensions/draft-ERC3009.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";

/// @title A token that does one odd thing: keeps a fee, calls somebody on each transfer, or says that it failed
contract OddToken is ERC20, EIP712, ERC3009 {
    /// @notice What a transfer keeps, in hundredths.
    uint256 public fee;

    /// @notice What `transfer` and `transferFrom` answer.
    bool public answer = true;

    /// @notice Who is called on each transfer, and with what.
    address public hookTarget;
    bytes public hookData;

    /// @notice How the last call of the hook went, and what it returned.
    uint256 public hookCalls;
    bool public hookPassed;
    bytes public hookReturned;

    /// @dev Whether the hook is being called: a transfer from inside of it calls nobody.
    bool private _hooking;

    /// @notice Make a token of which nobody has any.
    constructor() ERC20("Odd", "ODD") EIP712("Odd", "1") {}

    /// @notice Make tokens out of nothing.
    /// @param to who gets them
    /// @param amount in the smallest unit
    function mint(address to, uint256 amount) external {
        _mint(to, amount);
    }

    /// @notice Take tokens away, as a token does whose balances change by themselves.
    /// @param from who loses them
    /// @param amount in the smallest unit
    function burn(address from, uint256 amount) external {
        _burn(from, amount);
    }

    /// @notice Keep a part of each transfer from now on.
    /// @param hundredths of what is transferred
    function setFee(uint256 hundredths) external {
        fee = hundredths;
    }

    /// @notice Answer so from now on, and move nothing where the answer is no.
    /// @param yes what is answered
    function setAnswer(bool yes) external {
        answer = yes;
    }

    /// @notice Call somebody on each transfer from now on.
    /// @param target who is called; 0 for nobody
    /// @param data with what
    function setHook(address target, bytes calldata data) external {
        hookTarget = target;
        hookData = data;
    }

    /// @inheritdoc ERC20
    function transfer(address to, uint256 amount) public override returns (bool) {
        return answer && super.transfer(to, amount);
    }

    /// @inheritdoc ERC20
    function transferFrom(address from, address to, uint256 amount) public override returns (bool) {
        return answer && super.transferFrom(from, to, amount);
    }

    /// @dev Every movement of tokens comes through here.
    /// @param from who has them, 0 where they are made
    /// @param to who gets them, 0 where they are burnt
    /// @param amount in the smallest unit
    function _update(address from, address to, uint256 amount) internal override {
        if (from == address(0) || to == address(0)) return super._update(from, to, amount);
        if (hookTarget != address(0) && !_hooking) {
            _hooking = true;
            hookCalls += 1;
            (hookPassed, hookReturned) = hookTarget.call(hookData);
            _hooking = false;
        }
        uint256 kept = (amount * fee) / 100;
        super._update(from, to, amount - kept);
        if (kept > 0) super._update(from, address(0), kept);
    }
}
