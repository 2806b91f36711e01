//! Nothing secret is in any output of the server, whatever its clients, its configuration and the
//! servers that it speaks to do with it.
//!
//! Every secret has [`MARK`] in it. What may have secrets by contract is not looked at: the requests to
//! callback services and those of -notify, what destinations are sent, and what -sign prints.

mod clients;
mod outputs;

use super::rtmps::terminator::{Dir, signal};
use crate::support::free_addr;
use crate::support::other_server;
use crate::support::process::ServerProcess;
use crate::support::web_service::{Manner, WebService};
use clients::Ports;
use outputs::Outputs;
use rtmp_server::amf0::Value;
use rtmp_server::rtmp::{StreamId, status};
use std::net::{SocketAddr, TcpListener};
use std::process::{Child, Command, Stdio};

/// What every secret has in it.
const MARK: &str = "s3cr";

/// A way to let clients in, and the log that is looked at.
struct Mode {
    name: &'static str,
    /// Flags; `SERVICE` is the address of a web service that lets everybody in, `CLOSED` one where
    /// nobody listens, `DIR` a directory.
    flags: &'static str,
    log_format: &'static str,
    hook_format: &'static str,
    /// What lets a client in to publish and to play `live/cam`.
    publish: &'static str,
    play: &'static str,
}

const MODES: [Mode; 4] = [
    Mode {
        name: "token",
        flags: "auth-mode token\nauth-token live/cam=s3cr-token\nauth-token live/*=s3cr-others",
        log_format: "json",
        hook_format: "json",
        publish: "token=s3cr-token",
        play: "token=s3cr-token",
    },
    Mode {
        name: "file",
        flags: "auth-mode file\nauth-file DIR/tokens",
        log_format: "text",
        hook_format: "env",
        publish: "token=s3cr-publish",
        play: "token=s3cr-play",
    },
    Mode {
        name: "callback",
        flags: "auth-mode callback\nauth-callback http://s3cr-user:s3cr-word@SERVICE/a?key=s3cr-query",
        log_format: "json",
        hook_format: "env",
        publish: "token=s3cr-token&user=s3cr-user",
        play: "pass=s3cr-pass",
    },
    Mode {
        name: "signed",
        flags: "auth-mode signed\nauth-secret s3cr-0123456789abcdef0123",
        log_format: "text",
        hook_format: "json",
        publish: "",
        play: "",
    },
];

/// What holds in every mode.
const FLAGS: &str = "\
log-level debug
on-duplicate reject
merge 0
grace 200ms
wait-stream 200ms
shutdown-timeout 3s
api-token s3cr-api
reconnect-url rtmp://127.0.0.1/live?token=s3cr-reconnect
record-all true
record-dir DIR/recordings
tls-cert DIR/cert.pem
tls-key DIR/cert.key
hook-webhook publish_start=http://s3cr-user:s3cr-word@SERVICE/h?key=s3cr-query
hook-webhook publish_stop=http://s3cr-user:s3cr-word@CLOSED/s3cr?key=s3cr-query
hook-webhook play_start=https://s3cr-user:s3cr-word@CLOSED/s3cr?key=s3cr-query
notify on_connect=http://s3cr-user:s3cr-word@SERVICE/n?key=s3cr-query
notify on_publish=http://s3cr-user:s3cr-word@SERVICE/n?key=s3cr-query
notify on_play=http://s3cr-user:s3cr-word@SERVICE/n?key=s3cr-query
notify on_update=http://s3cr-user:s3cr-word@CLOSED/s3cr?key=s3cr-query
notify on_play_done=http://s3cr-user:s3cr-word@CLOSED/s3cr?key=s3cr-query
notify on_done=https://s3cr-user:s3cr-word@CLOSED/s3cr?key=s3cr-query
notify-update 300ms
relay-to live/cam=rtmp://REFUSER/app/s3cr-name?sign=s3cr-sign%20x&s3cr-flag
relay-to live/cam=rtmp://CLOSED/app/s3cr-closed?sign=s3cr-sign
relay-to live/cam=rtmps://CLOSED/app/s3cr-tls?sign=s3cr-sign
relay-to live/cam=rtmp://ELSEWHERE/app/s3cr-elsewhere?sign=s3cr-sign
pull live/pulled=rtmp://REFUSER/app/s3cr-name?sign=s3cr-sign%20x&s3cr-flag
run-on-publish env > DIR/out/child.$$; cat DIR/words; exec sleep 60
";

