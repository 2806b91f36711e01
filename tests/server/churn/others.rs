//! Those who come and go by everything else: HTTP, proxies, TLS, other servers.

use super::actor::{Act, Actor};
use crate::support::Client;
use rtmp_server::amf0::Value;
use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Those that leave nothing behind as soon as they are gone.
pub const ACTS: [Act; 6] = [
    ("http-flv", Actor::watch_flv),
    ("http-mp4", Actor::watch_mp4),
    ("http refused", Actor::watch_nothing),
    ("proxy publish", Actor::publish_by_proxy),
    ("proxy refused", Actor::come_without_header),
    ("admin", Actor::look),
];

/// Those that last for a minute longer, and those that cost the machine most.
pub const SLOW_ACTS: [Act; 4] = [
    ("hls", Actor::watch_hls),
    ("hls", Actor::watch_hls),
    ("pull", Actor::play_pulled),
    ("tls publish", Actor::publish_by_tls),
];

/// The longest that a response may take, in ms, where nothing says when it ends.
const RESPONSE_MS: u64 = 3_000;

/// Asks for what is at `path`; the socket, to read the response from.
fn ask(addr: SocketAddr, path: &str) -> TcpStream {
    let mut socket = TcpStream::connect(addr).expect("connect");
    let request = format!("GET {path} HTTP/1.1\r\nHost: {addr}\r\nConnection: close\r\n\r\n");
    // It may be hung up on already.
    let _ = socket.write_all(request.as_bytes());
    socket
}

/// The whole response, as far as it comes in time.
fn get(addr: SocketAddr, path: &str) -> String {
    let mut socket = ask(addr, path);
    let end = Instant::now() + Duration::from_millis(RESPONSE_MS);
    let (mut bytes, mut buffer) = (Vec::new(), vec![0; 64 << 10]);
    loop {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            break;
        }
        let limited = socket.set_read_timeout(Some(left));
        limited.expect("a time limit");
        match socket.read(&mut buffer) {
            Ok(len @ 1..) => bytes.extend_from_slice(&buffer[..len]),
            _ => break,
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

impl Actor {
    fn watch(&mut self, ending: &str, most_ms: u64) {
        let name = self.name();
        let mut socket = ask(self.places.media, &format!("/live/{name}{ending}"));
        self.read(&mut socket, most_ms);
    }

    fn watch_flv(&mut self) {
        self.watch(".flv", 400);
    }

    fn watch_mp4(&mut self) {
        self.watch(".mp4", 400);
    }

    fn watch_nothing(&mut self) {
        let mut socket = ask(self.places.media, "/live/nothing.flv");
        self.read(&mut socket, 500);
    }

    /// Follows a playlist for a few requests, and takes what it names last.
    fn watch_hls(&mut self) {
        let name = self.name();
        let media = self.places.media;
        for _ in 0..3 {
            let playlist = get(media, &format!("/live/{name}/index.m3u8"));
            let last = playlist.lines().rfind(|line| line.ends_with(".m4s"));
            if let Some(segment) = last {
                get(media, &format!("/live/{name}/{segment}"));
            }
        }
    }

    fn publish_by_proxy(&mut self) {
        let mut socket = TcpStream::connect(self.places.proxy).expect("connect");
        let header = format!(
            "PROXY TCP4 192.0.2.{} 192.0.2.1 4711 1935\r\n",
            1 + self.random.below(250)
        );
        socket.write_all(header.as_bytes()).expect("send");
        let mut client = Client::shake_hands_over(socket, |_, s1| *s1);
        client.connect("live");
        client.create_stream();
        let mut client = self.publish_over(client);
        self.finish(&mut client);
    }

    fn come_without_header(&mut self) {
        let mut socket = TcpStream::connect(self.places.proxy).expect("connect");
        let _ = socket.write_all(&[3; 64]);
        self.read(&mut socket, 100);
    }

    fn look(&mut self) {
        let path = ["/metrics", "/api/streams", "/stat", "/"][self.random.below(4) as usize];
        get(self.places.admin, path);
    }

    /// A stream that comes from the server that all are relayed to.
    fn play_pulled(&mut self) {
        let mut client = Client::shake_hands(self.places.rtmp);
        client.connect("pulled");
        client.create_stream();
        let name = self.name();
        self.ask(&mut client, 1, "play", Value::text(name));
        self.read(&mut client.socket, 600);
    }

    fn publish_by_tls(&mut self) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let near = TcpStream::connect(listener.local_addr().expect("an address"));
        let far = OwnedFd::from(listener.accept().expect("accept").0);
        let mut openssl = Command::new("openssl")
            .args(["s_client", "-connect", &self.places.tls.to_string()])
            .args(["-quiet", "-no_ign_eof", "-nocommands"])
            .stdin(far.try_clone().expect("a copy"))
            .stdout(far)
            .stderr(Stdio::null())
            .spawn()
            .expect("openssl");
        let mut client = Client::shake_hands_over(near.expect("connect"), |_, s1| *s1);
        client.connect("live");
        client.create_stream();
        let mut client = self.publish_over(client);
        self.finish(&mut client);
        drop(client);
        let _ = openssl.kill();
        let _ = openssl.wait();
    }
}

/// Makes a key and a certificate for it below `dir`; their paths.
pub fn certificate(dir: &Path) -> [String; 2] {
    let [key, cert] = ["key", "cert"].map(|name| dir.join(name).display().to_string());
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt"])
        .args(["ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"])
        .args(["-subj", "/CN=localhost", "-keyout", &key, "-out", &cert])
        .output();
    assert!(made.expect("openssl").status.success(), "a certificate");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    fs::set_permissions(&key, mode).expect("a mode");
    [key, cert]
}
