//! The mesh key as TLS identity: TLS 1.3 with raw Ed25519 public keys (RFC 7250) on both sides.
//!
//! There is no certificate, hence nothing to parse, to expire or to chain: the 44 bytes of the key
//! are compared with the registry, and the handshake's signature proves its possession. A dial
//! also pins the one key it expects. No resumption, tickets, early data or server names: every
//! connection proves both keys anew.

use std::{fmt, sync::Arc};

use rustls::{
    CertificateError, CipherSuite, DigitallySignedStruct, DistinguishedName, Error, NamedGroup,
    PeerMisbehaved, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{CryptoProvider, verify_tls13_signature_with_raw_key},
    pki_types::{
        CertificateDer, PrivatePkcs8KeyDer, ServerName, SubjectPublicKeyInfoDer, UnixTime,
    },
    server::danger::{ClientCertVerified, ClientCertVerifier},
    sign::CertifiedKey,
};
use tokio::sync::watch;
use zeroize::Zeroizing;

use super::members::{Members, PeerId};

/// What precedes the 32 bytes of an Ed25519 key in its SubjectPublicKeyInfo (RFC 8410).
const SPKI_PREFIX: [u8; 12] =
    [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];
/// What precedes the 32 bytes of an Ed25519 secret in PKCS #8 (RFC 8410).
const PKCS8_PREFIX: [u8; 16] = [
    0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20,
];

/// This agent's mesh key.
#[derive(Clone)]
pub(crate) struct MeshKey {
    id: PeerId,
    key: Arc<CertifiedKey>,
    /// Derived secret: recognises, after a restart, connections of the process before.
    reset: Arc<Zeroizing<[u8; 32]>>,
}

impl MeshKey {
    /// The key with this Ed25519 secret (RFC 8032 seed).
    ///
    /// # Errors
    /// Every 32 bytes are a secret; the TLS library's refusal is passed on.
    pub(crate) fn new(secret: &[u8; 32]) -> Result<Self, Error> {
        let pkcs8 = Zeroizing::new([PKCS8_PREFIX.as_slice(), secret].concat());
        let signing = rustls::crypto::ring::sign::any_eddsa_type(&PrivatePkcs8KeyDer::from(
            pkcs8.as_slice(),
        ))?;
        let spki = signing.public_key().ok_or(Error::General("no public key".into()))?;
        let spki = CertificateDer::from(spki.as_ref().to_vec());
        let id = peer_of(&spki).ok_or(Error::General("not an Ed25519 key".into()))?;
        let reset = blake3::derive_key("coppice mesh stateless reset v1", secret);
        let key = Arc::new(CertifiedKey::new(vec![spki], signing));
        Ok(Self { id, key, reset: Arc::new(Zeroizing::new(reset)) })
    }

    /// The public key.
    pub(crate) const fn id(&self) -> PeerId {
        self.id
    }

    /// The key as TLS holds it.
    #[cfg(test)]
    pub(super) fn certified(&self) -> Arc<CertifiedKey> {
        Arc::clone(&self.key)
    }

    /// Secret for stateless resets.
    pub(super) fn reset_secret(&self) -> &[u8; 32] {
        &self.reset
    }

    /// How this agent answers: any registered key may connect.
    pub(super) fn server_config(&self, gate: Gate) -> Result<rustls::ServerConfig, Error> {
        let resolver = rustls::server::AlwaysResolvesServerRawPublicKeys::new(self.key.clone());
        let mut config = rustls::ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .with_client_cert_verifier(Arc::new(Verifier::new(gate, Expect::AnyMember)))
            .with_cert_resolver(Arc::new(resolver));
        config.alpn_protocols = vec![wire::version::ALPN.to_vec()];
        config.max_early_data_size = 0;
        config.send_tls13_tickets = 0;
        config.session_storage = Arc::new(rustls::server::NoServerSessionStorage {});
        Ok(config)
    }

