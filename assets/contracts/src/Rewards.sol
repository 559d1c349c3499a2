// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {Field} from "./Field.sol";
import {IPoseidonT3} from "./IPoseidonT3.sol";

/// One pool per settled slot, shared by the makers of its proofs in proportion to their units (R8,
/// R9). A credit tree hangs from one word per slot:
///
///   value = H2(rec, H2(left, right)), rec = H2(H2(9, meta), payee), meta = kind·2^128 + own·2^64 + total
///
/// left and right are the values of the tree child and of the vm or right child, 0 if there is
/// none. Whoever shows the path to a record has its payee paid, once. The pool is what the contract
/// owns and owes to nobody, at most the slot's reward: a lack of funds never stops the chain.
contract Rewards is ReentrancyGuardTransient {
    using SafeERC20 for IERC20;

    struct Pool {
        // Credit root of the slot.
        uint256 credit;
        // Units of the whole tree.
        uint64 units;
        // Base units to share.
        uint96 amount;
        // Base units paid so far, never above `amount`.
        uint96 paid;
    }

    /// Poseidon's tag of credit records.
    uint256 private constant CREDIT_TAG = 9;
    /// `kind` of a record that stands for a whole subtree by one payee.
    uint256 private constant KIND_UNIFORM = 6;
    /// A position fits 64 bits, as in the event.
    uint256 private constant DEPTH_MAX = 63;

    IERC20 public immutable token;
    IPoseidonT3 public immutable poseidon;
    /// The only contract that opens pools.
    address public immutable slots;
    /// Base units of all pools that are not paid yet.
    uint256 public owed;
    mapping(uint64 slot => Pool) private _pools;
    /// Whether the record at a position of a slot's credit tree was paid.
    mapping(uint64 slot => mapping(uint256 position => bool)) public claimed;

    event Paid(uint64 indexed slot, uint256 position, address indexed payee, uint128 amount);

    error NotSlots(address caller);
    error WrongPoseidon();
    error NoCode(address account);
    error NoPool(uint64 slot);
    error AlreadyClaimed(uint64 slot, uint256 position);
    error WrongDepth(uint256 position, uint256 steps);
    error WrongPath(uint256 step);
    error WrongRecord();
    error WrongMeta(uint256 meta);
    error NothingToPay();
    error PoolExceeded(uint256 paid, uint256 amount);

    constructor(IERC20 token_, IPoseidonT3 poseidon_, address slots_) {
        if (address(token_).code.length == 0) revert NoCode(address(token_));
        if (address(poseidon_).code.length == 0) revert NoCode(address(poseidon_));
        // H2(1, 2), the circuits' first test vector.
        if (
            poseidon_.hash([uint256(1), 2])
                != 7853200120776062878684798364095072458815029376092732009249414926327459813530
        ) revert WrongPoseidon();
        token = token_;
        poseidon = poseidon_;
        slots = slots_;
    }

    /// Opens `slot`'s pool with at most `reward`; called by `Slots` when the slot is settled.
    function open(uint64 slot, uint256 credit, uint64 units, uint96 reward)
        external
        returns (uint96 amount)
    {
        if (msg.sender != slots) revert NotSlots(msg.sender);
        uint256 free = token.balanceOf(address(this)) - owed;
        amount = free < reward ? uint96(free) : reward;
        owed += amount;
        _pools[slot] = Pool({credit: credit, units: units, amount: amount, paid: 0});
    }

    /// Pays `payee` for the record at `position` (heap index in the slot's credit tree, root 1).
    /// `steps` = (rec, left, right) of the nodes above it, from the root down; `meta` and `children`
    /// (left, right) open the record itself. Anybody may call it for any payee.
    function claim(
        uint64 slot,
        uint256 position,
        uint256[3][] calldata steps,
        uint256 meta,
        address payee,
        uint256[2] calldata children
    ) external nonReentrant {
        Pool storage pool = _pools[slot];
        if (pool.units == 0) revert NoPool(slot);
        if (claimed[slot][position]) revert AlreadyClaimed(slot, position);
        // One encoding per record: its units must not change with a multiple of the field's order.
        if (meta >> 128 > KIND_UNIFORM) revert WrongMeta(meta);
        if (_value(_record(meta, payee), children) != _descend(pool.credit, position, steps)) {
            revert WrongRecord();
        }
        uint256 own = uint64(meta >> 64);
        uint256 amount = uint256(pool.amount) * own / pool.units;
        if (amount == 0) revert NothingToPay();
        if (pool.paid + amount > pool.amount) revert PoolExceeded(pool.paid + amount, pool.amount);
        claimed[slot][position] = true;
        pool.paid += uint96(amount);
        owed -= amount;
        emit Paid(slot, position, payee, uint128(amount));
        token.safeTransfer(payee, amount);
    }

    function poolOf(uint64 slot) external view returns (Pool memory) {
        return _pools[slot];
    }

    /// The value at `position`, following `steps` from the root's `value`; the bits of the position
    /// after its first say left (0) or right (1).
    function _descend(uint256 value, uint256 position, uint256[3][] calldata steps)
        private
        view
        returns (uint256)
    {
        uint256 depth = steps.length;
        if (depth > DEPTH_MAX || position >> depth != 1) revert WrongDepth(position, depth);
        for (uint256 i; i < depth; ++i) {
            uint256[3] calldata step = steps[i];
            if (_value(step[0], [step[1], step[2]]) != value) revert WrongPath(i);
            value = (position >> (depth - 1 - i)) & 1 == 0 ? step[1] : step[2];
        }
        return value;
    }

    /// P(9; meta, payee).
    function _record(uint256 meta, address payee) private view returns (uint256) {
        return _hash(_hash(CREDIT_TAG, meta), uint160(payee));
    }

    function _value(uint256 record, uint256[2] memory children) private view returns (uint256) {
        return _hash(record, _hash(children[0], children[1]));
    }

    function _hash(uint256 a, uint256 b) private view returns (uint256) {
        Field.check(a);
        Field.check(b);
        return poseidon.hash([a, b]);
    }
}
