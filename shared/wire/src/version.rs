//! Which bytes this build speaks. A change of any layout in this crate raises the number.

/// Version of the mesh's frames, messages and blobs; peers of another version are refused.
pub const WIRE: u16 = 2;

/// TLS application protocol of the mesh, which carries the same number.
pub const ALPN: &[u8] = b"coppice/2";
