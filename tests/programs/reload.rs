//! What changes when a running server reads its configuration again, and that nobody notices who need not.

mod access;
mod bystanders;
mod faults;
mod operation;
mod outputs;
mod pulls;
mod storm;

use crate::support::process::{ServerProcess, fact};
use crate::support::web_service::Dir;
use bystanders::Bystanders;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};

/// A server whose configuration file changes, with others that must not notice.
struct Changing {
    server: ServerProcess,
    /// Where it answers HTTP.
    http: SocketAddr,
    /// Where it serves media over HTTP.
    media: SocketAddr,
    dir: Dir,
    bystanders: Bystanders,
    /// A shell that sends signals: to start a program for each takes longer than what it causes.
    shell: Shell,
}

/// A shell that reads commands; it ends when this is dropped.
struct Shell(Child);

impl Shell {
    fn start() -> Shell {
        let shell = Command::new("/bin/sh").stdin(Stdio::piped()).spawn();
        Shell(shell.expect("a shell"))
    }

    fn run(&self, command: &str) {
        let mut input = self.0.stdin.as_ref().expect("piped");
        writeln!(input, "{command}").expect("a command");
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        // It may be gone already.
        let _ = self.0.wait();
    }
}

/// A change: the flags that it is about, the lines before and after, and what shows which of both hold.
type Row = (
    &'static str,
    &'static str,
    &'static str,
    fn(&Changing, bool),
);

impl Changing {
    /// Starts one with these lines in its file, where `DIR` is a directory of its own and `OTHER` the
    /// address of another server.
    fn start(lines: &str) -> Changing {
        let dir = Dir::new("change");
        let mut bystanders = Bystanders::new(&dir);
        let path = write(&dir, &bystanders, lines);
        let flags =
            format!("-merge 0 -metrics-addr 127.0.0.1:0 -http-listen 127.0.0.1:0 -config {path}");
        let server = ServerProcess::start(&flags);
        let addr = |phrase| {
            let line = server.wait_for_line(phrase);
            let addr = fact(&line, "addr").and_then(|addr| addr.parse().ok());
            addr.expect("an address")
        };
        let (http, media) = (addr("serving HTTP"), addr("serving media over HTTP"));
        bystanders.begin(server.addr);
        Changing {
            server,
            http,
            media,
            dir,
            bystanders,
            shell: Shell::start(),
        }
    }

    /// Writes these lines in place of those that were given last, and has the server read them.
    fn send(&self, lines: &str) {
        write(&self.dir, &self.bystanders, lines);
        self.shell.run(&format!("kill -HUP {}", self.server.pid()));
    }

    /// The same, and waits until they hold; the flags that have changed.
    fn change(&self, lines: &str) -> String {
        self.send(lines);
        let line = self.server.wait_for_line("reload");
        assert!(line.contains("\"reloaded\""), "{lines}: {line}");
        let (_, rest) = line.split_once("\"changed\":\"").expect("the flags");
        rest.split('"').next().unwrap_or_default().to_owned()
    }

    /// Those who must not notice anything get another picture, and nothing else.
    fn step(&mut self) {
        self.bystanders.step();
    }

    /// The response to a request, given by its first line and further headers.
    fn request(&self, request: &str, headers: &str) -> String {
        self.request_at(self.http, request, headers)
    }

    fn request_at(&self, addr: SocketAddr, request: &str, headers: &str) -> String {
        let mut socket = TcpStream::connect(addr).expect("connect");
        let text = format!("{request} HTTP/1.1\r\nConnection: close\r\n{headers}\r\n\r\n");
        socket.write_all(text.as_bytes()).expect("send");
        let mut response = String::new();
        socket.read_to_string(&mut response).expect("a response");
        response
    }

    /// What the API says of the stream `live/NAME`, as JSON.
    fn stream(&self, name: &str) -> String {
        let path = format!("GET /api/streams/live/{name}");
        self.request(&path, "Host: localhost")
    }
}

/// Sees each row hold before and after its change, while others go on.
fn see(rows: &[Row]) {
    let mut changing = Changing::start("");
    for (flags, before, after, holds) in rows {
        changing.change(before);
        holds(&changing, false);
        changing.step();
        assert_eq!(changing.change(after), *flags, "{after}");
        changing.step();
        holds(&changing, true);
        changing.step();
    }
    changing.bystanders.end(&changing.dir);
}

fn write(dir: &Dir, bystanders: &Bystanders, lines: &str) -> String {
    let other = bystanders.other.addr.to_string();
    let lines = lines.replace("OTHER", &other);
    let lines = lines.replace("DIR", &dir.as_ref().display().to_string());
    dir.write("f", &format!("{}\n{lines}\n", bystanders.flags))
}
