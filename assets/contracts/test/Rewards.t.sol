// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {Field} from "../src/Field.sol";
import {IPoseidonT3} from "../src/IPoseidonT3.sol";
import {Rewards} from "../src/Rewards.sol";
import {World} from "./World.sol";

/// The credit tree of a block of two txs with one call each:
///
///   root 209 Anna -> merge 173 Bert -> base 175 Anna -> kernel 173 Anna -> (tx), vm 10 Bert
///                                   \-> uniform 358 Carl (base, kernel and vm by one payee)
contract RewardsTest is World {
    address internal constant CARL = address(0xca21);
    uint256 internal constant UNITS = 209 + 173 + 175 + 173 + 10 + 358;

    uint256 internal vmValue;
    uint256 internal kernelValue;
    uint256 internal baseValue;
    uint256 internal uniformValue;
    uint256 internal mergeValue;
    uint256 internal rootValue;

    function setUp() public override {
        super.setUp();
        vmValue = value(meta(1, 10, 10), BERT, 0, 0);
        kernelValue = value(meta(2, 173, 183), ANNA, 0, vmValue);
        baseValue = value(meta(3, 175, 358), ANNA, kernelValue, 0);
        uniformValue = value(meta(6, 358, 358), CARL, 0, 0);
        mergeValue = value(meta(4, 173, 889), BERT, baseValue, uniformValue);
        rootValue = value(meta(5, 209, UNITS), ANNA, mergeValue, 0);
        revealed(0);
        uint256[9] memory words_ = words(START_ROOT, 1);
        words_[4] = rootValue;
        words_[6] = UNITS;
        settled(0, words_);
    }

    function meta(uint256 kind, uint256 own, uint256 total) internal pure returns (uint256) {
        return (kind << 128) | (own << 64) | total;
    }

    function record(uint256 meta_, address payee) internal view returns (uint256) {
        return poseidon.hash([poseidon.hash([uint256(9), meta_]), uint256(uint160(payee))]);
    }

    function value(uint256 meta_, address payee, uint256 left, uint256 right)
        internal
        view
        returns (uint256)
    {
        return poseidon.hash([record(meta_, payee), poseidon.hash([left, right])]);
    }

    /// (rec, left, right) of root, merge, base and kernel, in this order.
    function path(uint256 depth) internal view returns (uint256[3][] memory steps) {
        steps = new uint256[3][](depth);
        if (depth > 0) steps[0] = [record(meta(5, 209, UNITS), ANNA), mergeValue, 0];
        if (depth > 1) steps[1] = [record(meta(4, 173, 889), BERT), baseValue, uniformValue];
        if (depth > 2) steps[2] = [record(meta(3, 175, 358), ANNA), kernelValue, 0];
        if (depth > 3) steps[3] = [record(meta(2, 173, 183), ANNA), 0, vmValue];
    }

    function share(uint256 own) internal pure returns (uint256) {
        return uint256(SLOT_REWARD) * own / UNITS;
    }

    function test_every_record_of_the_tree_is_paid_once() public {
        rewards.claim(0, 1, path(0), meta(5, 209, UNITS), ANNA, [mergeValue, 0]);
        rewards.claim(0, 2, path(1), meta(4, 173, 889), BERT, [baseValue, uniformValue]);
        rewards.claim(0, 4, path(2), meta(3, 175, 358), ANNA, [kernelValue, 0]);
        rewards.claim(0, 5, path(2), meta(6, 358, 358), CARL, [uint256(0), 0]);
        rewards.claim(0, 8, path(3), meta(2, 173, 183), ANNA, [0, vmValue]);
        rewards.claim(0, 17, path(4), meta(1, 10, 10), BERT, [uint256(0), 0]);
        assertEq(token.balanceOf(ANNA), share(209) + share(175) + share(173), "Anna");
        assertEq(token.balanceOf(BERT), share(173) + share(10), "Bert");
        assertEq(token.balanceOf(CARL), share(358), "Carl");
        Rewards.Pool memory pool = rewards.poolOf(0);
        assertEq(pool.paid + rewards.owed(), pool.amount, "the rest stays owed");
        assertTrue(rewards.owed() < 6, "only what rounding left");
        uint256[3][] memory steps = path(2);
        vm.expectRevert(abi.encodeWithSelector(Rewards.AlreadyClaimed.selector, 0, 5));
        rewards.claim(0, 5, steps, meta(6, 358, 358), CARL, [uint256(0), 0]);
    }

    function test_a_wrong_path_is_refused() public {
        uint256[3][] memory steps = path(2);
        steps[1][2] ^= 1;
        vm.expectRevert(abi.encodeWithSelector(Rewards.WrongPath.selector, 1));
        rewards.claim(0, 5, steps, meta(6, 358, 358), CARL, [uint256(0), 0]);
        steps = path(2);
        steps[0][0] ^= 1;
        vm.expectRevert(abi.encodeWithSelector(Rewards.WrongPath.selector, 0));
        rewards.claim(0, 5, steps, meta(6, 358, 358), CARL, [uint256(0), 0]);
    }

    function test_a_position_names_one_record() public {
        uint256[3][] memory steps = path(2);
        vm.expectRevert(Rewards.WrongRecord.selector);
        rewards.claim(0, 4, steps, meta(6, 358, 358), CARL, [uint256(0), 0]);
        vm.expectRevert(abi.encodeWithSelector(Rewards.WrongPath.selector, 1));
        rewards.claim(0, 7, steps, meta(6, 358, 358), CARL, [uint256(0), 0]);
        uint256[4] memory depths = [uint256(0), 1, 8, 5 | (1 << 255)];
        for (uint256 i; i < depths.length; ++i) {
            vm.expectRevert(abi.encodeWithSelector(Rewards.WrongDepth.selector, depths[i], 2));
            rewards.claim(0, depths[i], steps, meta(6, 358, 358), CARL, [uint256(0), 0]);
        }
        uint256[3][] memory deep = new uint256[3][](64);
        vm.expectRevert(abi.encodeWithSelector(Rewards.WrongDepth.selector, 1 << 64, 64));
        rewards.claim(0, 1 << 64, deep, meta(6, 358, 358), CARL, [uint256(0), 0]);
    }

    function test_a_wrong_payee_or_more_units_are_refused() public {
        uint256[3][] memory steps = path(2);
        vm.expectRevert(Rewards.WrongRecord.selector);
        rewards.claim(0, 5, steps, meta(6, 358, 358), BERT, [uint256(0), 0]);
        vm.expectRevert(Rewards.WrongRecord.selector);
        rewards.claim(0, 5, steps, meta(6, 359, 358), CARL, [uint256(0), 0]);
        vm.expectRevert(Rewards.WrongRecord.selector);
        rewards.claim(0, 5, steps, meta(6, 358, 358), CARL, [uint256(1), 0]);
    }

    function test_words_have_one_encoding() public {
        uint256[3][] memory steps = path(2);
        uint256 second = meta(6, 358, 358) + Field.ORDER;
        vm.expectRevert(abi.encodeWithSelector(Rewards.WrongMeta.selector, second));
        rewards.claim(0, 5, steps, second, CARL, [uint256(0), 0]);
        vm.expectRevert(abi.encodeWithSelector(Field.NotInField.selector, Field.ORDER));
        rewards.claim(0, 5, steps, meta(6, 358, 358), CARL, [Field.ORDER, 0]);
        steps[1][2] += Field.ORDER;
        vm.expectRevert(abi.encodeWithSelector(Field.NotInField.selector, steps[1][2]));
        rewards.claim(0, 5, steps, meta(6, 358, 358), CARL, [uint256(0), 0]);
    }

    function test_no_pool_no_pay() public {
        vm.expectRevert(abi.encodeWithSelector(Rewards.NoPool.selector, 1));
        rewards.claim(1, 1, path(0), meta(5, 209, UNITS), ANNA, [mergeValue, 0]);
    }

    function test_only_slots_opens_pools() public {
        vm.expectRevert(abi.encodeWithSelector(Rewards.NotSlots.selector, address(this)));
        rewards.open(9, 1, 1, 1);
    }

    function test_records_that_sum_to_more_than_the_units_cannot_empty_other_pools() public {
        Rewards lone = new Rewards(token, poseidon, address(this));
        token.transfer(address(lone), 1_000);
        uint256 leaf = value(meta(6, 60, 60), CARL, 0, 0);
        uint256 root = value(meta(5, 60, 100), ANNA, leaf, 0);
        lone.open(3, root, 100, 500);
        lone.open(4, root, 100, 500);
        lone.claim(3, 1, new uint256[3][](0), meta(5, 60, 100), ANNA, [leaf, 0]);
        uint256[3][] memory steps = new uint256[3][](1);
        steps[0] = [record(meta(5, 60, 100), ANNA), leaf, 0];
        vm.expectRevert(abi.encodeWithSelector(Rewards.PoolExceeded.selector, 600, 500));
        lone.claim(3, 2, steps, meta(6, 60, 60), CARL, [uint256(0), 0]);
    }

    function test_a_share_of_nothing_is_refused() public {
        Rewards lone = new Rewards(token, poseidon, address(this));
        uint256 root = value(meta(5, 60, 60), ANNA, 0, 0);
        lone.open(3, root, 60, 500);
        vm.expectRevert(Rewards.NothingToPay.selector);
        lone.claim(3, 1, new uint256[3][](0), meta(5, 60, 60), ANNA, [uint256(0), 0]);
    }

    function test_another_hash_is_refused() public {
        WrongHash wrong = new WrongHash();
        vm.expectRevert(Rewards.WrongPoseidon.selector);
        new Rewards(token, IPoseidonT3(address(wrong)), address(this));
        vm.expectRevert(abi.encodeWithSelector(Rewards.NoCode.selector, address(0x123)));
        new Rewards(token, IPoseidonT3(address(0x123)), address(this));
    }
}

