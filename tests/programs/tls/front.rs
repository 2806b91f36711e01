//! A server that serves TLS, and clients that come by it through openssl.

use super::{Client, Dir, ServerProcess, children, fact, signal, wait_until};
use rtmp_server::amf0::Value;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::process::{Child, Command, Stdio};

/// A server with certificate and key in files of their own.
pub struct Front {
    pub server: ServerProcess,
    pub tls: SocketAddr,
    pub web: SocketAddr,
    pub dir: Dir,
}

impl Front {
    /// Starts one that shows the certificate `first`; there is one called `second` too.
    pub fn start(name: &str, flags: &str) -> Front {
        Front::start_with("", name, flags)
    }

    /// The same from a shell that runs `before` first.
    pub fn start_with(before: &str, name: &str, flags: &str) -> Front {
        let dir = Dir::new(name);
        dir.authority("first-ca");
        dir.authority("second-ca");
        let names = "DNS:localhost,IP:127.0.0.1";
        dir.certificate("first", "first-ca", names, 2);
        dir.certificate("second", "second-ca", names, 2);
        let (cert, key) = (dir.path("cert"), dir.path("key"));
        copy_pair(&dir, "first");
        let flags = format!(
            "-tls-listen 127.0.0.1:0 -tls-cert {cert} -tls-key {key} \
             -metrics-addr 127.0.0.1:0 {flags}"
        );
        let before = format!("exec 2>&1\nPATH=$PATH:/usr/sbin\n{before}");
        let server = ServerProcess::start_with(&before, &flags);
        let addr = |line: &str| fact(line, "addr").and_then(|addr| addr.parse().ok());
        let tls = addr(&server.wait_for_line("listening for TLS")).expect("an address");
        let web = addr(&server.wait_for_line("serving HTTP")).expect("an address");
        Front {
            server,
            tls,
            web,
            dir,
        }
    }

    /// The process that accepts clients.
    pub fn helper(&self) -> u32 {
        let mut pid = None;
        wait_until("the helper", || {
            let status = get(self.web, "/api/status");
            pid = fact(&status, "pid").and_then(|pid| pid.parse().ok());
            pid.is_some_and(|pid| children(self.server.pid(), "haproxy").contains(&pid))
        });
        pid.expect("a number")
    }

    pub fn use_certificate(&self, name: &str) {
        copy_pair(&self.dir, name);
    }

    /// A certificate without what is in it.
    pub fn break_certificate(&self) {
        std::fs::write(self.dir.path("cert"), "nothing\n").expect("a file");
    }

    /// Whether it shows the certificate `name` to newcomers.
    pub fn shows(&self, name: &str) -> bool {
        let mut command = s_client(self.tls);
        let command = command
            .args(["-CAfile", &self.dir.path(&format!("{name}-ca.pem"))])
            .args(["-verify_return_error", "-verify_ip", "127.0.0.1"]);
        let output = command.stdin(Stdio::null()).output().expect("openssl");
        output.status.success()
    }

    /// A client that is connected to the app `live` and has stream 1.
    pub fn client(&self) -> TlsClient {
        self.client_from("127.0.0.1")
    }

    /// The same, from another address of this machine.
    pub fn client_from(&self, ip: &str) -> TlsClient {
        TlsClient::connected(self.tls, ip)
    }
}

fn copy_pair(dir: &Dir, name: &str) {
    let copy = |from: &str, to: &str| {
        std::fs::copy(dir.path(&format!("{name}.{from}")), dir.path(to)).expect("a copy")
    };
    copy("key", "key");
    copy("pem", "cert");
}

fn s_client(addr: SocketAddr) -> Command {
    let mut command = Command::new("openssl");
    command
        .args(["s_client", "-connect", &addr.to_string(), "-quiet"])
        .args(["-no_ign_eof", "-nocommands"])
        .stderr(Stdio::null());
    command
}

/// A client whose bytes go through openssl. Dropping it ends that.
pub struct TlsClient {
    pub client: Client,
    openssl: Child,
}

impl TlsClient {
    pub fn connected(addr: SocketAddr, from: &str) -> TlsClient {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let near = TcpStream::connect(listener.local_addr().unwrap()).expect("connect");
        near.set_read_timeout(Some(crate::support::PATIENCE))
            .unwrap();
        let (far, _) = listener.accept().expect("accept");
        let far = OwnedFd::from(far);
        let mut command = s_client(addr);
        command.args(["-bind", &format!("{from}:0")]);
        command.stdin(far.try_clone().unwrap()).stdout(far);
        let openssl = command.spawn().expect("openssl");
        // Its end is the end of the connection.
        drop(command);
        let mut client = Client::shake_hands_over(near, |_, s1| *s1);
        client.connect("live");
        client.create_stream();
        TlsClient { client, openssl }
    }

    /// It does nothing from now on, and its socket stays open whatever it is told.
    pub fn freeze(&self) {
        signal("-STOP", self.openssl.id());
    }

    /// It reads again.
    pub fn go_on(&self) {
        signal("-CONT", self.openssl.id());
    }

    pub fn publish(&mut self, name: &str) {
        let values = vec![Value::text(name), Value::text("live")];
        self.client.call(1, "publish", 0.0, values);
        self.client
            .expect(&["begin 1", "status@1 NetStream.Publish.Start"]);
    }

    pub fn play(&mut self, name: &str) {
        let values = vec![Value::text(name), Value::Number(-2.0)];
        self.client.call(1, "play", 0.0, values);
        self.client
            .expect(&["begin 1", "status@1 NetStream.Play.Start"]);
    }
}

impl Drop for TlsClient {
    fn drop(&mut self) {
        let _ = self.openssl.kill();
        let _ = self.openssl.wait();
    }
}

/// What the HTTP server says at `path`.
pub fn get(web: SocketAddr, path: &str) -> String {
    let mut request = TcpStream::connect(web).expect("connect");
    write!(request, "GET {path} HTTP/1.0\r\n\r\n").expect("a request");
    let mut answer = String::new();
    request.read_to_string(&mut answer).expect("an answer");
    answer
}

/// The state of the helper in `/api/status`.
pub fn tls_state(status: &str) -> &str {
    let (_, tls) = status.split_once("\"tls\":{").expect("TLS");
    fact(tls, "state").unwrap_or_default()
}
