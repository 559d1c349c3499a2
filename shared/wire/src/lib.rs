//! Bytes and signatures: what leaves and enters the process, with limits.
//!
//! Read in this order: [`message`] (what is signed and how it is hashed), [`envelope`] (who signed
//! it; the only place that makes a [`Verified`]), [`frame`] (what runs on a stream of the mesh),
//! [`blob`] (named content), [`control`] (spoken between agent, console and scripts on one
//! machine). Everything that comes from outside is bounded before it is read, decoded strictly,
//! and refused with a stable code from [`error`].

pub mod blob;
mod codec;
pub mod control;
pub mod envelope;
pub mod error;
pub mod frame;
pub mod message;
pub mod version;
mod view;

pub use blob::{ProofBlob, blob_id};
pub use envelope::{Lanes, Signed, Signer, Verified, verify};
pub use error::{DecodeError, KeyError, Reject};
pub use frame::{Control, Hello, Stream};
pub use message::Domain;