/// Lines of a configuration that are wrong, with secrets where they may be by mistake.
const FAULTS: &str = "\
auth-token s3cr-without-key
auth-token live/x=s3cr two
auth-tokn live/x=s3cr
auth-secret @DIR/two-words
auth-callback ftp://s3cr:s3cr@host/s3cr?s3cr
api-token s3cr two words
relay-to rtmp://s3cr:s3cr@host/app/s3cr
relay-to rtmp://host:s3cr/app/s3cr
relay-to live/cam=rtmp://host/app/s3cr?x={s3cr
pull rtmp://host/app/s3cr
pull live/x=http://host/app/s3cr?s3cr
hook-webhook nothing=http://s3cr:s3cr@host/s3cr?s3cr
hook-webhook publish_start=http://s3cr:s3cr@/s3cr
notify on_nothing=http://s3cr:s3cr@host/s3cr?s3cr
notify on_publish=https://s3cr:s3cr@host:s3cr/s3cr
reconnect-url http://s3cr:s3cr@host/s3cr?s3cr
auth-file DIR/broken
tls-key DIR/broken
http-origin https://s3cr:s3cr@host
";

/// A running server with everything secret there is.
struct Guarded {
    dir: Dir,
    ports: Ports,
    child: Child,
    mode: &'static Mode,
    config: String,
    outputs: Outputs,
}

/// A server that refuses everybody, and says what it was given.
fn refuser() -> SocketAddr {
    let words = "s3cr-name?sign=s3cr-sign%20x&s3cr-flag is taken, S3CR-NAME, s3cr-name, sign s3cr-sign x, \
                 s3cr-sign%20x, s3cr-flag, see rtmp://host/app/s3cr-name?s3cr-flag";
    let info = Value::object([
        ("level", Value::text("error")),
        ("code", Value::text("NetConnection.Connect.Rejected")),
        ("description", Value::text(words)),
    ]);
    let message = status::call(StreamId(0), "_error", 1.0, Value::Null, vec![info]);
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let addr = listener.local_addr().expect("addr");
    std::thread::spawn(move || {
        let sockets = listener.incoming().flatten();
        sockets.for_each(|socket| other_server::answer(socket, &message));
    });
    addr
}

impl Guarded {
    fn start(mode: &'static Mode) -> Guarded {
        let dir = Dir::new(&format!("secrets-{}", mode.name));
        dir.authority("cert");
        std::fs::create_dir_all(dir.path("out")).expect("a directory");
        let write = |name: &str, text: &str| std::fs::write(dir.path(name), text).expect("a file");
        write(
            "tokens",
            r#"{"live/cam":{"publish":"s3cr-publish","play":"s3cr-play"},"live/*":"s3cr-others"}"#,
        );
        write("broken", "{\"live/cam\":\"s3cr-publish\", s3cr}");
        write("two-words", "s3cr two\n");
        write(
            "words",
            "rtmp://s3cr:s3cr@127.0.0.1/live/s3cr?token=s3cr: /live/cam&token=s3cr\n",
        );
        let out = dir.path("out");
        let script = format!("f={out}/hook.$$.$RTMP_EVENT_TYPE\nenv > $f\ncat >> $f\n");
        write("hook.sh", &script);
        let service = WebService::start(Manner::Status(200));
        let elsewhere = other_server::redirecting(|addr| {
            format!("rtmp://s3cr:s3cr@{addr}/app/s3cr-elsewhere?sign=s3cr-sign")
        });
        let ports = Ports::free();
        let mut config = format!("{}\n{FLAGS}", mode.flags);
        for event in outputs::EVENTS {
            config += &format!("hook-script {event}=DIR/hook.sh\n");
        }
        config += &ports.flags();
        let mut config = config
            .replace("SERVICE", &service.addr.to_string())
            .replace("REFUSER", &refuser().to_string())
            .replace("ELSEWHERE", &elsewhere.to_string())
            .replace("CLOSED", &free_addr().to_string());
        config += &format!(
            "log-format {}\nhook-stdio-format {}\n",
            mode.log_format, mode.hook_format
        );
        let config = config.replace("DIR", &dir.path(""));
        write("config", &config);
        let outputs = Outputs::new(&dir);
        let child = start(&dir, &outputs);
        outputs.watch_children(child.id());
        Guarded {
            dir,
            ports,
            child,
            mode,
            config,
            outputs,
        }
    }

