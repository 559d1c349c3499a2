// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {Bls} from "../src/Bls.sol";
import {Registry} from "../src/Registry.sol";
import {Token} from "../src/Token.sol";
import {World} from "./World.sol";

contract RegistryTest is World {
    address internal constant CARL = address(0xca21);

    function bonded(uint16 rollup, uint16 vmLanes, bytes32 meshKey) internal returns (uint32) {
        uint256 bond = (uint256(rollup) + vmLanes) * LANE_BOND;
        token.transfer(CARL, bond);
        vm.prank(CARL);
        token.approve(address(registry), bond);
        address operator = address(uint160(uint256(keccak256(abi.encode(meshKey)))));
        vm.prank(CARL);
        return registry.register(operator, meshKey, address(0x9a1), rollup, vmLanes);
    }

    function test_a_prover_is_stored_and_its_bond_taken() public {
        assertEq(bonded(2, 1, bytes32("m")), 0, "first index");
        assertEq(bonded(0, 1, bytes32("n")), 1, "second index");
        Registry.Prover memory p = registry.proverAt(0);
        assertEq(p.owner, CARL, "owner");
        assertEq(p.payout, address(0x9a1), "payout");
        assertEq(p.meshKey, bytes32("m"), "mesh key");
        assertEq(p.rollup, 2, "rollup lanes");
        assertEq(p.vm, 1, "vm lanes");
        assertEq(registry.bondOf(0), 3 * LANE_BOND, "bond");
        assertEq(
            token.balanceOf(address(registry)), 4 * LANE_BOND + 2 * SEQUENCER_BOND, "all bonds"
        );
    }

    function test_no_bond_no_lane() public {
        vm.prank(CARL);
        vm.expectRevert();
        registry.register(address(1), bytes32("m"), address(1), 1, 0);
        assertEq(registry.proverCount(), 0, "nobody is registered");
    }

    function test_bad_registrations_are_refused() public {
        bonded(1, 0, bytes32("m"));
        address operator = registry.proverAt(0).operator;
        vm.expectRevert(abi.encodeWithSelector(Registry.WrongLaneCount.selector, 0));
        registry.register(address(1), bytes32("x"), address(1), 0, 0);
        vm.expectRevert(abi.encodeWithSelector(Registry.WrongLaneCount.selector, 65_536));
        registry.register(address(1), bytes32("x"), address(1), 65_535, 1);
        vm.expectRevert(abi.encodeWithSelector(Registry.Taken.selector, bytes32("operator")));
        registry.register(operator, bytes32("x"), address(1), 1, 0);
        vm.expectRevert(abi.encodeWithSelector(Registry.Taken.selector, bytes32("meshKey")));
        registry.register(address(1), bytes32("m"), address(1), 1, 0);
        vm.expectRevert(abi.encodeWithSelector(Registry.Taken.selector, bytes32("meshKey")));
        registry.register(address(1), bytes32("anna"), address(1), 1, 0);
        vm.expectRevert(abi.encodeWithSelector(Registry.ZeroValue.selector, bytes32("meshKey")));
        registry.register(address(1), bytes32(0), address(1), 1, 0);
        vm.expectRevert(abi.encodeWithSelector(Registry.ZeroValue.selector, bytes32("operator")));
        registry.register(address(0), bytes32("x"), address(1), 1, 0);
        vm.expectRevert(abi.encodeWithSelector(Registry.ZeroValue.selector, bytes32("payout")));
        registry.register(address(1), bytes32("x"), address(0), 1, 0);
    }

    function test_a_bond_is_returned_once_and_only_after_the_delay() public {
        uint32 prover = bonded(1, 1, bytes32("m"));
        vm.expectRevert(abi.encodeWithSelector(Registry.NotTheOwner.selector, address(this)));
        registry.leaveProver(prover);
        vm.prank(CARL);
        vm.expectRevert(abi.encodeWithSelector(Registry.Locked.selector, 0));
        registry.withdrawProver(prover);
        vm.roll(10);
        vm.prank(CARL);
        registry.leaveProver(prover);
        vm.prank(CARL);
        vm.expectRevert(Registry.AlreadyLeft.selector);
        registry.leaveProver(prover);
        vm.roll(10 + UNLOCK - 1);
        vm.prank(CARL);
        vm.expectRevert(abi.encodeWithSelector(Registry.Locked.selector, 10 + UNLOCK));
        registry.withdrawProver(prover);
        vm.roll(10 + UNLOCK);
        vm.expectRevert(abi.encodeWithSelector(Registry.NotTheOwner.selector, address(this)));
        registry.withdrawProver(prover);
        vm.prank(CARL);
        registry.withdrawProver(prover);
        assertEq(token.balanceOf(CARL), 2 * LANE_BOND, "bond returned");
        assertEq(registry.bondOf(prover), 0, "nothing bonded");
        vm.prank(CARL);
        vm.expectRevert(abi.encodeWithSelector(Registry.NotTheOwner.selector, CARL));
        registry.withdrawProver(prover);
        assertEq(bonded(1, 0, bytes32("m")), 1, "keys are free again, the index is not");
    }

    function test_a_sequencer_leaves_and_withdraws() public {
        vm.prank(ANNA);
        registry.leaveSequencer();
        vm.roll(block.number + UNLOCK);
        vm.prank(ANNA);
        registry.withdrawSequencer();
        assertEq(token.balanceOf(ANNA), SEQUENCER_BOND, "bond returned");
        vm.prank(ANNA);
        vm.expectRevert(abi.encodeWithSelector(Registry.NotASequencer.selector, ANNA));
        registry.withdrawSequencer();
        vm.prank(BERT);
        vm.expectRevert(abi.encodeWithSelector(Registry.Locked.selector, 0));
        registry.withdrawSequencer();
    }

    function test_a_proof_of_possession_belongs_to_one_owner() public {
        bytes memory key = publicKey(ANNA_KEY);
        bytes32 message = registry.possessionMessage(ANNA, keccak256(key));
        bytes memory possession = sign(ANNA_KEY, message, Bls.POSSESSION_DOMAIN);
        vm.prank(CARL);
        vm.expectRevert(Bls.BadSignature.selector);
        registry.registerSequencer(key, possession, bytes32("carl"));
    }

    function test_a_ticket_is_no_proof_of_possession() public {
        bytes memory key = publicKey(ANNA_KEY);
        bytes32 message = registry.possessionMessage(CARL, keccak256(key));
        bytes memory ticket = sign(ANNA_KEY, message, Bls.VRF_DOMAIN);
        vm.prank(CARL);
        vm.expectRevert(Bls.BadSignature.selector);
        registry.registerSequencer(key, ticket, bytes32("carl"));
    }

    function test_the_identity_is_no_key() public {
        vm.expectRevert(Bls.KeyIsIdentity.selector);
        registry.registerSequencer(new bytes(256), new bytes(128), bytes32("carl"));
    }

    function test_a_key_of_the_wrong_length_or_curve_is_refused() public {
        bytes memory possession = sign(ANNA_KEY, bytes32(0), Bls.POSSESSION_DOMAIN);
        vm.expectRevert(abi.encodeWithSelector(Bls.BadLength.selector, 255));
        registry.registerSequencer(new bytes(255), possession, bytes32("carl"));
        bytes memory off = publicKey(ANNA_KEY);
        vm.expectRevert(abi.encodeWithSelector(Bls.BadLength.selector, 129));
        registry.registerSequencer(off, new bytes(129), bytes32("carl"));
        off[255] ^= 0x01;
        vm.expectRevert(Bls.BadSignature.selector);
        registry.registerSequencer(off, possession, bytes32("carl"));
    }

    function test_one_sequencer_per_owner() public {
        bytes memory key = publicKey(ANNA_KEY);
        vm.prank(ANNA);
        vm.expectRevert(abi.encodeWithSelector(Registry.Taken.selector, bytes32("owner")));
        registry.registerSequencer(key, new bytes(128), bytes32("again"));
    }

    function test_bounds_of_the_registry() public {
        vm.expectRevert(abi.encodeWithSelector(Registry.OutOfBounds.selector, bytes32("laneBond")));
        new Registry(token, 0, 1, 100);
        vm.expectRevert(
            abi.encodeWithSelector(Registry.OutOfBounds.selector, bytes32("sequencerBond"))
        );
        new Registry(token, 1, 0, 100);
        vm.expectRevert(
            abi.encodeWithSelector(Registry.OutOfBounds.selector, bytes32("unlockBlocks"))
        );
        new Registry(token, 1, 1, 63);
        vm.expectRevert(abi.encodeWithSelector(Registry.ZeroValue.selector, bytes32("token")));
        new Registry(IERC20(address(0x123)), 1, 1, 100);
    }

    function test_the_token_is_for_devnets_only() public {
        vm.chainId(1);
        vm.expectRevert(abi.encodeWithSelector(Token.DevnetOnly.selector, 1));
        new Token(1);
    }
}
