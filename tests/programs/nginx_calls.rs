//! The callbacks of nginx-rtmp and ours, captured side by side while ffmpeg does the same with both, and
//! compared field by field.
//!
//! The programs come from `make tools`.

use crate::support::process::ServerProcess;
use crate::support::web_service::{Dir, Manner, WebService};
use crate::support::{free_addr, wait_until};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

const CALLS: [&str; 9] = [
    "on_connect",
    "on_publish",
    "on_play",
    "on_update",
    "on_publish_done",
    "on_play_done",
    "on_done",
    "on_record_done",
    "on_disconnect",
];

/// The name of a call, and its fields.
type Call = (String, Vec<(String, String)>);

/// A program that is ended politely: nginx has workers.
struct Program(Child);

impl Drop for Program {
    fn drop(&mut self) {
        let pid = self.0.id().to_string();
        let _ = Command::new("kill").arg(pid).status();
        let _ = self.0.wait();
    }
}

/// Where calls go: on_publish gets another name, all else is let in.
struct Services {
    publish: WebService,
    others: WebService,
}

impl Services {
    fn start() -> Services {
        Services {
            publish: WebService::start(Manner::Redirect("public")),
            others: WebService::start(Manner::Status(200)),
        }
    }

    fn url(&self, call: &str) -> String {
        match call {
            "on_publish" => self.publish.url("/on_publish"),
            _ => self.others.url(&format!("/{call}")),
        }
    }

    /// All calls until now: their names, and their fields.
    fn calls(&self) -> Vec<Call> {
        let publish = self.publish.requests.try_iter();
        let requests: Vec<String> = publish.chain(self.others.requests.try_iter()).collect();
        let forms = requests.iter().map(|request| {
            let (head, body) = request.split_once("\r\n\r\n").expect("a head");
            assert!(head.starts_with("POST /on_"), "{head}");
            let form = "Content-Type: application/x-www-form-urlencoded";
            assert!(head.lines().any(|line| line == form), "{head}");
            let name = head["POST /".len()..].split(' ').next().unwrap_or_default();
            let fields = body.split('&').map(|field| {
                let (name, value) = field.split_once('=').expect("a field");
                (name.to_owned(), value.to_owned())
            });
            (name.to_owned(), fields.collect::<Vec<_>>())
        });
        forms.collect()
    }
}

fn nginx(dir: &Dir, addr: SocketAddr, services: &Services) -> Program {
    let here = dir.as_ref().display();
    let port = addr.port();
    let on = |call: &&str| format!("{call} {};\n", services.url(call));
    let (outer, inner): (Vec<&str>, Vec<&str>) = CALLS
        .iter()
        .partition(|call| matches!(**call, "on_connect" | "on_disconnect"));
    let outer: String = outer.iter().map(on).collect();
    let inner: String = inner.iter().map(on).collect();
    let config = format!(
        "load_module /usr/lib/nginx/modules/ngx_rtmp_module.so;\n\
         daemon off; master_process off; pid {here}/pid; error_log {here}/log;\n\
         events {{}}\n\
         rtmp {{ server {{ listen 127.0.0.1:{port}; notify_update_timeout 1s; {outer}\n\
         application live {{ live on; record all; record_path {here}; {inner} }} }} }}\n"
    );
    let path = dir.write("nginx.conf", &config);
    let mut command = Command::new("nginx");
    command.args(["-p", &here.to_string(), "-c", &path]);
    let child = command
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("nginx");
    wait_until("nginx", || TcpStream::connect(addr).is_ok());
    Program(child)
}

