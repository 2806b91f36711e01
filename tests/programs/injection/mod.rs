//! Names of streams that mean something to what reads the server's outputs: shells, logs, JSON, XML,
//! Prometheus, directories, forms, other servers. Each output has the name as it is, and nothing more.

mod readers;

use crate::support::process::ServerProcess;
use crate::support::web_service::{Dir, Manner, WebService, wait_for};
use crate::support::{Client, TestServer, wait_until};
use readers::{forms, lines, metrics, xml};
use rtmp_server::amf0::Value;
use rtmp_server::json::{self, JsonValue};
use std::collections::BTreeSet;
use std::fs;
use std::net::SocketAddr;

/// Names that are allowed, whatever they look like.
const NAMES: [&str; 26] = [
    "plain",
    "two words",
    "\"quoted\"",
    "it's",
    "$(touch DIR/pwned)",
    "`touch DIR/pwned`",
    "a;touch DIR/pwned;",
    "a|touch DIR/pwned&",
    "a&&touch DIR/pwned",
    "-rf",
    "~root",
    "*",
    "a=b",
    "=",
    "</script><script>alert(1)</script>",
    "<name>x</name>&amp;&#10;]]>",
    "\\",
    "\\\",\"level\":\"error",
    "a\\nb",
    "{app}{name}",
    "%n%s%d",
    ".hidden",
    "a..b",
    "\u{202e}evil\u{2066}",
    "a\u{2028}b\u{feff}c",
    "caf\u{e9}",
];

/// Names that are refused, with what would be harm.
const REFUSED: [&str; 10] = [
    "..",
    "../../etc/x",
    "a/../../b",
    "%2e%2e/x",
    "a/./b",
    "a\nb",
    "a%0d%0aX-Injected: 1",
    "a\0b",
    "\u{1b}[31mred",
    "a\u{85}b",
];

/// A name without what would be a directory above, so that it stands for a file in `dir`.
fn named(name: &str, dir: &Dir) -> String {
    name.replace("DIR/", &format!("{}/", dir.as_ref().display()))
}

/// A server with every output, and what reads them.
struct Surroundings {
    dir: Dir,
    hooks: WebService,
    notify: WebService,
    callback: WebService,
    other: TestServer,
    server: ServerProcess,
    admin: SocketAddr,
}

impl Surroundings {
    fn start() -> Surroundings {
        let dir = Dir::new("injection");
        let here = dir.as_ref().display().to_string();
        fs::create_dir(dir.path("out")).expect("a directory");
        fs::create_dir(dir.path("recordings")).expect("a directory");
        // The values as a shell has them, and the JSON.
        dir.write(
            "hook.sh",
            &format!(
                "printf '%s\\n' \"$RTMP_STREAM_KEY\" > {here}/out/$$.env\ncat > {here}/out/$$.json\n\
                 echo \"$RTMP_STREAM_KEY\"\n"
            ),
        );
        dir.write(
            "config",
            &format!(
                "run-on-publish printf '%s\\n' \"$RTMP_STREAM_KEY\" > {here}/out/$$.child; exec sleep 60\n"
            ),
        );
        let [hooks, notify, callback] = [(); 3].map(|()| WebService::start(Manner::Status(200)));
        let other = TestServer::start("");
        let admin = crate::support::free_addr();
        let flags = format!(
            "-config {here}/config -metrics-addr {admin} -log-level debug -grace 0 \
             -hook-concurrency 50 -hook-script publish_start={here}/hook.sh -hook-stdio-format json \
             -hook-webhook publish_start={} -notify on_publish={} -auth-mode callback \
             -auth-callback {} -relay-to rtmp://{}/{{app}}/{{name}} -record-all true -record-dir {here}/recordings",
            hooks.url("/"),
            notify.url("/"),
            callback.url("/"),
            other.addr,
        );
        let server = ServerProcess::start_with("exec 2>&1", &flags);
        Surroundings {
            dir,
            hooks,
            notify,
            callback,
            other,
            server,
            admin,
        }
    }

    /// The streams of these names, published by a client each.
    fn publish(&self, names: &[String]) -> Vec<Client> {
        let clients = names.iter().map(|name| {
            let mut client = self.server.publisher(name);
            client.send_media(&["A head 1 @0", "A sound 1 @0", "V head 1 @0", "V key 1 @0"]);
            client
        });
        clients.collect()
    }

    fn get(&self, path: &str) -> String {
        let reply = crate::support::http::HttpReply::get(self.admin, path);
        assert_eq!(reply.status, 200, "{path}");
        reply.text()
    }

    /// Lines of all files in `out` with this ending.
    fn told(&self, ending: &str) -> Vec<String> {
        let files = fs::read_dir(self.dir.path("out"))
            .expect("a directory")
            .flatten();
        let files = files.filter(|file| file.path().to_string_lossy().ends_with(ending));
        let texts = files.map(|file| fs::read_to_string(file.path()).unwrap_or_default());
        texts.flat_map(|text| lines(&text)).collect()
    }
}

fn text_at<'a>(value: &'a JsonValue, name: &str) -> &'a str {
    value
        .get(name)
        .and_then(JsonValue::as_str)
        .unwrap_or_default()
}