    /// Has it read this configuration, and waits until the log says so.
    fn reload(&self, config: &str, phrase: &str) {
        std::fs::write(self.dir.path("config"), config).expect("a file");
        signal("-HUP", self.child.id());
        self.outputs.wait_for(phrase);
    }

    /// The queries that let a client in, to publish and to play.
    fn credentials(&self) -> (String, String) {
        if self.mode.name != "signed" {
            return (self.mode.publish.to_owned(), self.mode.play.to_owned());
        }
        let signed = |action: &str| {
            let output = program()
                .args(["-sign", &format!("{action}:live/cam")])
                .args(["-auth-secret", "s3cr-0123456789abcdef0123"])
                .output();
            let query = String::from_utf8(output.expect("a query").stdout).expect("text");
            query.trim().to_owned()
        };
        (signed("publish"), signed("play"))
    }

    /// What is wrong with a configuration, as a check and a start tell it.
    fn tell_faults(&self) {
        let config = self.config.clone() + &FAULTS.replace("DIR", &self.dir.path(""));
        std::fs::write(self.dir.path("faulty"), &config).expect("a file");
        for more in [
            &["-check"][..],
            &[],
            &["s3cr"],
            &["-grace", "1s", "live?token=s3cr"],
        ] {
            let output = program()
                .args(["-config", &self.dir.path("faulty")])
                .args(more)
                .output();
            let output = output.expect("it runs");
            assert_eq!(output.status.code(), Some(2));
            let told = [output.stdout, output.stderr].concat();
            // What is no flag is told as it is, unless it may be secret.
            let told = String::from_utf8_lossy(&told).replace("\"s3cr\" is not a flag", "");
            self.outputs.add(&format!("faults {more:?}"), told);
        }
        self.reload(&config, "cannot reload");
    }

    /// All that can be asked of it over HTTP.
    fn ask_everything(&self) {
        for path in outputs::PAGES {
            let reply = clients::ask(self.ports.admin, "GET", path, "");
            self.outputs.add(path, reply);
        }
    }

