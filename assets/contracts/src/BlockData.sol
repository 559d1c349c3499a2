// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

/// The format of a revealed block, as far as L1 looks into it: it counts the txs, and refuses one
/// whose expiry has passed, so that no slot has to enter a statement.
///
/// data = 1 u8, n u16, n txs; tx = account 32, nonce u64, fee u64, expiry u64, calls u8, calls x
/// (program 32, args u8, args x 32), proof of a fixed length. Integers are big-endian.
library BlockData {
    uint8 internal constant VERSION = 1;
    uint256 internal constant TXS_MAX = 16;
    uint256 internal constant CALLS_MAX = 3;
    uint256 internal constant ARGS_MAX = 4;
    /// account 32, nonce 8, fee 8, expiry 8, calls 1.
    uint256 private constant FIXED = 57;
    uint256 private constant EXPIRY_AT = 48;

    error WrongVersion();
    error WrongTxCount(uint256 count);
    error TooManyCalls(uint256 tx, uint256 calls);
    error TooManyArgs(uint256 tx, uint256 args);
    error Expired(uint256 tx, uint64 expiry);
    /// The bytes end before, or go on after, what they announce.
    error WrongLength(uint256 needed, uint256 length);

    /// Number of txs in `data`, all of them valid in `slot`; each ends with `proofLength` bytes.
    function count(bytes calldata data, uint64 slot, uint256 proofLength)
        internal
        pure
        returns (uint16 txs)
    {
        if (data.length < 3) revert WrongLength(3, data.length);
        if (uint8(data[0]) != VERSION) revert WrongVersion();
        txs = uint16(bytes2(data[1:3]));
        if (txs == 0 || txs > TXS_MAX) revert WrongTxCount(txs);
        uint256 offset = 3;
        for (uint256 i; i < txs; ++i) {
            offset = _walk(data, offset, i, slot) + proofLength;
        }
        if (offset != data.length) revert WrongLength(offset, data.length);
    }

    /// Where the proof of tx `i`, which begins at `offset`, begins.
    function _walk(bytes calldata data, uint256 offset, uint256 i, uint64 slot)
        private
        pure
        returns (uint256)
    {
        if (offset + FIXED > data.length) revert WrongLength(offset + FIXED, data.length);
        uint64 expiry = uint64(bytes8(data[offset + EXPIRY_AT:offset + EXPIRY_AT + 8]));
        if (expiry < slot) revert Expired(i, expiry);
        uint256 calls = uint8(data[offset + FIXED - 1]);
        if (calls > CALLS_MAX) revert TooManyCalls(i, calls);
        offset += FIXED;
        for (uint256 call; call < calls; ++call) {
            if (offset + 33 > data.length) revert WrongLength(offset + 33, data.length);
            uint256 args = uint8(data[offset + 32]);
            if (args > ARGS_MAX) revert TooManyArgs(i, args);
            offset += 33 + 32 * args;
        }
        return offset;
    }
}
