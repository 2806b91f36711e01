//! A TLS terminator in front of an RTMP server, certificates of all kinds, and the processes that the
//! server runs.

use crate::support::{free_addr, wait_until};
use std::fmt::Write as _;
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

/// A directory that is removed in the end.
pub struct Dir(pub PathBuf);

impl Dir {
    pub fn new(name: &str) -> Dir {
        let name = format!("rtmp-rtmps-{}-{name}", std::process::id());
        let dir = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&dir).expect("a directory");
        Dir(dir)
    }

    pub fn path(&self, name: &str) -> String {
        self.0.join(name).display().to_string()
    }

    fn openssl(&self, args: &str) {
        let mut command = Command::new("openssl");
        let command = command.args(args.split_whitespace()).current_dir(&self.0);
        let output = command.output().expect("openssl");
        assert!(output.status.success(), "{args}: {output:?}");
    }

    /// Makes an authority and its certificate.
    pub fn authority(&self, name: &str) {
        self.openssl(&format!(
            "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 \
             -subj /CN={name} -keyout {name}.key -out {name}.pem"
        ));
    }

    /// Has `authority` sign a certificate for these names, and writes it with its key to `NAME.both`.
    pub fn certificate(&self, name: &str, authority: &str, names: &str, days: i32) {
        std::fs::write(self.path("names"), format!("subjectAltName={names}\n")).expect("names");
        self.openssl(&format!(
            "req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN={name} \
             -keyout {name}.key -out {name}.csr"
        ));
        self.openssl(&format!(
            "x509 -req -in {name}.csr -CA {authority}.pem -CAkey {authority}.key -CAcreateserial \
             -extfile names -days {days} -out {name}.pem"
        ));
        self.join(name);
    }

    /// haproxy wants certificate and key in one file.
    fn join(&self, name: &str) {
        let read = |end: &str| std::fs::read(self.path(&format!("{name}.{end}"))).expect("a file");
        let both = [read("pem"), read("key")].concat();
        std::fs::write(self.path(&format!("{name}.both")), both).expect("a file");
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// What certificate a terminator shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shows {
    Good,
    OtherHost,
    Expired,
    SelfSigned,
    UnknownAuthority,
}

impl Shows {
    fn name(self) -> &'static str {
        match self {
            Shows::Good => "good",
            Shows::OtherHost => "other",
            Shows::Expired => "expired",
            Shows::SelfSigned => "self",
            Shows::UnknownAuthority => "unknown",
        }
    }
}

/// haproxy in front of a server, which it need not find. Dropping it ends it.
pub struct Terminator {
    dir: Dir,
    addr: SocketAddr,
    child: Option<Child>,
}

impl Terminator {
    pub fn start(name: &str, shows: Shows, to: SocketAddr) -> Terminator {
        let dir = Dir::new(name);
        let here = "DNS:localhost,IP:127.0.0.1";
        dir.authority("ca");
        match shows {
            Shows::Good => dir.certificate("good", "ca", here, 2),
            Shows::OtherHost => dir.certificate("other", "ca", "DNS:other.example", 2),
            Shows::Expired => dir.certificate("expired", "ca", here, -1),
            Shows::SelfSigned => {
                dir.authority("self");
                dir.join("self");
            }
            Shows::UnknownAuthority => {
                dir.authority("stranger");
                dir.certificate("unknown", "stranger", here, 2);
            }
        }
        let addr = free_addr();
        let mut config = "defaults\nmode tcp\ntimeout connect 5s\ntimeout client 2m\n".to_owned();
        let _ = write!(
            config,
            "timeout server 2m\nlisten rtmps\nbind {addr} ssl crt {}\nserver rtmp {to}\n",
            dir.path(&format!("{}.both", shows.name()))
        );
        std::fs::write(dir.path("haproxy.cfg"), config).expect("a configuration");
        let mut terminator = Terminator {
            dir,
            addr,
            child: None,
        };
        terminator.begin();
        terminator
    }

    /// Starts it, again if it was ended.
    pub fn begin(&mut self) {
        let path = format!("{}:/usr/sbin", std::env::var("PATH").unwrap_or_default());
        let mut command = Command::new("haproxy");
        let command = command
            .args(["-db", "-f", &self.dir.path("haproxy.cfg")])
            .env("PATH", path)
            .stdin(Stdio::null())
            .stderr(Stdio::null());
        self.child = Some(command.spawn().expect("haproxy"));
        let addr = self.addr;
        wait_until("haproxy", || TcpStream::connect(addr).is_ok());
    }

    pub fn end(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    pub fn pid(&self) -> u32 {
        self.child.as_ref().expect("runs").id()
    }

    pub fn port(&self) -> u16 {
        self.addr.port()
    }

    /// What a shell runs so that its authority is trusted.
    pub fn trusted(&self) -> String {
        format!("export SSL_CERT_FILE={}", self.dir.path("ca.pem"))
    }
}

impl Drop for Terminator {
    fn drop(&mut self) {
        self.end();
    }
}

/// The programs called `openssl` that process `parent` has started and that run.
pub fn openssls(parent: u32) -> Vec<u32> {
    children(parent, "openssl")
}

/// The programs of this name that process `parent` has started and that run.
pub fn children(parent: u32, program: &str) -> Vec<u32> {
    let processes = std::fs::read_dir("/proc").expect("proc").flatten();
    let stats =
        processes.filter_map(|entry| std::fs::read_to_string(entry.path().join("stat")).ok());
    let found = stats.filter_map(|stat| {
        let (begin, rest) = stat.rsplit_once(") ")?;
        let (pid, name) = begin.split_once(" (")?;
        let fields: Vec<&str> = rest.split(' ').collect();
        let ours = name == program && fields[0] != "Z" && fields[1] == parent.to_string();
        ours.then(|| pid.parse().ok())?
    });
    found.collect()
}

/// Whether process `pid` runs.
pub fn runs(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"));
    stat.is_ok_and(|stat| !stat.contains(") Z "))
}

/// Sends a signal, by its name.
pub fn signal(name: &str, pid: u32) {
    let status = Command::new("kill").args([name, &pid.to_string()]).status();
    assert!(status.expect("kill").success());
}
