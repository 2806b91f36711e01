//! Who may publish and play.

mod answers;
mod base64url;
mod callback;
mod gate;
mod hmac;
mod sha256;
mod signed;
mod table;

pub use answers::{ANSWER_KEPT, ANSWERS_MAX};
pub use callback::Callback;
pub use gate::{AllowedAddresses, Gate, Passed, Rules};
pub use hmac::hmac_sha256;
pub use sha256::sha256;
pub use signed::{LIFETIME_MAX_SECS, SKEW_SECS, Secrets, SignatureFault, SignedKey, signed_query};
pub use table::{Mismatch, TokenTable, same};

use crate::file;
use crate::http::client::PostError;
use crate::json;
use crate::rtmp::stream_key::StreamPath;
use crate::sync::RwLock;
use std::fmt;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Largest file of tokens, in bytes.
pub const FILE_LEN_MAX: u64 = 16 << 20;

/// How many questions the web service is asked at a time: each of an `https` one is a process. An address
/// may have as many of them as are left for the others.
pub const QUESTIONS_MAX: usize = 32;

/// What a client asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// To send the media of a stream to the server.
    Publish,
    /// To be sent the media of a stream.
    Play,
}

impl Action {
    /// The name in events and questions, `publish` or `play`.
    pub fn name(self) -> &'static str {
        match self {
            Action::Publish => "publish",
            Action::Play => "play",
        }
    }

    fn other(self) -> Action {
        match self {
            Action::Publish => Action::Play,
            Action::Play => Action::Publish,
        }
    }
}

/// Which answer of a web service will do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// One to a question that is asked now.
    New,
    /// One that it gave to the same question within [`ANSWER_KEPT`], for players that open many
    /// connections.
    Recent,
}

/// Why a client is refused, for the log and for events. The client is not told the reason.
#[derive(Debug)]
pub enum Denied {
    /// Clients may not do this from its address.
    Address,
    /// The client gave no token.
    NoToken,
    /// The token does not open the stream.
    Token(Mismatch),
    /// The query is not signed for this.
    Signature(SignatureFault),
    /// The web service answered with this status, not with 200.
    Status(u16),
    /// The web service could not be asked.
    Failed(PostError),
    /// Too many questions, of the client's address or of all, were open for as long as an answer may take.
    Busy,
}

impl fmt::Display for Denied {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Denied::Address => write!(f, "address not allowed"),
            Denied::NoToken => write!(f, "token missing"),
            Denied::Token(mismatch) => write!(f, "{mismatch}"),
            Denied::Signature(fault) => write!(f, "{fault}"),
            Denied::Status(status) => write!(f, "callback answered {status}"),
            Denied::Failed(error) => write!(f, "callback failed: {error}"),
            Denied::Busy => write!(f, "callback busy with other questions"),
        }
    }
}

impl std::error::Error for Denied {}

/// Why tokens cannot be used. No token is in it.
#[derive(Debug)]
pub enum Error {
    /// The file cannot be read.
    Read(PathBuf, io::Error),
    /// The file is larger than [`FILE_LEN_MAX`].
    TooLarge(PathBuf),
    /// The file is not JSON.
    Json {
        /// The line, counted from 1.
        line: usize,
        /// What is wrong there.
        error: json::Error,
    },
    /// The file is JSON, but not an object.
    NoObject,
    /// An entry is malformed.
    Entry {
        /// The stream or pattern that it is for.
        key: String,
        /// What is wrong with it.
        why: String,
    },
    /// The web service cannot be asked.
    Callback(PostError),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Error::Read(path, error) => write!(f, "cannot read {}: {error}", path.display()),
            Error::TooLarge(path) => {
                write!(f, "{} exceeds {FILE_LEN_MAX} bytes", path.display())
            }
            Error::Json { line, error } => write!(f, "tokens: line {line}: {error}"),
            Error::NoObject => write!(f, "tokens: not an object"),
            Error::Entry { key, why } => write!(f, "tokens: entry {key}: {why}"),
            Error::Callback(error) => write!(f, "callback: {error}"),
        }
    }
}

impl std::error::Error for Error {}

