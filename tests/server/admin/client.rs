//! A client that writes bytes and reads responses, as strictly as a test should.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// How long anything may take before a test fails.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// What came back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Reply {
    /// The value of a header, which comes once or not at all.
    pub fn header(&self, name: &str) -> Option<&str> {
        let named = |(other, _): &&(String, String)| other.eq_ignore_ascii_case(name);
        let mut values = self.headers.iter().filter(named);
        let value = values.next().map(|(_, value)| value.as_str());
        assert_eq!(values.next(), None, "{name} comes twice");
        value
    }
}

/// A connection to the server.
pub struct Client(BufReader<TcpStream>);

impl Client {
    pub fn connect(addr: SocketAddr) -> Client {
        let socket = TcpStream::connect(addr).expect("a connection");
        socket.set_nodelay(true).expect("no delay");
        socket.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        Client(BufReader::new(socket))
    }

    pub fn socket(&self) -> &TcpStream {
        self.0.get_ref()
    }

    pub fn send(&mut self, bytes: &[u8]) {
        self.0.get_mut().write_all(bytes).expect("to send");
    }

    /// Sends what the server may not want any more.
    pub fn try_send(&mut self, bytes: &[u8]) -> bool {
        self.0.get_mut().write_all(bytes).is_ok()
    }

    /// The next response, which has a length; `head_only` if it comes without its body.
    pub fn receive(&mut self, head_only: bool) -> Reply {
        self.try_receive(head_only).expect("a response")
    }

    /// The same; `None` if the connection ends instead.
    pub fn try_receive(&mut self, head_only: bool) -> Option<Reply> {
        let line = self.line().filter(|line| !line.is_empty())?;
        let (version, rest) = line.split_once(' ').expect("a status line");
        assert_eq!(version, "HTTP/1.1");
        let (status, reason) = rest.split_once(' ').expect("a reason");
        assert!(!reason.is_empty(), "{line}");
        let mut reply = Reply {
            status: status.parse().expect("a status"),
            headers: Vec::new(),
            body: String::new(),
        };
        while let Some(line) = self.line().filter(|line| !line.is_empty()) {
            let (name, value) = line.split_once(": ").expect("a header");
            reply.headers.push((name.to_owned(), value.to_owned()));
        }
        let len = reply.header("Content-Length").expect("a length");
        if !head_only {
            let mut body = vec![0; len.parse().expect("a number")];
            self.0.read_exact(&mut body).expect("the body");
            reply.body = String::from_utf8(body).expect("text");
        }
        Some(reply)
    }

    /// A line; its end is CRLF. `None` if the connection ends.
    fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        match self.0.read_line(&mut line) {
            Ok(0) | Err(_) => None,
            Ok(_) => Some(line.strip_suffix("\r\n").expect("CRLF").to_owned()),
        }
    }

    /// Waits until the server ends the connection; what came until then.
    pub fn rest(&mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        // A reset ends it just as well.
        if let Err(error) = self.0.read_to_end(&mut rest) {
            assert_ne!(error.kind(), std::io::ErrorKind::WouldBlock, "still open");
        }
        rest
    }
}

/// Sends a request on a connection of its own, and reads the response to it.
pub fn ask(addr: SocketAddr, request: &str) -> Reply {
    let mut client = Client::connect(addr);
    client.send(request.as_bytes());
    client.receive(request.starts_with("HEAD"))
}

/// What is at `path`.
pub fn get(addr: SocketAddr, path: &str) -> Reply {
    ask(
        addr,
        &format!("GET {path} HTTP/1.1\r\nHost: {addr}\r\n\r\n"),
    )
}
