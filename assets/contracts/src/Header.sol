// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

/// The RANDAO of an exact past L1 block, from its RLP header checked against the hash that the
/// history contract keeps (EIP-2935, 8,191 blocks): nobody chooses the block.
library Header {
    /// The history contract of EIP-2935.
    address internal constant HISTORY = 0x0000F90827F1C53a10cb7A02335B175320002935;
    /// Items of a header before `mixHash`.
    uint256 private constant BEFORE_MIX_HASH = 13;

    error UnknownBlock(uint256 number);
    error NotTheHeader(uint256 number, bytes32 expected);
    error Malformed(uint256 offset);

    /// `mixHash` of block `number`, whose header is `header`.
    function randao(uint256 number, bytes calldata header) internal view returns (bytes32) {
        (bool ok, bytes memory answer) = HISTORY.staticcall(abi.encode(number));
        if (!ok || answer.length != 32) revert UnknownBlock(number);
        bytes32 expected = abi.decode(answer, (bytes32));
        if (expected == 0) revert UnknownBlock(number);
        if (keccak256(header) != expected) revert NotTheHeader(number, expected);
        return mixHash(header);
    }

    /// The 14th item of an RLP list.
    function mixHash(bytes calldata header) internal pure returns (bytes32) {
        uint256 offset = _body(header);
        for (uint256 item; item < BEFORE_MIX_HASH; ++item) {
            offset = _skip(header, offset);
        }
        if (offset + 33 > header.length || header[offset] != 0xa0) revert Malformed(offset);
        return bytes32(header[offset + 1:offset + 33]);
    }

    /// Where the list's first item begins.
    function _body(bytes calldata header) private pure returns (uint256) {
        if (header.length == 0) revert Malformed(0);
        uint8 prefix = uint8(header[0]);
        if (prefix < 0xc0) revert Malformed(0);
        return prefix < 0xf8 ? 1 : 1 + (prefix - 0xf7);
    }

    /// Where the item after the string at `offset` begins.
    function _skip(bytes calldata header, uint256 offset) private pure returns (uint256) {
        if (offset >= header.length) revert Malformed(offset);
        uint8 prefix = uint8(header[offset]);
        if (prefix < 0x80) return offset + 1;
        if (prefix < 0xb8) return offset + 1 + (prefix - 0x80);
        if (prefix >= 0xc0) revert Malformed(offset);
        uint256 width = prefix - 0xb7;
        if (width > 2 || offset + 1 + width > header.length) revert Malformed(offset);
        uint256 length;
        for (uint256 i = 1; i <= width; ++i) {
            length = (length << 8) | uint8(header[offset + i]);
        }
        return offset + 1 + width + length;
    }
}
