// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title A contract that does what it is told: a wallet, a receiver that takes no coin, or one that calls back
contract Puppet {
    /// @notice Whether it takes coins.
    bool public refusing;

    /// @notice Who is called when coins come, and with what.
    address public hookTarget;
    bytes public hookData;

    /// @notice How the last such call went, and what it returned.
    uint256 public hookCalls;
    bool public hookPassed;
    bytes public hookReturned;

    /// @notice Call somebody in this contract's name.
    /// @param target who is called
    /// @param value coins that are sent along
    /// @param data with what
    /// @return returned what came back
    function act(address target, uint256 value, bytes calldata data) external returns (bytes memory returned) {
        bool passed;
        (passed, returned) = target.call{value: value}(data);
        if (!passed) {
            assembly {
                revert(add(returned, 32), mload(returned))
            }
        }
    }

    /// @notice Take coins, or refuse them, from now on.
    /// @param yes whether they are refused
    function setRefusing(bool yes) external {
        refusing = yes;
    }

    /// @notice Call somebody whenever coins come, from now on.
    /// @param target who is called; 0 for nobody
    /// @param data with what
    function setHook(address target, bytes calldata data) external {
        hookTarget = target;
        hookData = data;
    }

    /// @notice Take coins.
    receive() external payable {
        require(!refusing);
        if (hookTarget == address(0)) return;
        hookCalls += 1;
        (hookPassed, hookReturned) = hookTarget.call(hookData);
    }
}
