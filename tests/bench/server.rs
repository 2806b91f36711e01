//! The servers under test: started on a port of their own, and looked at from outside.

use crate::conn::APP;
use std::fs::{self, File};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// How long a server may take to listen.
const START_LIMIT: Duration = Duration::from_secs(5);
const POLL: Duration = Duration::from_millis(20);

/// Ticks of `/proc/PID/stat` in a second, for user space on every architecture that matters.
const TICKS_PER_SECOND: f64 = 100.0;

/// One of the two servers that are compared.
#[derive(Clone, Debug)]
pub enum Which {
    /// A build of this one.
    Build { name: String, program: PathBuf },
    /// nginx with its RTMP module.
    Nginx,
}

impl Which {
    /// The build that cargo has just made.
    pub fn ours() -> Which {
        Which::Build {
            name: "ours".to_owned(),
            program: env!("CARGO_BIN_EXE_rtmp-server").into(),
        }
    }

    /// The same, as the server that streams are relayed to.
    pub fn far() -> Which {
        Which::Build {
            name: "far".to_owned(),
            program: env!("CARGO_BIN_EXE_rtmp-server").into(),
        }
    }

    /// What somebody asks to be compared with: `nginx`, or the path of another build.
    pub fn peer(name: &str) -> Which {
        match name {
            "nginx" => Which::Nginx,
            path => Which::Build {
                name: "peer".to_owned(),
                program: path.into(),
            },
        }
    }

    /// Whether it can be set up like that.
    pub fn can(&self, setup: &Setup) -> bool {
        let is_ours = matches!(self, Which::Build { .. });
        is_ours || !setup.http && setup.record != Some(RecordFormat::Mp4)
    }

    /// Its name in what is printed.
    pub fn name(&self) -> &str {
        match self {
            Which::Build { name, .. } => name,
            Which::Nginx => "nginx",
        }
    }
}

/// What recordings are written as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordFormat {
    Flv,
    Mp4,
}

/// What a server does beside taking streams and sending them to viewers by RTMP.
#[derive(Clone, Copy, Debug, Default)]
pub struct Setup {
    /// It serves media over HTTP.
    pub http: bool,
    /// It records all streams, in [`recordings`].
    pub record: Option<RecordFormat>,
    /// It relays all streams to this server.
    pub relay_to: Option<SocketAddr>,
}

/// Where a server writes recordings that keeps its files in `dir`.
pub fn recordings(dir: &Path) -> PathBuf {
    dir.join("recordings")
}

/// A running server. Dropping it stops it.
pub struct Server {
    child: Child,
    /// Where it listens.
    pub addr: SocketAddr,
    /// Where it serves media over HTTP, if it does.
    pub http_addr: Option<SocketAddr>,
}

/// What a server has used so far.
#[derive(Clone, Copy, Debug)]
pub struct Usage {
    /// CPU time, user and system, in seconds.
    pub cpu_s: f64,
    /// Resident memory in kB.
    pub rss_kb: u64,
    /// Threads.
    pub threads: u64,
    /// CPU time of everything on the machine, in seconds.
    pub machine_cpu_s: f64,
}

impl Server {
    /// Starts a server and waits until it listens. What it writes goes to `dir`.
    pub fn start(which: &Which, dir: &Path, setup: &Setup) -> Result<Server, String> {
        let failed = |error: std::io::Error| format!("{}: {error}", which.name());
        let addr = free_address().map_err(failed)?;
        let http_addr = match setup.http {
            true => Some(free_address().map_err(failed)?),
            false => None,
        };
        let mut command = match which {
            Which::Build { program, .. } => build_command(program, dir, setup, addr, http_addr),
            Which::Nginx => nginx_command(dir, setup, addr).map_err(failed)?,
        };
        let log = dir.join(format!("{}.log", which.name()));
        let out = File::create(&log).map_err(failed)?;
        command.stdout(out.try_clone().map_err(failed)?).stderr(out);
        let child = command.stdin(Stdio::null()).spawn().map_err(failed)?;
        let mut server = Server {
            child,
            addr,
            http_addr,
        };
        let end = Instant::now() + START_LIMIT;
        while TcpStream::connect(addr).is_err() {
            let ended = server.child.try_wait().map_err(failed)?;
            if ended.is_some() || Instant::now() > end {
                let log = fs::read_to_string(&log).unwrap_or_default();
                return Err(format!("{} does not start: {log}", which.name()));
            }
            thread::sleep(POLL);
        }
        Ok(server)
    }

