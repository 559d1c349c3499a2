// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {Bls} from "./Bls.sol";

/// Who may prove and who may sequence (R1): bonded lanes with an operator key, a mesh key and a
/// payout address; sequencers with a BLS key. Weight is lanes, never addresses. The contract keeps
/// no list per epoch: everybody derives an epoch's set from the events up to its snapshot block.
///
/// Nobody has rights over other people's bonds: there is no owner and no upgrade.
contract Registry is ReentrancyGuardTransient {
    using SafeERC20 for IERC20;

    struct Prover {
        address owner;
        uint16 rollup;
        uint16 vm;
        // L1 block of the registration.
        uint64 since;
        address operator;
        // Block from which the bond can be withdrawn; 0 while it serves.
        uint64 unlocks;
        address payout;
        bytes32 meshKey;
    }

    struct Sequencer {
        address owner;
        uint64 since;
        uint64 unlocks;
        bytes32 meshKey;
        // keccak of the BLS key: the key comes with each proposal, which is cheaper than 8 words.
        bytes32 keyHash;
    }

    /// A lane's number is 16 bits.
    uint256 public constant LANES_MAX = 65_535;

    IERC20 public immutable token;
    /// Base units per lane.
    uint256 public immutable laneBond;
    /// Base units per sequencer: an election ticket must cost something.
    uint256 public immutable sequencerBond;
    /// L1 blocks between leaving and withdrawing.
    uint64 public immutable unlockBlocks;

    uint32 public proverCount;
    uint32 public sequencerCount;
    mapping(uint32 id => Prover) private _provers;
    mapping(uint32 id => Sequencer) private _sequencers;
    /// Whether an operator address signs for some prover already.
    mapping(address operator => bool) public operatorTaken;
    /// Whether a mesh identity belongs to somebody already.
    mapping(bytes32 meshKey => bool) public meshKeyTaken;
    /// Registry index + 1 of an address's sequencer; 0 if it has none.
    mapping(address owner => uint256) private _sequencerOf;

    event ProverRegistered(
        uint32 indexed prover,
        address indexed owner,
        address operator,
        bytes32 meshKey,
        address payout,
        uint16 rollup,
        uint16 vm
    );
    event SequencerRegistered(
        uint32 indexed sequencer, address indexed owner, bytes32 meshKey, bytes blsKey
    );
    event ProverLeft(uint32 indexed prover, uint64 unlocks);
    event SequencerLeft(uint32 indexed sequencer, uint64 unlocks);
    event ProverWithdrew(uint32 indexed prover, uint256 amount);
    event SequencerWithdrew(uint32 indexed sequencer, uint256 amount);

    error OutOfBounds(bytes32 name);
    error ZeroValue(bytes32 name);
    error Taken(bytes32 name);
    error WrongLaneCount(uint256 lanes);
    error NotTheOwner(address caller);
    error AlreadyLeft();
    error Locked(uint64 unlocks);
    error NotASequencer(address account);

    constructor(IERC20 token_, uint256 laneBond_, uint256 sequencerBond_, uint64 unlockBlocks_) {
        if (address(token_).code.length == 0) revert ZeroValue("token");
        if (laneBond_ == 0 || laneBond_ > type(uint96).max) revert OutOfBounds("laneBond");
        if (sequencerBond_ == 0 || sequencerBond_ > type(uint96).max) {
            revert OutOfBounds("sequencerBond");
        }
        // At least the look-back of the seed: a ticket cannot be used and withdrawn at once.
        if (unlockBlocks_ < 64 || unlockBlocks_ > 1_000_000) revert OutOfBounds("unlockBlocks");
        token = token_;
        laneBond = laneBond_;
        sequencerBond = sequencerBond_;
        unlockBlocks = unlockBlocks_;
    }

    /// Bonds `rollup` + `vm` lanes of the caller, who must have approved their bond. `operator`
    /// signs protocol messages, `meshKey` (Ed25519) is the identity on the mesh, `payout` is the
    /// payee of the lanes' proofs. Returns the index in the registry.
    function register(address operator, bytes32 meshKey, address payout, uint16 rollup, uint16 vm)
        external
        nonReentrant
        returns (uint32 prover)
    {
        uint256 lanes = uint256(rollup) + vm;
        if (lanes == 0 || lanes > LANES_MAX) revert WrongLaneCount(lanes);
        if (operator == address(0)) revert ZeroValue("operator");
        if (payout == address(0)) revert ZeroValue("payout");
        if (operatorTaken[operator]) revert Taken("operator");
        operatorTaken[operator] = true;
        _takeMeshKey(meshKey);
        prover = proverCount++;
        _provers[prover] = Prover({
            owner: msg.sender,
            rollup: rollup,
            vm: vm,
            since: uint64(block.number),
            operator: operator,
            unlocks: 0,
            payout: payout,
            meshKey: meshKey
        });
        emit ProverRegistered(prover, msg.sender, operator, meshKey, payout, rollup, vm);
        token.safeTransferFrom(msg.sender, address(this), lanes * laneBond);
    }

    /// Makes the caller a sequencer. `blsKey` is a G2 point, `possession` its signature over
    /// `possessionMessage` (encodings of EIP-2537); without it a key could be copied or made up
    /// from other people's keys.
    function registerSequencer(bytes calldata blsKey, bytes calldata possession, bytes32 meshKey)
        external
        nonReentrant
        returns (uint32 sequencer)
    {
        if (_sequencerOf[msg.sender] != 0) revert Taken("owner");
        bytes32 keyHash = keccak256(blsKey);
        Bls.verify(
            blsKey, possession, possessionMessage(msg.sender, keyHash), Bls.POSSESSION_DOMAIN
        );
        _takeMeshKey(meshKey);
        sequencer = sequencerCount++;
        _sequencerOf[msg.sender] = uint256(sequencer) + 1;
        _sequencers[sequencer] = Sequencer({
            owner: msg.sender,
            since: uint64(block.number),
            unlocks: 0,
            meshKey: meshKey,
            keyHash: keyHash
        });
        emit SequencerRegistered(sequencer, msg.sender, meshKey, blsKey);
        token.safeTransferFrom(msg.sender, address(this), sequencerBond);
    }

    /// Begins the unlocking of a prover's bond. Its lanes keep their duty until the epoch boundary.
    function leaveProver(uint32 prover) external {
        Prover storage p = _provers[prover];
        if (p.owner != msg.sender) revert NotTheOwner(msg.sender);
        if (p.unlocks != 0) revert AlreadyLeft();
        p.unlocks = uint64(block.number) + unlockBlocks;
        emit ProverLeft(prover, p.unlocks);
    }

    /// The same for the caller's sequencer, which may not propose any more.
    function leaveSequencer() external {
        uint32 sequencer = sequencerOf(msg.sender);
        Sequencer storage s = _sequencers[sequencer];
        if (s.unlocks != 0) revert AlreadyLeft();
        s.unlocks = uint64(block.number) + unlockBlocks;
        emit SequencerLeft(sequencer, s.unlocks);
    }

    /// Returns a prover's bond to its owner, once it is unlocked. The index is never used again;
    /// operator and mesh key can be registered anew.
    function withdrawProver(uint32 prover) external nonReentrant {
        Prover storage p = _provers[prover];
        if (p.owner != msg.sender) revert NotTheOwner(msg.sender);
        if (p.unlocks == 0 || block.number < p.unlocks) revert Locked(p.unlocks);
        uint256 amount = (uint256(p.rollup) + p.vm) * laneBond;
        delete operatorTaken[p.operator];
        delete meshKeyTaken[p.meshKey];
        delete _provers[prover];
        emit ProverWithdrew(prover, amount);
        token.safeTransfer(msg.sender, amount);
    }

    /// The same for the caller's sequencer.
    function withdrawSequencer() external nonReentrant {
        uint32 sequencer = sequencerOf(msg.sender);
        Sequencer storage s = _sequencers[sequencer];
        if (s.unlocks == 0 || block.number < s.unlocks) revert Locked(s.unlocks);
        delete meshKeyTaken[s.meshKey];
        delete _sequencerOf[msg.sender];
        delete _sequencers[sequencer];
        emit SequencerWithdrew(sequencer, sequencerBond);
        token.safeTransfer(msg.sender, sequencerBond);
    }

    /// What a proof of possession signs: bound to chain, contract and owner, so that it cannot be
    /// taken over.
    function possessionMessage(address owner, bytes32 keyHash) public view returns (bytes32) {
        return keccak256(abi.encode(block.chainid, address(this), owner, keyHash));
    }

    /// Index of `account`'s sequencer.
    function sequencerOf(address account) public view returns (uint32) {
        uint256 found = _sequencerOf[account];
        if (found == 0) revert NotASequencer(account);
        return uint32(found - 1);
    }

    function proverAt(uint32 prover) external view returns (Prover memory) {
        return _provers[prover];
    }

    function sequencerAt(uint32 sequencer) external view returns (Sequencer memory) {
        return _sequencers[sequencer];
    }

    /// Base units that `prover` has bonded; 0 once withdrawn.
    function bondOf(uint32 prover) external view returns (uint256) {
        Prover storage p = _provers[prover];
        return (uint256(p.rollup) + p.vm) * laneBond;
    }

    function _takeMeshKey(bytes32 meshKey) private {
        if (meshKey == 0) revert ZeroValue("meshKey");
        if (meshKeyTaken[meshKey]) revert Taken("meshKey");
        meshKeyTaken[meshKey] = true;
    }
}
