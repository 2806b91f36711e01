//! Relays to and pulls from other people's servers: nginx-rtmp, and ffmpeg that listens. What
//! arrives is held against what was published, packet by packet, and decoded.
//!
//! The programs come from `make tools`.

use super::rtmps::terminator::{Shows, Terminator};
use crate::support::process::ServerProcess;
use crate::support::{TestServer, free_addr, wait_until};
use rtmp_server::stats::LinkState;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long a program may take for what takes it some seconds.
const LIMIT: Duration = Duration::from_secs(30);

/// A directory that is removed in the end.
struct Dir(PathBuf);

impl Dir {
    fn new(name: &str) -> Dir {
        let name = format!("rtmp-peers-{}-{name}", std::process::id());
        let dir = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&dir).expect("a directory");
        // nginx has another user write its recordings.
        Command::new("chmod")
            .arg("777")
            .arg(&dir)
            .status()
            .expect("chmod");
        Dir(dir)
    }

    fn path(&self, name: &str) -> String {
        self.0.join(name).display().to_string()
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A program that is killed when it is not needed any more.
struct Program(Child);

impl Program {
    fn start(name: &str, args: &[&str]) -> Program {
        let mut command = Command::new(name);
        let command = command
            .args(args)
            .stdin(Stdio::null())
            .stderr(Stdio::null());
        Program(
            command
                .spawn()
                .unwrap_or_else(|error| panic!("{name}: {error}")),
        )
    }

    fn wait(&mut self) {
        let end = Instant::now() + LIMIT;
        while self.0.try_wait().expect("wait").is_none() {
            assert!(Instant::now() < end, "the program does not end");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // Politely: nginx has to end its workers.
        let pid = self.0.id().to_string();
        let _ = Command::new("kill").arg(pid).status();
        let end = Instant::now() + Duration::from_secs(2);
        while Instant::now() < end && matches!(self.0.try_wait(), Ok(None)) {
            std::thread::sleep(Duration::from_millis(10));
        }
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Five seconds of H.264 and AAC, a keyframe each second.
fn source(dir: &Dir) -> String {
    let file = dir.path("source.flv");
    let args = "-v error -y -f lavfi -i testsrc2=s=160x120:r=25 -f lavfi -i sine -t 5 \
                -c:v libx264 -preset ultrafast -g 25 -c:a aac";
    let mut command = Command::new("ffmpeg");
    let made = command.args(args.split_whitespace()).arg(&file).status();
    assert!(made.expect("ffmpeg").success());
    file
}

/// Stream and hash of each packet, which are those of the decoder's input.
fn packets(file: &Path) -> Vec<(u32, String)> {
    let mut command = Command::new("ffmpeg");
    command.args(["-v", "error", "-i"]).arg(file);
    let output = command
        .args(["-map", "0", "-c", "copy", "-f", "framemd5", "-"])
        .output();
    let output = output.expect("ffmpeg");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(errors.is_empty(), "{}: {errors}", file.display());
    let rows = text.lines().filter(|line| !line.starts_with('#'));
    let row = |line: &str| {
        let fields: Vec<&str> = line.split(',').map(str::trim).collect();
        (fields[0].parse().expect("a stream"), fields[5].to_owned())
    };
    rows.map(row).collect()
}

fn check_decodes(file: &Path) {
    let mut command = Command::new("ffmpeg");
    command.args(["-v", "error", "-xerror", "-i"]).arg(file);
    let output = command.args(["-f", "null", "-"]).output().expect("ffmpeg");
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && errors.is_empty(), "{errors}");
}

/// The packets of each of the two streams, in order; the first packet of all is of the first. A
/// packet with extra data has more fields, so that its hash is that of its first.
fn streams(packets: &[(u32, String)]) -> [Vec<&String>; 2] {
    [0, 1].map(|stream| {
        let of_stream = packets.iter().filter(|(of, _)| *of == stream);
        of_stream.map(|(_, hash)| hash).collect()
    })
}

/// All of `source` is in `file`, or all but what came before its beginning.
fn check_arrived(source: &str, file: &Path, missing_max: usize) {
    check_decodes(file);
    let (sent, arrived) = (packets(Path::new(source)), packets(file));
    let arrived = streams(&arrived);
    for sent in streams(&sent) {
        assert!(sent.len() > 100, "{} packets", sent.len());
        // Which stream is the first depends on what came first.
        let last = sent.last();
        let arrived = arrived.iter().find(|arrived| arrived.last() == last);
        let arrived = arrived.expect("a stream that ends as it was sent");
        assert!(sent.ends_with(arrived), "others than those sent");
        let missing = sent.len() - arrived.len();
        assert!(missing <= missing_max, "{missing} are missing");
    }
}

fn publish(source: &str, addr: SocketAddr) -> Program {
    let url = format!("rtmp://{addr}/live/cam");
    let args = [
        "-v", "quiet", "-re", "-i", source, "-c", "copy", "-f", "flv", &url,
    ];
    Program::start("ffmpeg", &args)
}

fn nginx(dir: &Dir, addr: SocketAddr) -> Program {
    let path = dir.0.display();
    let config = format!(
        "load_module /usr/lib/nginx/modules/ngx_rtmp_module.so;\n\
         worker_processes 1; daemon off; pid {path}/pid; error_log {path}/errors;\n\
         events {{ }}\n\
         rtmp {{ server {{ listen {addr}; application live {{\n\
         live on; record all; record_path {path}; record_suffix -recorded.flv;\n\
         }} }} }}\n"
    );
    std::fs::write(dir.path("nginx.conf"), config).expect("a configuration");
    let prefix = path.to_string();
    let nginx = Program::start("nginx", &["-p", &prefix, "-c", &dir.path("nginx.conf")]);
    wait_until("nginx", || std::net::TcpStream::connect(addr).is_ok());
    nginx
}

#[test]
fn a_stream_is_relayed_to_nginx_whole() {
    let dir = Dir::new("to-nginx");
    let (source, addr) = (source(&dir), free_addr());
    let _nginx = nginx(&dir, addr);
    let server = TestServer::start(&format!("-relay-to rtmp://{addr}/live"));
    publish(&source, server.addr).wait();
    wait_until("the end of the relay", || {
        server.server().snapshot().relays.is_empty()
    });
    check_recorded(&dir, &source);
}

#[test]
fn a_stream_is_relayed_to_nginx_behind_tls_whole() {
    let dir = Dir::new("to-nginx-tls");
    let (source, addr) = (source(&dir), free_addr());
    let _nginx = nginx(&dir, addr);
    let tls = Terminator::start("nginx", Shows::Good, addr);
    let url = format!("rtmps://localhost:{}/live", tls.port());
    let server = ServerProcess::start_with(&tls.trusted(), &format!("-relay-to {url}"));
    publish(&source, server.addr).wait();
    server.wait_for_line("relay stopped");
    check_recorded(&dir, &source);
}

/// nginx has recorded all of `source`.
fn check_recorded(dir: &Dir, source: &str) {
    let recorded = dir.0.join("cam-recorded.flv");
    // A relay begins with a picture, and leaves out what sound was before the first.
    wait_until("nginx's recording", || {
        recorded.exists() && packets(&recorded).len() + 2 >= packets(Path::new(source)).len()
    });
    check_arrived(source, &recorded, 2);
}

#[test]
fn a_stream_is_pulled_from_nginx_and_recorded() {
    let dir = Dir::new("from-nginx");
    let (source, addr) = (source(&dir), free_addr());
    let _nginx = nginx(&dir, addr);
    let path = dir.path("ours");
    let pull = format!("-pull live/copy=rtmp://{addr}/live/cam");
    let server = TestServer::start(&format!("{pull} -record-all true -record-dir {path}"));
    let mut publisher = publish(&source, addr);
    wait_until("the stream", || {
        let pulls = server.server().snapshot().pulls;
        pulls.iter().any(|pull| pull.state == LinkState::Connected)
    });
    publisher.wait();
    wait_until("a complete file", || {
        server.server().snapshot().totals.recordings == 1
    });
    let mut files = std::fs::read_dir(&path).expect("files").flatten();
    let file = files.next().expect("a file").path();
    // nginx begins with whatever comes next.
    check_arrived(&source, &file, 60);
}

#[test]
fn a_stream_is_relayed_to_an_ffmpeg_that_listens() {
    let dir = Dir::new("to-ffmpeg");
    let (source, addr) = (source(&dir), free_addr());
    let (url, file) = (format!("rtmp://{addr}/app/key"), dir.path("out.flv"));
    let args = [
        "-v", "quiet", "-listen", "1", "-i", &url, "-c", "copy", &file,
    ];
    let mut ffmpeg = Program::start("ffmpeg", &args);
    let flags = format!("-relay-to live/cam=rtmp://{addr}/app/key");
    let server = TestServer::start(&flags);
    let mut publisher = publish(&source, server.addr);
    wait_until("a relay", || {
        let relays = server.server().snapshot().relays;
        relays
            .iter()
            .any(|relay| relay.state == LinkState::Connected)
    });
    publisher.wait();
    ffmpeg.wait();
    // ffmpeg may have begun to listen a second after the stream began.
    check_arrived(&source, Path::new(&file), 60);
}
