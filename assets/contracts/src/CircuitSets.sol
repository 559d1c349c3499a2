// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {Field} from "./Field.sol";
import {Params} from "./Params.sol";

/// What root proofs are checked by (R13): a circuit set's id, its verifier and its proof's length.
struct CircuitSet {
    /// Setup and keys, as `root` exposes them.
    uint256 id;
    address verifier;
    /// Bytes of `settle`'s proof: 12 accumulator words and the transcript.
    uint32 proofLength;
    /// First epoch in which a reveal may name it.
    uint64 from;
}

/// Circuit sets and how one follows another (R13). A set is announced with a delay and then valid
/// beside the one before for a change-over, so that nobody has to move in one instant. The same rule
/// as the core's `epoch::sets`.
///
/// Governance announces, and can neither hasten a set nor take one back: whoever disagrees sees the
/// verifier's address and has the delay to leave. No set is ever changed, so that a slot keeps what
/// its reveal named.
abstract contract CircuitSets {
    address public immutable governance;
    uint32 public immutable epochSlots;
    uint32 public immutable changeDelayEpochs;
    uint32 public immutable changeoverEpochs;

    /// Sets that were ever announced.
    uint32 public setCount;
    /// Oldest first from version 0.
    mapping(uint32 version => CircuitSet) private _sets;

    /// A set that reveals of slots in `epoch` and later may name.
    event SetAnnounced(
        uint32 indexed version, uint256 id, address verifier, uint32 proofLength, uint64 epoch
    );

    error NoCode(address account);
    error NotGovernance(address caller);
    error SetKnown(uint256 id);
    error SetPending(uint64 untilEpoch);
    error SetProofLength(uint256 length);
    error SetNotValid(uint256 id, uint64 epoch);

    constructor(address verifier, Params memory p) {
        governance = p.governance;
        epochSlots = p.epochSlots;
        changeDelayEpochs = p.changeDelayEpochs;
        changeoverEpochs = p.changeoverEpochs;
        _add(p.circuitSet, verifier, p.rootProofLength, 0);
    }

    /// Announces the next set; it is valid after `changeDelayEpochs` whole epochs. Refused while
    /// another is announced or changes over: at most two are valid at once.
    function announceSet(uint256 id, address verifier, uint32 proofLength) external {
        if (msg.sender != governance) revert NotGovernance(msg.sender);
        // Two sets of one id could not be told apart by what a proof shows.
        for (uint32 version; version < setCount; ++version) {
            if (_sets[version].id == id) revert SetKnown(id);
        }
        if (proofLength <= 12 * 32 || proofLength > 32_768) revert SetProofLength(proofLength);
        uint64 epoch = _currentEpoch();
        uint64 over = _sets[setCount - 1].from + changeoverEpochs;
        if (setCount > 1 && epoch < over) revert SetPending(over);
        _add(id, verifier, proofLength, epoch + 1 + changeDelayEpochs);
    }

    /// The set of this version.
    function setAt(uint32 version) external view returns (CircuitSet memory) {
        return _sets[version];
    }

    /// Version of the set that a reveal in `slot` names by `id`, or by 0 for the newest valid one.
    function versionAt(uint64 slot, uint256 id) public view returns (uint32 version) {
        uint64 epoch = slot / epochSlots;
        version = setCount - 1;
        // At most one is announced and not valid yet.
        if (_sets[version].from > epoch) --version;
        if (id == 0 || _sets[version].id == id) return version;
        bool over = version == 0 || epoch >= _sets[version].from + changeoverEpochs;
        if (over || _sets[version - 1].id != id) revert SetNotValid(id, epoch);
        return version - 1;
    }

    /// The set of this version, in storage.
    function _set(uint32 version) internal view returns (CircuitSet storage) {
        return _sets[version];
    }

    /// The epoch of the newest L1 block; before slot 0 it is the first.
    function _currentEpoch() internal view virtual returns (uint64);

    function _add(uint256 id, address verifier, uint32 proofLength, uint64 from) private {
        Field.check(id);
        // A call to an address without code succeeds: every proof would be accepted.
        if (verifier.code.length == 0) revert NoCode(verifier);
        uint32 version = setCount++;
        _sets[version] = CircuitSet(id, verifier, proofLength, from);
        emit SetAnnounced(version, id, verifier, proofLength, from);
    }
}
