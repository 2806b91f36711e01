//! A web service that decides about each client.

use super::answers::Answers;
use super::{Action, Answer, Denied, QUESTIONS_MAX};
use crate::http::client::{Endpoint, PostError};
use crate::json::JsonValue;
use crate::rtmp::stream_key::StreamPath;
use crate::turns::Turns;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// The status that lets a client in.
const ALLOWED: u16 = 200;

/// A web service that is asked about each client.
#[derive(Debug)]
pub struct Callback {
    endpoint: Endpoint,
    timeout: Duration,
    turns: Turns,
    answers: Answers,
}

impl Callback {
    /// One at `url`, which has `timeout` for each answer.
    pub(super) fn new(url: &str, timeout: Duration) -> Result<Callback, PostError> {
        Ok(Callback {
            endpoint: Endpoint::new(url)?,
            timeout,
            turns: Turns::new(QUESTIONS_MAX),
            answers: Answers::default(),
        })
    }

    pub(super) fn check(
        &self,
        action: Action,
        path: &StreamPath,
        remote_addr: SocketAddr,
        answer: Answer,
    ) -> Result<(), Denied> {
        let question = || self.ask(&question(action, path, remote_addr), remote_addr);
        let status = match answer {
            Answer::New => question()?,
            Answer::Recent => {
                // Each connection has another port.
                let ip = remote_addr.ip().to_canonical().to_string();
                let parts = [action.name(), path.key.as_str(), path.whole_query(), &ip];
                let hash = Answers::hash(&parts);
                match self.answers.get(&hash, Instant::now()) {
                    Some(status) => status,
                    None => {
                        let status = question()?;
                        self.answers.keep(hash, status, Instant::now());
                        status
                    }
                }
            }
        };
        match status {
            ALLOWED => Ok(()),
            status => Err(Denied::Status(status)),
        }
    }

    /// Asks `question`, about a client at `remote_addr`; the status of the answer.
    fn ask(&self, question: &JsonValue, remote_addr: SocketAddr) -> Result<u16, Denied> {
        let (began, question) = (Instant::now(), question.to_string());
        let turn = self.turns.take(remote_addr.ip(), self.timeout);
        let _turn = turn.ok_or(Denied::Busy)?;
        let left = self.timeout.saturating_sub(began.elapsed());
        let headers = [("Content-Type", "application/json")];
        let reply = self.endpoint.post(&headers, &question, left);
        reply.map(|reply| reply.status).map_err(Denied::Failed)
    }
}

fn question(action: Action, path: &StreamPath, remote_addr: SocketAddr) -> JsonValue {
    let token = path.query("token").unwrap_or_default();
    JsonValue::Object(vec![
        ("action".to_owned(), action.name().into()),
        ("app".to_owned(), path.app.as_str().into()),
        ("stream_name".to_owned(), path.name.as_str().into()),
        ("stream_key".to_owned(), path.key.as_str().into()),
        ("token".to_owned(), token.as_str().into()),
        ("query".to_owned(), path.whole_query().into()),
        ("remote_addr".to_owned(), remote_addr.to_string().into()),
    ])
}