fn parsed(text: &str) -> JsonValue {
    json::parse(text.as_bytes()).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// The keys of an array of objects in a JSON document.
fn keys(document: &str, array: &str, name: &str) -> BTreeSet<String> {
    let document = parsed(document);
    let Some(JsonValue::Array(items)) = document.get(array) else {
        panic!("no {array}")
    };
    items
        .iter()
        .map(|item| text_at(item, name).to_owned())
        .collect()
}

/// The streams that events and questions are about.
fn stream_keys(objects: &[String]) -> BTreeSet<String> {
    let key = |object: &String| text_at(&parsed(object), "stream_key").to_owned();
    objects.iter().map(key).collect()
}

#[test]
fn names_are_nothing_but_names() {
    let around = Surroundings::start();
    let names: Vec<String> = NAMES.iter().map(|name| named(name, &around.dir)).collect();
    let clients = around.publish(&names);
    let want: BTreeSet<String> = names.iter().map(|name| format!("live/{name}")).collect();
    around.check_programs(&want);
    around.check_services(&names, &want);
    around.check_pages(&want);
    around.check_relays_and_recordings(&want);
    drop(clients);
    around.check_log(&want);
}

impl Surroundings {
    /// Scripts and programs are given exactly the names, by environment and by JSON.
    fn check_programs(&self, want: &BTreeSet<String>) {
        for ending in [".env", ".child", ".json"] {
            wait_for(ending, || {
                (self.told(ending).len() >= want.len()).then_some(())
            });
        }
        for ending in [".env", ".child"] {
            let told: BTreeSet<String> = self.told(ending).into_iter().collect();
            assert_eq!(told, *want, "{ending}");
        }
        assert_eq!(stream_keys(&self.told(".json")), *want, "events");
        let pwned = self.dir.path("pwned");
        assert!(!pwned.exists(), "a shell took a name for a command");
    }

    /// Web services are told them in well-formed requests.
    fn check_services(&self, names: &[String], want: &BTreeSet<String>) {
        let bodies = |service: &WebService| -> Vec<String> {
            let requests = names.iter().map(|_| service.request());
            let checked = requests.map(|(head, body)| {
                let lines = head.lines().count();
                assert!(lines < 12 && !head.contains("Injected"), "{head}");
                body
            });
            checked.collect()
        };
        for service in [&self.hooks, &self.callback] {
            assert_eq!(stream_keys(&bodies(service)), *want, "a web service");
        }
        let given: BTreeSet<String> = names.iter().cloned().collect();
        assert_eq!(forms(&bodies(&self.notify), "name"), given, "notify");
    }

    /// What is shown over HTTP is well-formed, and has them as they are.
    fn check_pages(&self, want: &BTreeSet<String>) {
        let streams = self.get("/api/streams");
        assert_eq!(keys(&streams, "streams", "key"), *want);
        let connections = self.get("/api/connections");
        assert_eq!(keys(&connections, "connections", "stream_key"), *want);
        assert_eq!(metrics(&self.get("/metrics"), "stream"), *want, "metrics");
        let parts = want.iter().filter_map(|key| key.rsplit_once('/'));
        let parts = parts.flat_map(|(app, name)| [app, name].map(str::to_owned));
        assert_eq!(xml(&self.get("/stat"), "name"), parts.collect());
        parsed(&self.get("/debug/vars"));
    }

    /// Another server has the same streams; recordings are files in their directory, one each.
    fn check_relays_and_recordings(&self, want: &BTreeSet<String>) {
        wait_until("relays", || self.other.server().count().1 >= want.len());
        let streams = self.other.server().snapshot().streams;
        let relayed: BTreeSet<String> = streams.into_iter().map(|stream| stream.key).collect();
        assert_eq!(relayed, *want, "relays");
        let dir = self.dir.path("recordings");
        let files = || fs::read_dir(&dir).expect("recordings").flatten();
        wait_until("recordings", || files().count() >= want.len());
        assert_eq!(files().count(), want.len());
        assert!(files().all(|file| file.file_type().is_ok_and(|kind| kind.is_file())));
    }

    /// Log lines and events are JSON objects, one a line, without a character that moves others.
    fn check_log(&self, want: &BTreeSet<String>) {
        for _ in want {
            for line in self.server.lines_until("relay stopped") {
                let object = parsed(line.strip_prefix("RTMP_EVENT: ").unwrap_or(&line));
                assert!(object.as_object().is_some(), "{line}");
                let hidden = ['\u{202e}', '\u{2066}', '\u{2028}', '\u{feff}'];
                assert!(!line.contains(hidden), "{line}");
                assert!(!line.chars().any(char::is_control), "{line}");
                let key = text_at(&object, "stream_key");
                assert!(key.is_empty() || want.contains(key), "{line}");
            }
        }
    }
}

#[test]
fn what_is_no_name_is_refused() {
    let around = Surroundings::start();
    for name in REFUSED {
        for verb in ["publish", "play"] {
            let mut client = around.server.connected();
            client.call(1, verb, 0.0, vec![Value::text(name)]);
            let told = client.lines_until("error@1");
            assert_eq!(told.len(), 1, "{name:?}: {told:?}");
        }
    }
    let _last = around.publish(&["last".to_owned()]);
    around.server.wait_for_line("recording started");
    let files = fs::read_dir(around.dir.path("recordings")).expect("recordings");
    assert_eq!(files.count(), 1);
}
