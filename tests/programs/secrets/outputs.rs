//! All that a server writes, shows and passes on.

use super::Dir;
use super::MARK;
use crate::support::wait_until;
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::net::UnixDatagram;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Events that have hooks.
pub const EVENTS: [&str; 15] = [
    "connection_accept",
    "handshake_complete",
    "connection_close",
    "stream_create",
    "stream_delete",
    "publish_start",
    "publish_stop",
    "play_start",
    "play_stop",
    "codec_detected",
    "subscriber_count",
    "auth_failed",
    "recording_done",
    "relay_up",
    "relay_down",
];

/// What can be asked for on `-metrics-addr`.
pub const PAGES: [&str; 9] = [
    "/",
    "/metrics",
    "/debug/vars",
    "/stat",
    "/healthz",
    "/api/status",
    "/api/streams",
    "/api/streams/live/cam",
    "/api/connections",
];

/// All outputs of a server, by what they are.
pub struct Outputs {
    /// Where its service manager listens.
    pub notify_path: String,
    notified: UnixDatagram,
    log: String,
    texts: Arc<Mutex<BTreeMap<String, String>>>,
    over: Arc<AtomicBool>,
}

impl Outputs {
    pub fn new(dir: &Dir) -> Outputs {
        let notify_path = dir.path("notify");
        let _ = fs::remove_file(&notify_path);
        let notified = UnixDatagram::bind(&notify_path).expect("a socket");
        notified.set_nonblocking(true).expect("no waiting");
        Outputs {
            notify_path,
            notified,
            log: dir.path("stdout"),
            texts: Arc::default(),
            over: Arc::default(),
        }
    }

    pub fn add(&self, name: &str, text: String) {
        let mut texts = self.texts.lock().expect("texts");
        texts.entry(name.to_owned()).or_default().push_str(&text);
    }

    /// Waits until the log has this.
    pub fn wait_for(&self, phrase: &str) {
        wait_until(phrase, || {
            fs::read_to_string(&self.log).is_ok_and(|log| log.contains(phrase))
        });
    }

    /// Looks at the arguments and the environment of every program that `parent` starts.
    pub fn watch_children(&self, parent: u32) {
        let (texts, over) = (Arc::clone(&self.texts), Arc::clone(&self.over));
        std::thread::spawn(move || {
            while !over.load(Ordering::Relaxed) {
                for entry in fs::read_dir("/proc").expect("proc").flatten() {
                    let path = entry.path();
                    let stat = fs::read_to_string(path.join("stat")).unwrap_or_default();
                    let of_parent = stat.rsplit_once(") ").is_some_and(|(_, rest)| {
                        rest.split(' ').nth(1) == Some(&*parent.to_string())
                    });
                    if of_parent {
                        for file in ["cmdline", "environ"] {
                            let text = fs::read(path.join(file)).unwrap_or_default();
                            let text = String::from_utf8_lossy(&text).replace('\0', " ");
                            let name =
                                format!("process {} {file}", text.get(..40).unwrap_or(&text));
                            texts.lock().expect("texts").insert(name, text);
                        }
                    }
                }
                std::thread::sleep(Duration::from_millis(5));
            }
        });
    }

    /// Takes what is in files, and what the service manager was told.
    pub fn collect(&self, dir: &Dir) {
        self.over.store(true, Ordering::Relaxed);
        for name in ["stdout", "stderr"] {
            let text = fs::read_to_string(dir.path(name)).expect("a file");
            assert!(!text.is_empty(), "{name}");
            self.add(name, text);
        }
        let mut buffer = [0; 4096];
        while let Ok(len) = self.notified.recv(&mut buffer) {
            let text = String::from_utf8_lossy(&buffer[..len]).into_owned();
            self.add("service manager", text);
        }
        let files = |name: &str| fs::read_dir(dir.path(name)).expect("a directory").flatten();
        for file in files("out") {
            let text = fs::read_to_string(file.path()).expect("a file");
            self.add(&format!("hook {}", file.path().display()), text);
        }
        for file in files("recordings") {
            let name = file.file_name().to_string_lossy().into_owned();
            self.add("recordings", format!("{name}\n"));
        }
    }

    /// No output has any of these, in letters of either case.
    pub fn assert_none_has(&self, secrets: &[String]) {
        let texts = self.texts.lock().expect("texts");
        for want in [
            "stdout",
            "stderr",
            "service manager",
            "recordings",
            "/metrics",
            "hook",
            "process",
        ] {
            let mut names = texts.keys();
            assert!(
                names.any(|name| name.starts_with(want)),
                "{want} is not there"
            );
        }
        let mut found = Vec::new();
        for (name, text) in texts.iter() {
            for line in text.lines() {
                let lower = line.to_ascii_lowercase();
                let has = |secret: &String| lower.contains(&secret.to_ascii_lowercase());
                if secrets.iter().any(has) {
                    found.push(format!("{name}: {line}"));
                }
            }
        }
        assert!(found.is_empty(), "{MARK} is in\n{}", found.join("\n"));
    }
}