contract WrongHash {
    function hash(uint256[2] calldata input) external pure returns (uint256) {
        return uint256(keccak256(abi.encode(input))) >> 8;
    }
}

/// Opens pools over trees of two records, funds and claims in any order and with any units, honest
/// or not.
contract Claimant is World {
    uint64 public opened;
    Rewards public lone;
    mapping(uint64 slot => uint64[2]) private _own;

    function setUp() public override {
        super.setUp();
        lone = new Rewards(token, poseidon, address(this));
    }

    function fund(uint96 amount) external {
        token.transfer(address(lone), amount % 1e18);
    }

    function open(uint64 first, uint64 second, uint64 units, uint96 reward) external {
        _own[opened] = [first, second];
        uint256 leaf = _value((6 << 128) | (uint256(second) << 64), 0);
        lone.open(opened, _value((5 << 128) | (uint256(first) << 64), leaf), units | 1, reward);
        ++opened;
    }

    function claim(uint64 slot, bool root) external {
        if (opened == 0) return;
        slot %= opened;
        uint64[2] memory own = _own[slot];
        uint256 leafMeta = (6 << 128) | (uint256(own[1]) << 64);
        uint256 rootMeta = (5 << 128) | (uint256(own[0]) << 64);
        uint256 leaf = _value(leafMeta, 0);
        uint256[3][] memory steps = new uint256[3][](root ? 0 : 1);
        if (!root) steps[0] = [_record(rootMeta), leaf, 0];
        lone.claim(
            slot, root ? 1 : 2, steps, root ? rootMeta : leafMeta, ANNA, [root ? leaf : 0, 0]
        );
    }

    function _record(uint256 meta) private view returns (uint256) {
        return poseidon.hash([poseidon.hash([uint256(9), meta]), uint256(uint160(ANNA))]);
    }

    function _value(uint256 meta, uint256 left) private view returns (uint256) {
        return poseidon.hash([_record(meta), poseidon.hash([left, uint256(0)])]);
    }

    function balance() external view returns (uint256) {
        return token.balanceOf(address(lone));
    }

    function paid() external view returns (uint256) {
        return token.balanceOf(ANNA);
    }
}