    /// What it has used so far, its worker processes included.
    pub fn usage(&self) -> Result<Usage, String> {
        let read = |path: String| {
            fs::read_to_string(&path).map_err(|error| format!("cannot read {path}: {error}"))
        };
        let id = self.child.id();
        let children = read(format!("/proc/{id}/task/{id}/children")).unwrap_or_default();
        let ids = [id.to_string()].into_iter();
        let ids = ids.chain(children.split_whitespace().map(str::to_owned));
        let mut usage = Usage {
            cpu_s: 0.0,
            rss_kb: 0,
            threads: 0,
            machine_cpu_s: busy_seconds(&read("/proc/stat".to_owned())?),
        };
        for id in ids {
            let status = read(format!("/proc/{id}/status"))?;
            usage.cpu_s += cpu_seconds(&read(format!("/proc/{id}/stat"))?);
            usage.rss_kb += field(&status, "VmRSS:");
            usage.threads += field(&status, "Threads:");
        }
        Ok(usage)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Asked first: nginx' master would leave its worker behind when killed.
        let id = self.child.id().to_string();
        let asked = Command::new("kill").arg(id).status();
        let end = Instant::now() + START_LIMIT;
        while asked.is_ok() && Instant::now() < end {
            if matches!(self.child.try_wait(), Ok(Some(_))) {
                return;
            }
            thread::sleep(POLL);
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// CPU seconds of the process that is asking.
pub fn own_cpu_seconds() -> f64 {
    cpu_seconds(&fs::read_to_string("/proc/self/stat").unwrap_or_default())
}

fn build_command(
    program: &Path,
    dir: &Path,
    setup: &Setup,
    addr: SocketAddr,
    http: Option<SocketAddr>,
) -> Command {
    let mut command = Command::new(program);
    command.arg("-listen").arg(addr.to_string());
    if let Some(http) = http {
        command.arg("-http-listen").arg(http.to_string());
    }
    if let Some(format) = setup.record {
        command.args(["-record-all", "true", "-record-dir"]);
        command.arg(recordings(dir));
        command.arg("-record-format").arg(match format {
            RecordFormat::Flv => "flv",
            RecordFormat::Mp4 => "mp4",
        });
    }
    if let Some(far) = setup.relay_to {
        command.arg("-relay-to").arg(format!("rtmp://{far}/{APP}"));
    }
    command.args(["-log-format", "text", "-log-level", "warn"]);
    command
}

/// nginx as Debian builds it, with nothing in its configuration but what the runs need.
fn nginx_command(dir: &Path, setup: &Setup, addr: SocketAddr) -> std::io::Result<Command> {
    let conf = dir.join("nginx.conf");
    let shown = dir.display();
    let record = setup.record.map(|_| {
        let path = recordings(dir);
        format!("record all; record_path {}; ", path.display())
    });
    let push = setup
        .relay_to
        .map(|far| format!("push rtmp://{far}/{APP}; "));
    let text = format!(
        "load_module modules/ngx_rtmp_module.so;
user root;
worker_processes 1;
worker_rlimit_nofile 8192;
daemon off;
pid {shown}/nginx.pid;
error_log {shown}/nginx-error.log warn;
events {{ worker_connections 4096; }}
rtmp {{
    access_log off;
    server {{
        listen {addr};
        chunk_size 4096;
        application {APP} {{ live on; {record}{push}}}
    }}
}}
",
        record = record.unwrap_or_default(),
        push = push.unwrap_or_default(),
    );
    fs::write(&conf, text)?;
    let mut command = Command::new("nginx");
    command.arg("-c").arg(conf);
    // Where Debian keeps it is not in everybody's path.
    let path = std::env::var("PATH").unwrap_or_default();
    command.env("PATH", format!("{path}:/usr/sbin"));
    Ok(command)
}

/// An address that nothing listened on a moment ago.
fn free_address() -> std::io::Result<SocketAddr> {
    TcpListener::bind("127.0.0.1:0")?.local_addr()
}

/// utime and stime of a `stat` file; the name in parentheses before them may hold anything.
fn cpu_seconds(stat: &str) -> f64 {
    let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields);
    let ticks = fields.split_whitespace().skip(11).take(2);
    ticks
        .filter_map(|text| text.parse::<f64>().ok())
        .sum::<f64>()
        / TICKS_PER_SECOND
}

/// All of the first line of `/proc/stat` but idle and waiting for disks, which are its fourth and
/// fifth number; what guests use is counted in the first two already.
fn busy_seconds(stat: &str) -> f64 {
    let line = stat.lines().next().unwrap_or_default();
    let ticks = line.split_whitespace().skip(1).take(8);
    let ticks = ticks.map(|text| text.parse::<f64>().unwrap_or(0.0));
    let busy = ticks
        .enumerate()
        .filter(|(index, _)| !(3..=4).contains(index));
    busy.map(|(_, ticks)| ticks).sum::<f64>() / TICKS_PER_SECOND
}

/// The number behind `name` in a `status` file.
fn field(status: &str, name: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    let number = line.and_then(|rest| rest.split_whitespace().next());
    number.and_then(|text| text.parse().ok()).unwrap_or(0)
}
