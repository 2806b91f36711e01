//! HTTP as others speak it: requests to the server, and replies to its own.

use rtmp_server::http::client::{BODY_LEN_MAX, HEAD_LEN_MAX, Reply};
use rtmp_server::http::server::{HttpLimits, HttpRequest, Method, USER_AGENT_LEN_MAX};
use std::io::{BufRead, BufReader};
use std::time::Duration;

const LIMITS: HttpLimits = HttpLimits {
    connections: 1,
    head_len: 8 << 10,
    body_len: 64 << 10,
    first: Duration::ZERO,
    idle: Duration::ZERO,
    read: Duration::ZERO,
    write: Duration::ZERO,
};

/// All requests of a connection are read alike however they are cut, and none goes beyond its limits.
pub fn requests(data: &[u8]) {
    let (whole, rest) = read_requests(data);
    let (cut, cut_rest) = read_requests(BufReader::with_capacity(1, data));
    assert_eq!((whole.len(), rest), (cut.len(), cut_rest));
    for (one, other) in whole.iter().zip(&cut) {
        match (one, other) {
            (Ok(one), Ok(other)) => assert_eq!(one, other),
            (Err(one), Err(other)) => assert_eq!(one, other),
            _ => panic!("{one:?} and {other:?}"),
        }
    }
    let read = whole.iter().filter_map(|request| request.as_ref().ok());
    for request in read {
        let path = &request.path;
        assert!(path.starts_with('/') || path == "*", "{path:?}");
        let plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_graphic());
        assert!(plain(path) && plain(&request.query) && !path.contains('?'));
        assert!(request.user_agent.len() <= USER_AGENT_LEN_MAX + 2);
        let texts = [&request.host, &request.origin, &request.bearer];
        let texts = texts.into_iter().flatten().chain([&request.user_agent]);
        for text in texts {
            let control = |c: char| c.is_ascii_control() && c != '\t';
            assert!(!text.contains(control), "{text:?}");
            assert!(text.len() <= 3 * LIMITS.head_len);
        }
        if request.takes_chunks {
            assert!(request.host.is_some(), "HTTP/1.1 without a host");
        }
        assert!(request.method != Method::Get || !path.is_empty());
    }
}

type Read = Result<HttpRequest, String>;

/// The requests and what is wrong with the last, and how much was not read.
fn read_requests(mut input: impl BufRead) -> (Vec<Read>, usize) {
    let mut requests = Vec::new();
    loop {
        let request = HttpRequest::read(&mut input, &LIMITS);
        let request = request.map_err(|error| error.to_string());
        let goes_on = request.as_ref().is_ok_and(|request| request.keep_alive);
        requests.push(request);
        if !goes_on {
            break;
        }
    }
    let mut rest = Vec::new();
    // Where the head was too long, a reader may have taken more of it.
    let is_read = requests.last().is_some_and(Result::is_ok);
    if is_read {
        input.read_to_end(&mut rest).expect("bytes");
    }
    (requests, rest.len())
}

/// A reply is read alike however it is cut, within its limits.
pub fn replies(data: &[u8]) {
    let read = |result: Result<Reply, _>| {
        result.map_err(|error: rtmp_server::http::client::PostError| error.to_string())
    };
    let mut input = data;
    let whole = read(Reply::read(&mut input));
    let mut slow = BufReader::with_capacity(1, data);
    let cut = read(Reply::read(&mut slow));
    assert_eq!(whole, cut);
    let Ok(reply) = whole else { return };
    assert!((200..1000).contains(&reply.status));
    assert!(reply.body.len() <= BODY_LEN_MAX.min(data.len()));
    let location = reply.location.unwrap_or_default();
    assert!(location.len() <= HEAD_LEN_MAX);
    assert!(
        !location.contains(['\r', '\n']) || location.contains('\r'),
        "{location:?}"
    );
}