    /// How this agent dials `peer`: only that key, while it is registered, may answer.
    pub(super) fn client_config(
        &self,
        gate: Gate,
        peer: PeerId,
    ) -> Result<rustls::ClientConfig, Error> {
        let resolver = rustls::client::AlwaysResolvesClientRawPublicKeys::new(self.key.clone());
        let mut config = rustls::ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Verifier::new(gate, Expect::Only(peer))))
            .with_client_cert_resolver(Arc::new(resolver));
        config.alpn_protocols = vec![wire::version::ALPN.to_vec()];
        config.enable_sni = false;
        config.resumption = rustls::client::Resumption::disabled();
        Ok(config)
    }
}

impl fmt::Debug for MeshKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MeshKey({})", self.id)
    }
}

/// The registry as the handshake reads it.
pub(super) type Gate = watch::Receiver<Arc<Members>>;

/// The peer at the other end of a connection.
pub(super) fn peer_id(connection: &quinn::Connection) -> Option<PeerId> {
    let identity = connection.peer_identity()?.downcast::<Vec<CertificateDer<'static>>>().ok()?;
    match identity.as_slice() {
        [spki] => peer_of(spki),
        _ => None,
    }
}

/// The key inside exactly one SubjectPublicKeyInfo of Ed25519.
fn peer_of(spki: &CertificateDer<'_>) -> Option<PeerId> {
    let key = spki.as_ref().strip_prefix(&SPKI_PREFIX)?;
    key.try_into().ok().map(PeerId)
}

/// X25519 and the two suites every TLS 1.3 stack has; ring alone, so that nothing is negotiated
/// that was not looked at.
fn provider() -> Arc<CryptoProvider> {
    let mut provider = rustls::crypto::ring::default_provider();
    provider.kx_groups.retain(|group| group.name() == NamedGroup::X25519);
    provider.cipher_suites.retain(|suite| {
        [CipherSuite::TLS13_AES_128_GCM_SHA256, CipherSuite::TLS13_CHACHA20_POLY1305_SHA256]
            .contains(&suite.suite())
    });
    Arc::new(provider)
}

/// Whom a handshake may end with.
#[derive(Clone, Copy, Debug)]
enum Expect {
    AnyMember,
    Only(PeerId),
}

#[derive(Debug)]
struct Verifier {
    gate: Gate,
    expect: Expect,
    provider: Arc<CryptoProvider>,
}

impl Verifier {
    fn new(gate: Gate, expect: Expect) -> Self {
        Self { gate, expect, provider: provider() }
    }

    fn check(&self, spki: &CertificateDer<'_>, chain: &[CertificateDer<'_>]) -> Result<(), Error> {
        if !chain.is_empty() {
            return Err(Error::InvalidCertificate(CertificateError::BadEncoding));
        }
        let peer = peer_of(spki).ok_or(Error::InvalidCertificate(CertificateError::BadEncoding))?;
        let expected = match self.expect {
            Expect::AnyMember => true,
            Expect::Only(only) => only == peer,
        };
        if !expected || self.gate.borrow().role(peer).is_none() {
            return Err(Error::InvalidCertificate(
                CertificateError::ApplicationVerificationFailure,
            ));
        }
        Ok(())
    }

    fn signature(
        &self,
        message: &[u8],
        spki: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        if signature.scheme != SignatureScheme::ED25519 {
            return Err(PeerMisbehaved::SignedHandshakeWithUnadvertisedSigScheme.into());
        }
        verify_tls13_signature_with_raw_key(
            message,
            &SubjectPublicKeyInfoDer::from(spki.as_ref()),
            signature,
            &self.provider.signature_verification_algorithms,
        )
    }
}

/// TLS 1.2 is not offered, so its signatures are never asked about.
fn no_tls12() -> Result<HandshakeSignatureValid, Error> {
    Err(PeerMisbehaved::SelectedUnofferedCipherSuite.into())
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        spki: &CertificateDer<'_>,
        chain: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.check(spki, chain).map(|()| ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _spki: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        no_tls12()
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        spki: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.signature(message, spki, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }

    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}

impl ClientCertVerifier for Verifier {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        spki: &CertificateDer<'_>,
        chain: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.check(spki, chain).map(|()| ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _spki: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        no_tls12()
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        spki: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.signature(message, spki, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }

    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}