/// Publishes for some seconds, and plays the public name for a part of that.
fn publish_and_play(addr: SocketAddr) {
    let ffmpeg = |line: String| {
        let mut command = Command::new("timeout");
        command
            .args(["12", "ffmpeg", "-loglevel", "error"])
            .args(line.split_whitespace());
        command
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("ffmpeg")
    };
    let mut publisher = ffmpeg(format!(
        "-re -f lavfi -i testsrc2=size=160x90:rate=25 -f lavfi -i sine -t 5 -c:v libx264 -preset ultrafast \
         -pix_fmt yuv420p -g 25 -c:a aac -f flv \
         rtmp://{addr}/live/s3cret?token=a%20b&x=1"
    ));
    std::thread::sleep(Duration::from_millis(700));
    let mut player = ffmpeg(format!(
        "-rtmp_pageurl http://h/?a=b -i rtmp://{addr}/live/public?y=%2F -t 2.5 -c copy -f null -"
    ));
    let _ = player.wait();
    let _ = publisher.wait();
}

/// A value without what differs from run to run.
fn normal(name: &str, value: &str, addr: SocketAddr) -> String {
    match name {
        "clientid" | "epoch" | "timestamp" => {
            let _: u64 = value.parse().expect("a number");
            "N".to_owned()
        }
        // Each of the two may be at another second.
        "time" => {
            assert!(
                value
                    .parse::<u64>()
                    .is_ok_and(|time| (1..=2).contains(&time)),
                "{value}"
            );
            "N".to_owned()
        }
        "tcurl" => value.replace(&addr.to_string(), "HOST"),
        // nginx keeps 31 bytes.
        "flashver" => value
            .replace("%20", " ")
            .replace("%3B", ";")
            .chars()
            .take(31)
            .collect(),
        "path" => {
            assert!(value.starts_with('/') && value.ends_with(".flv"), "{value}");
            let file = value.rsplit('/').next().expect("a file");
            let public = file.starts_with("public") || file.starts_with("live_public_");
            format!("public: {public}")
        }
        _ => value.to_owned(),
    }
}

/// The calls about the client that calls itself so, without those of on_update after the first.
fn lines(calls: &[Call], flash_ver: &str, addr: SocketAddr) -> Vec<String> {
    let about = |(_, fields): &&Call| fields[1].1.starts_with(flash_ver);
    let mut calls: Vec<&Call> = calls.iter().filter(about).collect();
    // The calls of one moment may come in any order.
    calls.sort_by_key(|(name, _)| CALLS.iter().position(|call| call == name));
    calls.dedup_by(|next, last| next.0 == "on_update" && last.0 == next.0);
    let line = |(call, fields): &Call| {
        let fields = fields.iter();
        let fields = fields.map(|(name, value)| format!("{name}={}", normal(name, value, addr)));
        format!("{call}: {}", fields.collect::<Vec<_>>().join("&"))
    };
    calls.into_iter().map(line).collect()
}

#[test]
fn our_calls_are_those_of_nginx_rtmp() {
    let dir = Dir::new("nginx-calls");
    let all = std::fs::Permissions::from_mode(0o777);
    std::fs::set_permissions(dir.as_ref(), all).expect("permissions");
    let (theirs, ours) = (Services::start(), Services::start());
    let their_addr = free_addr();
    let their_server = nginx(&dir, their_addr, &theirs);
    let record = format!("-record-all true -record-dir {}", dir.as_ref().display());
    let flags = CALLS.map(|call| format!("-notify {call}={}", ours.url(call)));
    let flags = format!("{record} -notify-update 1s {}", flags.join(" "));
    let our_server = ServerProcess::start(&flags);
    let our_addr = our_server.addr;
    std::thread::scope(|scope| {
        scope.spawn(|| publish_and_play(their_addr));
        scope.spawn(|| publish_and_play(our_addr));
    });
    our_server.wait_for_line("recording done");
    std::thread::sleep(Duration::from_millis(500));
    drop(their_server);
    let (theirs, ours) = (theirs.calls(), ours.calls());
    // The publisher, and the player.
    for (flash_ver, calls) in [("FMLE", 7), ("LNX", 6)] {
        let want = lines(&theirs, flash_ver, their_addr);
        let got = lines(&ours, flash_ver, our_addr);
        assert_eq!(got, want, "{flash_ver}");
        assert_eq!(got.len(), calls, "{got:#?}");
    }
}
