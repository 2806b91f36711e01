//! The files of certificate and key.

use super::error::TlsError;
use crate::file;
use std::path::Path;

/// Longest file of a certificate or a key, in bytes.
const FILE_LEN_MAX: u64 = 1 << 20;

/// A certificate with its chain, and its key.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Certificate {
    /// All of it in one file, as the program wants it.
    pem: Vec<u8>,
    /// The files that it is from, for errors.
    pub(super) cert: String,
    pub(super) key: String,
}

/// Shows the file only.
impl std::fmt::Debug for Certificate {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        write!(f, "Certificate({:?})", self.cert)
    }
}

impl Certificate {
    /// Reads both files. They may be one.
    ///
    /// # Errors
    ///
    /// [`TlsError::File`].
    pub(crate) fn read(cert: &Path, key: &Path) -> Result<Certificate, TlsError> {
        let of = |flag, path: &Path| {
            file::read(path, FILE_LEN_MAX).map_err(|error| TlsError::File {
                flag,
                path: path.display().to_string(),
                error,
            })
        };
        let (chain, secret) = (of("tls-cert", cert)?, of("tls-key", key)?);
        let pem = match chain == secret {
            true => chain,
            false => [&chain[..], b"\n", &secret].concat(),
        };
        Ok(Certificate {
            pem,
            cert: cert.display().to_string(),
            key: key.display().to_string(),
        })
    }

    /// Chain and key, one after the other.
    pub(super) fn pem(&self) -> &[u8] {
        &self.pem
    }
}
