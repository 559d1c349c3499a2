// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {PoseidonT3} from "poseidon-solidity/PoseidonT3.sol";
import {Bls} from "../src/Bls.sol";
import {Field} from "../src/Field.sol";
import {Header} from "../src/Header.sol";
import {IPoseidonT3} from "../src/IPoseidonT3.sol";
import {Params} from "../src/Params.sol";
import {Registry} from "../src/Registry.sol";
import {Rewards} from "../src/Rewards.sol";
import {Slots} from "../src/Slots.sol";
import {Token} from "../src/Token.sol";
import {Test} from "./Vm.sol";

/// Answers like the history contract of EIP-2935, with hashes that the test sets.
contract History {
    mapping(uint256 number => bytes32) private _hashes;

    function set(uint256 number, bytes32 hash) external {
        _hashes[number] = hash;
    }

    fallback(bytes calldata input) external returns (bytes memory) {
        return abi.encode(_hashes[abi.decode(input, (uint256))]);
    }
}

/// Stands where the generated verifier will stand: accepts exactly one calldata.
contract OneProof {
    bytes32 private _expected;

    function expect(bytes32 hash) external {
        _expected = hash;
    }

    fallback(bytes calldata input) external returns (bytes memory) {
        require(keccak256(input) == _expected, "not the expected calldata");
        return "";
    }
}

