//! Media over HTTP.

mod days;
mod ended;
mod flv;
mod hls;
mod hls_again;
mod mp4;
mod requests;
mod viewers;

use crate::support::http::{HttpBody, HttpReply};
use crate::support::readers::flv::FlvReader;
use crate::support::real::{AAC_CONFIG, AVC_CONFIG, real};
use crate::support::{Client, TestServer, describe};
use rtmp_server::amf0::Value;
use rtmp_server::rtmp::Message;

/// A server with media over HTTP.
fn start(flags: &str) -> TestServer {
    TestServer::start(&format!("-http-listen 127.0.0.1:0 {flags}"))
}

/// Sends what the lines say, and waits until the server has taken it: who comes then has it behind
/// itself.
fn send(publisher: &mut Client, lines: &[&str]) {
    lines.iter().for_each(|line| publisher.send(&real(line)));
    settle(publisher);
}

fn finish(publisher: &mut Client) {
    publisher.call(0, "deleteStream", 0.0, vec![Value::Number(1.0)]);
}

/// Waits until the server has dealt with all that was sent.
fn settle(publisher: &mut Client) {
    publisher.call(0, "settle", 9.0, vec![]);
    publisher.lines_until("_error 9");
}

/// A viewer of FLV.
struct FlvViewer(FlvReader<HttpBody>);

impl FlvViewer {
    /// Plays what is at `path`, once there is something.
    fn playing(server: &TestServer, path: &str) -> FlvViewer {
        FlvViewer::of(HttpReply::get(server.media_addr(), path))
    }

    fn of(reply: HttpReply) -> FlvViewer {
        assert_eq!(reply.status, 200);
        FlvViewer(FlvReader::new(reply.body))
    }

    fn flags(&self) -> u8 {
        self.0.flags
    }

    fn receive(&mut self) -> Message {
        self.0.next().expect("a tag").expect("another tag")
    }

    fn expect(&mut self, lines: &[&str]) {
        for line in lines {
            assert_eq!(describe(&self.receive()), *line);
        }
    }

    /// The response is complete, and the connection closed.
    fn expect_end(mut self) {
        assert_eq!(self.0.next().expect("a whole response"), None);
        self.0.into_inner().expect_closed();
    }

    /// The connection ends, and the response is not complete.
    fn expect_cut(mut self) {
        while self.0.next().is_ok_and(|tag| {
            assert!(tag.is_some(), "the response is complete");
            true
        }) {}
    }
}

/// Checks which of `count` pictures a slow viewer got, of which each `group`th is a keyframe: after those
/// that were left out it goes on at a keyframe.
fn check_slow(numbers: &[u32], count: u32, group: u32) {
    for pair in numbers.windows(2) {
        let follows = pair[1] == pair[0] + 1;
        let resumes = pair[1].is_multiple_of(group) && pair[1] > pair[0];
        assert!(follows || resumes, "{} after {}", pair[1], pair[0]);
    }
    assert!(
        numbers.len() < count as usize,
        "nothing was left out: the test shows nothing"
    );
}