    fn stop(mut self) -> Outputs {
        signal("-TERM", self.child.id());
        let _ = self.child.wait();
        self.outputs.collect(&self.dir);
        std::mem::replace(&mut self.outputs, Outputs::new(&self.dir))
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The program, which finds haproxy.
fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rtmp-server"));
    let path = format!("{}:/usr/sbin", std::env::var("PATH").unwrap_or_default());
    command.env("PATH", path).stdin(Stdio::null());
    command
}

fn start(dir: &Dir, outputs: &Outputs) -> Child {
    let file = |name: &str| std::fs::File::create(dir.path(name)).expect("a file");
    let mut command = program();
    command
        .args(["-config", &dir.path("config")])
        .env("NOTIFY_SOCKET", &outputs.notify_path)
        .stdout(file("stdout"))
        .stderr(file("stderr"));
    let child = command.spawn().expect("it starts");
    outputs.wait_for("listening");
    outputs.wait_for("serving media over HTTP");
    child
}

fn guard(mode: &'static Mode) {
    let server = Guarded::start(mode);
    let (publish, play) = server.credentials();
    let publisher = clients::publish(&server.ports, &format!("cam?{publish}"));
    clients::speak(&server.ports, &publish, &play);
    clients::browse(&server.ports, &play);
    server.outputs.wait_for("relay failed");
    server.outputs.wait_for("pull failed");
    server.outputs.wait_for("child started");
    server.ask_everything();
    server.tell_faults();
    let changed = server.config.replace("s3cr-token", "s3cr-other");
    server.reload(&(changed + "grace 300ms\n"), "reloaded");
    signal("-USR1", server.child.id());
    drop(publisher);
    server.outputs.wait_for("recording done");
    server.ask_everything();
    let signatures = [&publish, &play].map(|query| query.rsplit('=').next().unwrap_or_default());
    let signatures = signatures.map(str::to_owned);
    // Of the key of the certificate, a line.
    let key = std::fs::read_to_string(server.dir.path("cert.key")).expect("a key");
    let key = key.lines().nth(1).expect("a line").to_owned();
    let outputs = server.stop();
    outputs.assert_none_has(&[MARK.to_owned(), key]);
    if mode.name == "signed" {
        outputs.assert_none_has(&signatures);
    }
}

#[test]
fn tokens_stay_secret() {
    guard(&MODES[0]);
}

#[test]
fn tokens_of_a_file_stay_secret() {
    guard(&MODES[1]);
}

#[test]
fn what_a_callback_service_decides_on_stays_secret() {
    guard(&MODES[2]);
}

#[test]
fn signatures_stay_secret() {
    guard(&MODES[3]);
}

/// A name may be a key that only the services of -notify know.
#[test]
fn names_that_services_know_stay_secret() {
    let closed = free_addr();
    // What the service answers, if it is there; the verb; what the client is told.
    let rows = [
        (
            Some(Manner::Redirect("public")),
            "publish",
            "error@1 NetStream.Publish.BadName",
        ),
        (
            Some(Manner::Redirect("none")),
            "play",
            "error@1 NetStream.Play.StreamNotFound",
        ),
        (
            Some(Manner::Redirect("a/../b")),
            "publish",
            "error@1 NetStream.Publish.Denied",
        ),
        (
            Some(Manner::Redirect("rtmp://host/live/x")),
            "play",
            "error@1 NetStream.Play.Failed",
        ),
        (
            Some(Manner::Status(403)),
            "publish",
            "error@1 NetStream.Publish.Denied",
        ),
        (None, "publish", "error@1 NetStream.Publish.Denied"),
        (None, "play", "error@1 NetStream.Play.Failed"),
    ];
    for (manner, verb, want) in rows {
        let service = manner.map(WebService::start);
        let addr = service.as_ref().map_or(closed, |service| service.addr);
        let server = ServerProcess::start_with(
            "exec 2>&1",
            &format!(
                "-on-duplicate reject -wait-stream 0 -log-level debug -hook-stdio-format json \
                 -notify on_{verb}=http://{addr}/"
            ),
        );
        let _publisher = (verb == "publish").then(|| {
            let mut other = server.connected();
            other.call(1, "publish", 0.0, vec![Value::text("s3cr-other")]);
            other.lines_until(match want.ends_with("BadName") {
                true => "status@1 NetStream.Publish.Start",
                false => "error@1",
            });
            other
        });
        let mut client = server.connected();
        client.call(1, verb, 0.0, vec![Value::text("s3cr-name")]);
        let told = client.lines_until("error@1");
        assert_eq!(told.last().map(String::as_str), Some(want), "{manner:?}");
        client.lines_until("end");
        drop(client);
        signal("-TERM", server.pid());
        for line in server.lines_until("\"stopped\"") {
            assert!(!line.contains(MARK), "{manner:?} {verb}: {line}");
        }
    }
}
