//! Signed queries: `exp=UNIX&sig=HS256-…`, which whoever knows the secret can write without asking.

use super::Action;
use super::base64url::base64url;
use super::hmac::hmac_sha256;
use super::table::same;
use crate::rtmp::stream_key::{self, StreamKey, StreamPath};
use std::fmt;
use std::net::IpAddr;

/// How far the signer's clock and ours may be apart, in seconds.
pub const SKEW_SECS: u64 = 30;

/// The farthest time that a signature may hold until, in seconds from now: ten years. A time in
/// milliseconds is farther.
pub const LIFETIME_MAX_SECS: u64 = 10 * 365 * 24 * 60 * 60;

/// The fewest bytes of a secret that cannot be found by trying: everyone who has a signature can try.
const GOOD_SECRET_LEN: usize = 16;

/// What a signature begins with: the name of the algorithm.
const ALGORITHM: &str = "HS256-";

/// Why a query does not let a client in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignatureFault {
    /// A part of the query is missing.
    Missing(&'static str),
    /// A part of the query is not what it should be.
    Malformed(&'static str),
    /// It was not signed with any of the secrets, or was changed since.
    Wrong,
    /// It lets a client do something else.
    OtherAction(Action),
    /// It lets a client have other streams.
    OtherStream,
    /// It lets in a client at another address.
    OtherAddress,
    /// It has expired; seconds ago.
    Expired(u64),
    /// It would hold for longer than [`LIFETIME_MAX_SECS`].
    TooFar,
}

impl fmt::Display for SignatureFault {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            SignatureFault::Missing(part) => write!(f, "signature missing: no {part}"),
            SignatureFault::Malformed(part) => write!(f, "signature malformed: {part}"),
            SignatureFault::Wrong => write!(f, "signature wrong"),
            SignatureFault::OtherAction(action) => {
                write!(f, "signature is for {} alone", action.name())
            }
            SignatureFault::OtherStream => write!(f, "signature is for other streams"),
            SignatureFault::OtherAddress => write!(f, "signature is for another address"),
            SignatureFault::Expired(secs) => write!(f, "signature expired {secs}s ago"),
            SignatureFault::TooFar => write!(
                f,
                "signature expires in more than ten years: exp is in seconds, not milliseconds"
            ),
        }
    }
}

impl std::error::Error for SignatureFault {}

/// The streams that a signature is for: one key, or with `/*` at the end all below it, or `*` for all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedKey(String);

impl SignedKey {
    /// Reads a key or a pattern.
    ///
    /// # Errors
    ///
    /// There can be no such stream.
    pub fn new(text: &str) -> Result<SignedKey, stream_key::Error> {
        let key = match (text, text.strip_suffix("/*")) {
            ("*", _) => text.to_owned(),
            (_, Some(prefix)) => format!("{}/*", StreamKey::new(prefix)?),
            (_, None) => StreamKey::new(text)?.as_str().to_owned(),
        };
        Ok(SignedKey(key))
    }

    /// Whether it is for a pattern, which the query has to name.
    fn is_pattern(&self) -> bool {
        self.0 == "*" || self.0.ends_with("/*")
    }

    fn contains(&self, key: &StreamKey) -> bool {
        let key = key.as_str();
        let below = self.0.strip_suffix("/*");
        let below = below.and_then(|prefix| key.strip_prefix(prefix));
        self.0 == "*" || self.0 == key || below.is_some_and(|rest| rest.starts_with('/'))
    }
}

/// The secrets of those who may sign. Several are for the time in which one takes another's place.
#[derive(Clone, PartialEq, Eq)]
pub struct Secrets(Vec<String>);

/// Shows how many there are.
impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "Secrets({})", self.0.len())
    }
}

impl Secrets {
    /// Any of these may have been used. Without any, nobody is let in.
    pub fn new(secrets: impl IntoIterator<Item = String>) -> Secrets {
        Secrets(secrets.into_iter().collect())
    }

    /// Whether one of them is so short that it could be found by trying.
    pub fn has_short(&self) -> bool {
        self.0.iter().any(|secret| secret.len() < GOOD_SECRET_LEN)
    }