contract RewardsInvariants is World {
    Claimant internal claimant;

    function setUp() public override {
        claimant = new Claimant();
        claimant.setUp();
    }

    function targetContracts() public view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(claimant);
    }

    function targetSelectors() public view returns (FuzzSelector[] memory selectors) {
        selectors = new FuzzSelector[](1);
        bytes4[] memory all = new bytes4[](3);
        all[0] = Claimant.fund.selector;
        all[1] = Claimant.open.selector;
        all[2] = Claimant.claim.selector;
        selectors[0] = FuzzSelector(address(claimant), all);
    }

    struct FuzzSelector {
        address addr;
        bytes4[] selectors;
    }

    function invariant_no_pool_pays_more_than_it_has() public view {
        Rewards lone = claimant.lone();
        uint256 owed;
        uint256 paid;
        for (uint64 slot; slot < claimant.opened(); ++slot) {
            Rewards.Pool memory pool = lone.poolOf(slot);
            assertTrue(pool.paid <= pool.amount, "paid at most the pool");
            owed += pool.amount - pool.paid;
            paid += pool.paid;
        }
        assertEq(owed, lone.owed(), "owed is the sum of what is not paid");
        assertEq(paid, claimant.paid(), "paid is what was received");
        assertTrue(lone.owed() <= claimant.balance(), "what is owed is there");
    }
}
