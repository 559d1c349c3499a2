// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

/// BLS12-381 signatures over the precompiles of EIP-2537: signature in G1, key in G2, hash to curve
/// by RFC 9380 (suite BLS12381G1_XMD:SHA-256_SSWU_RO_). A valid signature is unique and has one
/// encoding, so its hash is a VRF output: secret until published, and nobody can choose it.
///
/// Encodings are those of EIP-2537: 128 bytes for a G1 point, 256 for a G2 point. The precompiles
/// refuse coordinates at or above the field's order; the pairing also refuses points outside the
/// subgroups.
library Bls {
    uint256 internal constant KEY_LENGTH = 256;
    uint256 internal constant SIGNATURE_LENGTH = 128;
    /// Signing domain of election tickets.
    bytes internal constant VRF_DOMAIN = "COPPICE-VRF-V1_BLS12381G1_XMD:SHA-256_SSWU_RO_";
    /// Signing domain of proofs of possession: one can never be used as the other.
    bytes internal constant POSSESSION_DOMAIN = "COPPICE-POP-V1_BLS12381G1_XMD:SHA-256_SSWU_RO_";

    address private constant MODEXP = address(0x05);
    address private constant G1_ADD = address(0x0b);
    address private constant PAIRING = address(0x0f);
    address private constant MAP_TO_G1 = address(0x10);

    /// The base field's order.
    bytes private constant P =
        hex"1a0111ea397fe69a4b1ba7b6434bacd764774b84f38512bf6730d2a0f6b0f6241eabfffeb153ffffb9feffffffffaaab";
    /// The negated generator of G2.
    bytes private constant NEGATED_G2 = hex"00000000000000000000000000000000024aa2b2f08f0a91260805272dc51051c6e47ad4fa403b02b4510b647ae3d1770bac0326a805bbefd48056c8c121bdb8"
        hex"0000000000000000000000000000000013e02b6052719f607dacd3a088274f65596bd0d09920b61ab5da61bbdc7f5049334cf11213945d57e5ac7d055d042b7e"
        hex"000000000000000000000000000000000d1b3cc2c7027888be51d9ef691d77bcb679afda66c73f17f9ee3837a55024f78c71363275a75d75d86bab79f74782aa"
        hex"0000000000000000000000000000000013fa4d4a0ad8b1ce186ed5061789213d993923066dddaf1040bc3ff59f825c78df74f2d75467e25e0f55f8a00fa030ed";

    error BadLength(uint256 length);
    error KeyIsIdentity();
    error BadSignature();
    error PrecompileFailed(address precompile);

    /// Reverts unless `signature` is `key`'s over `message` in `domain`.
    function verify(
        bytes calldata key,
        bytes calldata signature,
        bytes32 message,
        bytes memory domain
    ) internal view {
        if (key.length != KEY_LENGTH) revert BadLength(key.length);
        if (signature.length != SIGNATURE_LENGTH) revert BadLength(signature.length);
        // The identity as key would accept the identity as signature of everything.
        if (_isZero(key)) revert KeyIsIdentity();
        bytes memory input = abi.encodePacked(signature, NEGATED_G2, hashToG1(message, domain), key);
        (bool ok, bytes memory result) = PAIRING.staticcall(input);
        if (!ok || result.length != 32 || result[31] != 0x01) revert BadSignature();
    }

    /// The G1 point that `message` hashes to in `domain`.
    function hashToG1(bytes32 message, bytes memory domain) internal view returns (bytes memory) {
        bytes memory uniform = _expand(message, domain);
        bytes memory first = _map(_slice64(uniform, 0));
        bytes memory second = _map(_slice64(uniform, 64));
        return _call(G1_ADD, abi.encodePacked(first, second), 128);
    }

    function _map(bytes memory wide) private view returns (bytes memory) {
        bytes memory reduced = _call(
            MODEXP, abi.encodePacked(uint256(64), uint256(1), uint256(48), wide, uint8(1), P), 48
        );
        return _call(MAP_TO_G1, abi.encodePacked(bytes16(0), reduced), 128);
    }

    function _call(address precompile, bytes memory input, uint256 length)
        private
        view
        returns (bytes memory result)
    {
        bool ok;
        (ok, result) = precompile.staticcall(input);
        if (!ok || result.length != length) revert PrecompileFailed(precompile);
    }

    /// expand_message_xmd of RFC 9380 to 128 bytes.
    function _expand(bytes32 message, bytes memory domain) private pure returns (bytes memory) {
        bytes memory suffix = abi.encodePacked(domain, uint8(domain.length));
        bytes32 b0 = sha256(abi.encodePacked(new bytes(64), message, uint16(128), uint8(0), suffix));
        bytes32 b1 = sha256(abi.encodePacked(b0, uint8(1), suffix));
        bytes32 b2 = sha256(abi.encodePacked(b0 ^ b1, uint8(2), suffix));
        bytes32 b3 = sha256(abi.encodePacked(b0 ^ b2, uint8(3), suffix));
        bytes32 b4 = sha256(abi.encodePacked(b0 ^ b3, uint8(4), suffix));
        return abi.encodePacked(b1, b2, b3, b4);
    }

    function _slice64(bytes memory source, uint256 from) private pure returns (bytes memory part) {
        part = new bytes(64);
        assembly ("memory-safe") {
            mcopy(add(part, 32), add(add(source, 32), from), 64)
        }
    }

    function _isZero(bytes calldata key) private pure returns (bool) {
        uint256 any;
        for (uint256 offset; offset < KEY_LENGTH; offset += 32) {
            any |= uint256(bytes32(key[offset:offset + 32]));
        }
        return any == 0;
    }
}