    /// Whether the query of `path` lets a client at `ip` do `action`, at the time `now` in seconds
    /// since 1970.
    ///
    /// # Errors
    ///
    /// A [`SignatureFault`]: it does not. Nothing secret is in it.
    pub fn check(
        &self,
        action: Action,
        path: &StreamPath,
        ip: IpAddr,
        now: u64,
    ) -> Result<(), SignatureFault> {
        let part = |name| path.query(name).ok_or(SignatureFault::Missing(name));
        let (exp, given) = (part("exp")?, part("sig")?);
        let expires = exp.bytes().all(|byte| byte.is_ascii_digit());
        let expires = expires.then(|| exp.parse::<u64>().ok()).flatten();
        let expires = expires.ok_or(SignatureFault::Malformed("exp is not a number of seconds"))?;
        // No part may hold a line break: it would be taken for the next part.
        let named = path.query("for").map(|named| pattern(&named)).transpose()?;
        let bound = path.query("ip").map(|text| bound(&text)).transpose()?;

        let key = named.as_ref().map_or(path.key.as_str(), |key| &key.0);
        let extra = bound.as_ref().map_or("", |(extra, _)| extra);
        if !self.have_signed(&text(action, key, &exp, extra), &given) {
            let other = action.other();
            return Err(
                match self.have_signed(&text(other, key, &exp, extra), &given) {
                    true => SignatureFault::OtherAction(other),
                    false => SignatureFault::Wrong,
                },
            );
        }
        // From here on the query is what the signer wrote.
        if named.is_some_and(|named| !named.contains(&path.key)) {
            return Err(SignatureFault::OtherStream);
        }
        if bound.is_some_and(|(_, bound)| bound != ip.to_canonical()) {
            return Err(SignatureFault::OtherAddress);
        }
        if expires.saturating_sub(now) > LIFETIME_MAX_SECS {
            return Err(SignatureFault::TooFar);
        }
        match now.saturating_sub(expires) {
            0..=SKEW_SECS => Ok(()),
            late => Err(SignatureFault::Expired(late)),
        }
    }

    /// Whether `given` is the signature of `text` by any of the secrets. Tries all, however early one
    /// fits.
    fn have_signed(&self, text: &str, given: &str) -> bool {
        let fits = |secret: &String| same(given.as_bytes(), signature(secret, text).as_bytes());
        self.0.iter().fold(false, |any, secret| any | fits(secret))
    }
}

/// The query, signed with `secret`, that lets clients do `action` to `key` until `exp`, in seconds since
/// 1970.
pub fn signed_query(secret: &str, action: Action, key: &SignedKey, exp: u64) -> String {
    let signature = signature(secret, &text(action, &key.0, &exp.to_string(), ""));
    let pattern = match key.is_pattern() {
        true => format!("&for={}", percent_encoded(&key.0)),
        false => String::new(),
    };
    format!("exp={exp}{pattern}&sig={signature}")
}

/// A value of a query. A slash that is not encoded would end the application for some clients.
fn percent_encoded(value: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~*".contains(&byte);
    let encoded = value.bytes().map(|byte| match plain(byte) {
        true => char::from(byte).to_string(),
        false => format!("%{byte:02X}"),
    });
    encoded.collect()
}

/// Reads the value of `for`.
fn pattern(text: &str) -> Result<SignedKey, SignatureFault> {
    let key = SignedKey::new(text).ok().filter(|key| key.0 == text);
    key.ok_or(SignatureFault::Malformed("for is not a key or pattern"))
}

/// Reads the value of `ip`: the line that is signed, and the address.
fn bound(text: &str) -> Result<(String, IpAddr), SignatureFault> {
    let ip: Option<IpAddr> = text.parse().ok();
    let ip = ip.ok_or(SignatureFault::Malformed("ip is not an address"))?;
    Ok((format!("ip={text}"), ip.to_canonical()))
}

/// The text that is signed.
fn text(action: Action, key: &str, exp: &str, extra: &str) -> String {
    format!("v1\n{}\n{key}\n{exp}\n{extra}", action.name())
}

fn signature(secret: &str, text: &str) -> String {
    let code = hmac_sha256(secret.as_bytes(), text.as_bytes());
    format!("{ALGORITHM}{}", base64url(&code))
}