/// A deployment with two sequencers, and the steps of a slot's life.
abstract contract World is Test {
    bytes internal constant G2 = hex"00000000000000000000000000000000024aa2b2f08f0a91260805272dc51051c6e47ad4fa403b02b4510b647ae3d1770bac0326a805bbefd48056c8c121bdb8"
        hex"0000000000000000000000000000000013e02b6052719f607dacd3a088274f65596bd0d09920b61ab5da61bbdc7f5049334cf11213945d57e5ac7d055d042b7e"
        hex"000000000000000000000000000000000ce5d527727d6e118cc9cdc6da2e351aadfd9baa8cbdd3a76d429a695160d12c923ac9cc3baca289e193548608b82801"
        hex"000000000000000000000000000000000606c4a02ea734cc32acd2b02bc28b99cb3e287e85a763af267492ab572e99ab3f370d275cec1da1aaa9075ff05f79be";
    uint256 internal constant LANE_BOND = 100e18;
    uint256 internal constant SEQUENCER_BOND = 1_000e18;
    uint96 internal constant SLOT_REWARD = 100e18;
    uint64 internal constant GENESIS = 300;
    uint64 internal constant UNLOCK = 100;
    uint32 internal constant TX_PROOF = 70;
    uint32 internal constant ROOT_PROOF = 12 * 32 + 100;
    uint256 internal constant SET = 0x5e7;
    uint256 internal constant START_ROOT = 0x57a27;
    bytes32 internal constant SALT = bytes32("salt");
    uint256 internal constant TXS = 0x7c5;
    address internal constant ANNA = address(0xa11a);
    address internal constant BERT = address(0xbe27);
    address internal constant GOVERNOR = address(0x60);
    uint256 internal constant ANNA_KEY = 0xa11a5ec2e7;
    uint256 internal constant BERT_KEY = 0xbe275ec2e7;

    Token internal token;
    Registry internal registry;
    Rewards internal rewards;
    Slots internal slots;
    OneProof internal verifier;
    IPoseidonT3 internal poseidon;

    function setUp() public virtual {
        deploy(params());
        registerSequencer(ANNA, ANNA_KEY, bytes32("anna"));
        registerSequencer(BERT, BERT_KEY, bytes32("bert"));
        token.transfer(address(rewards), 1_000e18);
    }

    function params() internal pure returns (Params memory) {
        return Params({
            genesis: GENESIS,
            proposal: 5,
            reveal: 5,
            proving: 1_500,
            halting: 1,
            backup: 300,
            blockSeconds: 2,
            buildAheadMax: 2,
            txProofLength: TX_PROOF,
            rootProofLength: ROOT_PROOF,
            slotReward: SLOT_REWARD,
            circuitSet: SET,
            governance: GOVERNOR,
            epochSlots: 4,
            changeDelayEpochs: 1,
            changeoverEpochs: 1,
            stateRoot: START_ROOT
        });
    }

    function deploy(Params memory p) internal {
        token = new Token(1_000_000e18);
        poseidon = IPoseidonT3(address(PoseidonT3));
        registry = new Registry(token, LANE_BOND, SEQUENCER_BOND, UNLOCK);
        verifier = new OneProof();
        deploySlots(address(verifier), p);
        vm.etch(Header.HISTORY, address(new History()).code);
    }

    /// `Rewards` and `Slots` over this verifier.
    function deploySlots(address verifier_, Params memory p) internal {
        rewards = new Rewards(token, poseidon, created(vm.getNonce(address(this)) + 1));
        slots = new Slots(registry, rewards, verifier_, p);
    }

    /// Address of this contract's creation with this nonce.
    function created(uint64 nonce) internal view returns (address) {
        assertTrue(nonce < 128, "one-byte nonce");
        return address(
            uint160(
                uint256(
                    keccak256(
                        abi.encodePacked(bytes1(0xd6), bytes1(0x94), address(this), uint8(nonce))
                    )
                )
            )
        );
    }

    function registerSequencer(address who, uint256 secret, bytes32 meshKey)
        internal
        returns (uint32)
    {
        token.transfer(who, SEQUENCER_BOND);
        vm.prank(who);
        token.approve(address(registry), SEQUENCER_BOND);
        bytes memory key = publicKey(secret);
        bytes32 message = registry.possessionMessage(who, keccak256(key));
        bytes memory possession = sign(secret, message, Bls.POSSESSION_DOMAIN);
        vm.prank(who);
        return registry.registerSequencer(key, possession, meshKey);
    }

    function registerProver(address who) internal returns (uint32) {
        token.transfer(who, LANE_BOND);
        vm.prank(who);
        token.approve(address(registry), LANE_BOND);
        vm.prank(who);
        return registry.register(who, bytes32("prover"), who, 1, 0);
    }

    function publicKey(uint256 secret) internal view returns (bytes memory) {
        return precompile(0x0e, abi.encodePacked(G2, secret));
    }

    function sign(uint256 secret, bytes32 message, bytes memory domain)
        internal
        view
        returns (bytes memory)
    {
        return precompile(0x0c, abi.encodePacked(Bls.hashToG1(message, domain), secret));
    }

    function precompile(uint160 index, bytes memory input) internal view returns (bytes memory) {
        (bool ok, bytes memory result) = address(index).staticcall(input);
        assertTrue(ok, "precompile");
        return result;
    }

    /// The ticket that `secret` signs in `slot`, with its key in front.
    function vrf(uint256 secret, uint64 slot) internal view returns (bytes memory) {
        bytes32 message = slots.ticket(slot, slots.slotAt(slot).seed);
        return abi.encodePacked(publicKey(secret), sign(secret, message, Bls.VRF_DOMAIN));
    }

    function score(uint256 secret, uint64 slot) internal view returns (bytes32) {
        bytes32 message = slots.ticket(slot, slots.slotAt(slot).seed);
        return keccak256(sign(secret, message, Bls.VRF_DOMAIN));
    }

    /// An RLP header with this RANDAO, shaped like a mainnet one.
    function header(bytes32 randao) internal pure returns (bytes memory) {
        bytes memory body = abi.encodePacked(
            abi.encodePacked(hex"a0", bytes32("parent"), hex"a0", bytes32("ommers")),
            abi.encodePacked(hex"94", address(0xc0), hex"a0", bytes32("state")),
            abi.encodePacked(hex"a0", bytes32("txs"), hex"a0", bytes32("receipts")),
            abi.encodePacked(hex"b90100", new bytes(256), hex"80", hex"820123"),
            abi.encodePacked(hex"8401c9c380", hex"80", hex"8465f00000", hex"83616263"),
            abi.encodePacked(hex"a0", randao, hex"880000000000000000", hex"07")
        );
        return abi.encodePacked(hex"f9", uint16(body.length), body);
    }

    /// Moves to the start of `slot` and shows its seed.
    function seed(uint64 slot) internal {
        vm.roll(slots.slotStart(slot));
        bytes memory shown = header(keccak256(abi.encode("randao", slot)));
        History(payable(Header.HISTORY)).set(slots.seedBlock(slot), keccak256(shown));
        slots.showSeed(slot, shown);
    }

    function propose(address who, uint256 secret, uint64 slot, bytes32 commitment) internal {
        bytes memory ticket = vrf(secret, slot);
        vm.prank(who);
        slots.propose(slot, commitment, ticket);
    }

    function commit(bytes memory data, bytes32 parent) internal pure returns (bytes32) {
        return keccak256(abi.encode(keccak256(data), TXS, parent, SALT));
    }

    /// One tx with two calls, of one and of no argument.
    function oneTx(uint64 expiry) internal pure returns (bytes memory) {
        return abi.encodePacked(
            abi.encodePacked(bytes32("account"), uint64(7), uint64(9), expiry, uint8(2)),
            abi.encodePacked(bytes32("program"), uint8(1), bytes32("arg")),
            abi.encodePacked(bytes32("program"), uint8(0)),
            new bytes(TX_PROOF)
        );
    }

    function blockOf(uint64 expiry) internal pure returns (bytes memory) {
        return abi.encodePacked(uint8(1), uint16(2), oneTx(expiry), oneTx(expiry + 1));
    }

    /// Brings `slot` to its reveal phase with Anna's block proposed.
    function proposed(uint64 slot, bytes memory data) internal {
        seed(slot);
        propose(ANNA, ANNA_KEY, slot, commit(data, slots.lastBlock()));
        vm.roll(slots.slotStart(slot) + 5);
        vm.warp(1_700_000_000 + slots.slotStart(slot) * 2);
    }

    function revealed(uint64 slot) internal {
        revealed(slot, 0);
    }

    /// The same with a circuit set named.
    function revealed(uint64 slot, uint256 set) internal {
        bytes memory data = blockOf(slot);
        proposed(slot, data);
        reveal(slot, data, set);
    }

    function reveal(uint64 slot, bytes memory data, uint256 set) internal {
        bytes32 parent = slots.lastBlock();
        vm.prank(ANNA);
        slots.reveal(slot, data, TXS, parent, SALT, set);
    }

    function words(uint256 start, uint256 end) internal pure returns (uint256[9] memory) {
        return [start, end, TXS, 2, 0xc2ed17, uint256(uint160(ANNA)), 1_000, 12, SET];
    }

    function proof() internal pure returns (bytes memory bytes_) {
        bytes_ = new bytes(ROOT_PROOF);
        for (uint256 i; i < 12; ++i) {
            bytes_[32 * i + 31] = bytes1(uint8(i + 1));
        }
        for (uint256 i = 12 * 32; i < ROOT_PROOF; ++i) {
            bytes_[i] = bytes1(uint8(i));
        }
    }

    /// Makes the verifier accept `words_` with `proof()`, in the layout that it is called with.
    function accept(uint256[9] memory words_) internal {
        bytes memory all = proof();
        bytes memory input = new bytes(ROOT_PROOF + 9 * 32);
        for (uint256 i; i < ROOT_PROOF; ++i) {
            input[i < 12 * 32 ? i : i + 9 * 32] = all[i];
        }
        for (uint256 i; i < 9 * 32; ++i) {
            input[12 * 32 + i] = bytes32(words_[i / 32])[i % 32];
        }
        verifier.expect(keccak256(input));
    }

    function settled(uint64 slot, uint256[9] memory words_) internal {
        accept(words_);
        slots.settle(slot, words_, proof());
    }
}