/// Decides who may publish and play.
#[derive(Debug)]
pub enum Authenticator {
    /// Everyone may publish and play.
    None,
    /// A client needs the token of the stream.
    Token(TokenTable),
    /// The same, with the tokens in a file.
    File(FileTable),
    /// A client needs a query that is signed with one of the secrets.
    Signed(Secrets),
    /// A web service decides.
    Callback(Box<Callback>),
}

impl Authenticator {
    /// Tokens of streams, `(key or pattern, token)`, each for publishing and playing.
    ///
    /// # Errors
    ///
    /// [`Error::Entry`].
    pub fn token(entries: &[(String, String)]) -> Result<Authenticator, Error> {
        TokenTable::new(entries).map(Authenticator::Token)
    }

    /// Tokens in a file of JSON, for [`reload`](Authenticator::reload) to read again.
    ///
    /// # Errors
    ///
    /// Any [`Error`] of a file.
    pub fn file(path: &Path) -> Result<Authenticator, Error> {
        let table = RwLock::new(read_table(path)?);
        let path = path.to_owned();
        Ok(Authenticator::File(FileTable { path, table }))
    }

    /// A web service at `url`, which has `timeout` for each answer.
    ///
    /// # Errors
    ///
    /// [`Error::Callback`].
    pub fn callback(url: &str, timeout: Duration) -> Result<Authenticator, Error> {
        let callback = Callback::new(url, timeout).map_err(Error::Callback)?;
        Ok(Authenticator::Callback(Box::new(callback)))
    }

    /// Whether a client at `remote_addr` may do `action` to the stream at `path`. Blocks for as long
    /// as the web service takes, at most until its timeout; not at all without one.
    ///
    /// # Errors
    ///
    /// [`Denied`]: it may not, or the decision failed.
    pub fn check(
        &self,
        action: Action,
        path: &StreamPath,
        remote_addr: SocketAddr,
        answer: Answer,
    ) -> Result<(), Denied> {
        let token = path.query("token").unwrap_or_default();
        let token = token.as_str();
        match self {
            Authenticator::None => Ok(()),
            Authenticator::Token(table) => check_table(table, action, path, token),
            Authenticator::File(file) => {
                let table = file.table.read();
                check_table(&table, action, path, token)
            }
            Authenticator::Signed(secrets) => {
                let checked = secrets.check(action, path, remote_addr.ip(), unix_now());
                checked.map_err(Denied::Signature)
            }
            Authenticator::Callback(callback) => callback.check(action, path, remote_addr, answer),
        }
    }

    /// Whether both have their tokens from files, which say different things.
    pub fn differs_in_file(&self, other: &Authenticator) -> bool {
        let (Authenticator::File(own), Authenticator::File(other)) = (self, other) else {
            return false;
        };
        // One lock at a time.
        let own = own.table.read().clone();
        own != *other.table.read()
    }

    /// Reads again what can be read again; returns whether there was anything.
    ///
    /// # Errors
    ///
    /// Any [`Error`] of a file: the tokens of before stay.
    pub fn reload(&self) -> Result<bool, Error> {
        let Authenticator::File(file) = self else {
            return Ok(false);
        };
        let table = read_table(&file.path)?;
        *file.table.write() = table;
        Ok(true)
    }
}

/// The time in seconds since 1970.
pub fn unix_now() -> u64 {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH);
    since_1970.map_or(0, |since| since.as_secs())
}

fn check_table(
    table: &TokenTable,
    action: Action,
    path: &StreamPath,
    token: &str,
) -> Result<(), Denied> {
    if token.is_empty() {
        return Err(Denied::NoToken);
    }
    table.check(action, &path.key, token).map_err(Denied::Token)
}

/// Tokens that were read from a file.
#[derive(Debug)]
pub struct FileTable {
    path: PathBuf,
    table: RwLock<TokenTable>,
}

fn read_table(path: &Path) -> Result<TokenTable, Error> {
    let text = file::read(path, FILE_LEN_MAX).map_err(|error| match error.kind() {
        ErrorKind::FileTooLarge => Error::TooLarge(path.to_owned()),
        _ => Error::Read(path.to_owned(), error),
    })?;
    TokenTable::from_json(&text)
}
