//! The rules of a running server, which may change while it runs.

use super::{Action, Answer, Authenticator, Denied, Error};
use crate::ip_range::IpRange;
use crate::rtmp::stream_key::StreamPath;
use crate::sync::RwLock;
use std::mem;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// Who may publish and play.
#[derive(Debug)]
pub struct Rules {
    /// Where clients may come from. It is asked before anything else.
    pub allowed: AllowedAddresses,
    /// Decides about each client that comes from there.
    pub authenticator: Authenticator,
}

/// Where clients may publish and play from. No range at all: from everywhere.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AllowedAddresses {
    /// Where publishers may come from.
    pub publish: Vec<IpRange>,
    /// Where players may come from.
    pub play: Vec<IpRange>,
}

impl AllowedAddresses {
    /// Whether a client at `ip` may ask for `action`.
    pub fn contain(&self, action: Action, ip: IpAddr) -> bool {
        let ranges = match action {
            Action::Publish => &self.publish,
            Action::Play => &self.play,
        };
        ranges.is_empty() || ranges.iter().any(|range| range.contains(ip))
    }
}

/// How a client was let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Passed {
    /// Nothing is asked of anyone.
    Open,
    /// The client has shown that it may.
    Checked,
    /// A web service said so. The client may have left while it was asked.
    Asked,
}

/// Lets clients in by the rules of the moment.
#[derive(Debug)]
pub struct Gate {
    rules: RwLock<Arc<Rules>>,
}

impl Gate {
    /// A gate with these rules.
    pub fn new(rules: Rules) -> Gate {
        Gate {
            rules: RwLock::new(Arc::new(rules)),
        }
    }

    /// The rules from now on. Clients that are being asked about are decided on by the rules of before,
    /// which come back.
    pub fn replace(&self, rules: Arc<Rules>) -> Arc<Rules> {
        mem::replace(&mut self.rules.write(), rules)
    }

    /// Whether a client at `remote_addr` may do `action` to the stream at `path`. Blocks for as long
    /// as a web service takes, at most until its timeout; not at all without one.
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
    ) -> Result<Passed, Denied> {
        let rules = self.rules();
        if !rules.allowed.contain(action, remote_addr.ip()) {
            return Err(Denied::Address);
        }
        let authenticator = &rules.authenticator;
        authenticator.check(action, path, remote_addr, answer)?;
        Ok(match authenticator {
            Authenticator::None => Passed::Open,
            Authenticator::Token(_) | Authenticator::File(_) | Authenticator::Signed(_) => {
                Passed::Checked
            }
            Authenticator::Callback(_) => Passed::Asked,
        })
    }

    /// Reads again what can be read again; returns whether there was anything.
    ///
    /// # Errors
    ///
    /// Any [`Error`] of a file: the tokens of before stay.
    pub fn reload(&self) -> Result<bool, Error> {
        self.rules().authenticator.reload()
    }

    /// The rules of the moment. The lock is not held while a web service is asked.
    fn rules(&self) -> Arc<Rules> {
        Arc::clone(&self.rules.read())
    }
}
