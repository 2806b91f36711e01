//! Chromium without a window, driven over the pipe of its DevTools protocol.

use rtmp_server::json::{self, JsonValue, Quoted};
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

/// How long Chromium may take for what it is asked to do.
const LIMIT: Duration = Duration::from_secs(30);

/// How long it may take to end.
const END_LIMIT: Duration = Duration::from_secs(3);

/// Its DevTools pipe is descriptors 3 and 4, one to read from and one to write to.
const SCRIPT: &str = "exec chromium \"$@\" 3<&0 4>&1 </dev/null >/dev/null 2>&1";

const FLAGS: [&str; 13] = [
    "--headless",
    "--remote-debugging-pipe",
    "--no-startup-window",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-sync",
    "--disable-component-update",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
    "--mute-audio",
];

/// A browser with one page; dropping it ends it.
pub struct Browser {
    child: Child,
    requests: ChildStdin,
    replies: Receiver<JsonValue>,
    last_id: u32,
    /// The page, as requests name it; empty before there is one.
    session: String,
    errors: Vec<String>,
    profile: PathBuf,
}

impl Browser {
    /// Starts one and goes to `url`.
    pub fn open(url: &str) -> Browser {
        let mut browser = Browser::start();
        let target = browser.call("Target.createTarget", r#"{"url":"about:blank"}"#);
        let target = text(&target, "targetId");
        let params = format!(r#"{{"targetId":"{target}","flatten":true}}"#);
        let session = browser.call("Target.attachToTarget", &params);
        browser.session = text(&session, "sessionId");
        for domain in ["Page.enable", "Runtime.enable", "Log.enable"] {
            browser.call(domain, "{}");
        }
        browser.set_window(1280, 720, false);
        browser.go_to(url);
        browser
    }

    fn start() -> Browser {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("rtmp-browser-{}-{number}", std::process::id());
        let profile = std::env::temp_dir().join(name);
        let mut child = Command::new("/bin/sh")
            .args(["-c", SCRIPT, "sh"])
            .args(FLAGS)
            .arg(format!("--user-data-dir={}", profile.display()))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a shell");
        let requests = child.stdin.take().expect("piped");
        let stdout = BufReader::new(child.stdout.take().expect("piped"));
        let (sender, replies) = channel();
        std::thread::spawn(move || {
            let messages = stdout.split(0).map_while(Result::ok);
            let mut values = messages.map(|message| json::parse(&message).expect("JSON"));
            values.try_for_each(|value| sender.send(value))
        });
        Browser {
            child,
            requests,
            replies,
            last_id: 0,
            session: String::new(),
            errors: Vec::new(),
            profile,
        }
    }

    /// Goes to another page, and waits until all of its elements are there.
    pub fn go_to(&mut self, url: &str) {
        let params = format!(r#"{{"url":{}}}"#, Quoted(url));
        let reply = self.call("Page.navigate", &params);
        assert!(reply.get("errorText").is_none(), "{url}: {reply}");
        self.wait_for("document.readyState !== 'loading'");
    }

    /// Gives the window this size; a phone has a denser screen and fingers instead of a mouse.
    pub fn set_window(&mut self, width: u32, height: u32, phone: bool) {
        let scale = if phone { 2 } else { 1 };
        let params = format!(
            r#"{{"width":{width},"height":{height},"deviceScaleFactor":{scale},"mobile":{phone}}}"#
        );
        self.call("Emulation.setDeviceMetricsOverride", &params);
        let params = format!(r#"{{"enabled":{phone}}}"#);
        self.call("Emulation.setTouchEmulationEnabled", &params);
    }

    /// Whether the user likes pages to be dark.
    pub fn set_dark(&mut self, dark: bool) {
        let scheme = if dark { "dark" } else { "light" };
        let features =
            format!(r#"{{"features":[{{"name":"prefers-color-scheme","value":"{scheme}"}}]}}"#);
        self.call("Emulation.setEmulatedMedia", &features);
    }

    /// Runs JavaScript in the page. The value of the last expression, or of its promise.
    pub fn run(&mut self, script: &str) -> JsonValue {
        let params = format!(
            r#"{{"expression":{},"awaitPromise":true,"returnByValue":true,"userGesture":false}}"#,
            Quoted(script)
        );
        let reply = self.call("Runtime.evaluate", &params);
        let shown: String = script.chars().take(200).collect();
        assert!(reply.get("exceptionDetails").is_none(), "{shown}: {reply}");
        let value = reply.get("result").and_then(|result| result.get("value"));
        value.cloned().unwrap_or(JsonValue::Null)
    }

    /// A number that the page computes; NaN if it has none.
    pub fn number(&mut self, script: &str) -> f64 {
        match self.run(script) {
            JsonValue::Int(number) => number as f64,
            JsonValue::Float(number) => number,
            _ => f64::NAN,
        }
    }

    /// A text that the page has.
    pub fn text(&mut self, script: &str) -> String {
        match self.run(script) {
            JsonValue::String(text) => text,
            other => other.to_string(),
        }
    }

    /// Waits until the page finds this true. On the way the page may be replaced by another.
    pub fn wait_for(&mut self, condition: &str) {
        let end = Instant::now() + LIMIT;
        while self.run(&format!("Boolean({condition})")) != JsonValue::Bool(true) {
            if Instant::now() >= end {
                let shown = self.text("document.body.innerText");
                panic!("in vain: {condition}\n{shown}\n{:?}", self.errors);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Errors that the page has had since the last call: exceptions, and what it or the browser
    /// wrote as an error to the console.
    pub fn errors(&mut self) -> Vec<String> {
        // Events before the reply have been read when it comes.
        self.run("0");
        std::mem::take(&mut self.errors)
    }

    /// Presses a key and lets it go, as a user does.
    pub fn press(&mut self, key: &str) {
        let name = Quoted(key);
        let typed = match key.chars().count() {
            1 => format!(r#","text":{name}"#),
            _ => String::new(),
        };
        for (kind, typed) in [("keyDown", typed.as_str()), ("keyUp", "")] {
            let params = format!(r#"{{"type":"{kind}","key":{name}{typed}}}"#);
            self.call("Input.dispatchKeyEvent", &params);
        }
    }

    /// Presses a mouse button in the middle of an element, as a user does.
    pub fn click(&mut self, selector: &str) {
        let find = format!(
            "(() => {{ const box = document.querySelector({}).getBoundingClientRect(); \
             return [box.x + box.width / 2, box.y + box.height / 2].join(); }})()",
            Quoted(selector)
        );
        let middle = self.text(&find);
        let (x, y) = middle.split_once(',').expect("two numbers");
        for kind in ["mousePressed", "mouseReleased"] {
            let params =
                format!(r#"{{"type":"{kind}","x":{x},"y":{y},"button":"left","clickCount":1}}"#);
            self.call("Input.dispatchMouseEvent", &params);
        }
    }

    /// Writes what the window shows into a PNG file.
    pub fn screenshot(&mut self, path: &Path) {
        let reply = self.call("Page.captureScreenshot", "{}");
        let mut decoder = Command::new("base64")
            .arg("-d")
            .stdin(Stdio::piped())
            .stdout(fs::File::create(path).expect("a file"))
            .spawn()
            .expect("base64");
        let mut encoded = decoder.stdin.take().expect("piped");
        encoded
            .write_all(text(&reply, "data").as_bytes())
            .expect("write");
        drop(encoded);
        assert!(decoder.wait().expect("base64").success());
    }

    /// Calls a method of the protocol, whose parameters are a JSON object.
    pub fn call(&mut self, method: &str, params: &str) -> JsonValue {
        self.last_id += 1;
        let id = self.last_id;
        let session = match self.session.as_str() {
            "" => String::new(),
            session => format!(r#","sessionId":"{session}""#),
        };
        let request =
            format!("{{\"id\":{id},\"method\":\"{method}\",\"params\":{params}{session}}}\0");
        let written = self.requests.write_all(request.as_bytes());
        written.unwrap_or_else(|error| panic!("Chromium: {method}: {error}"));
        let end = Instant::now() + LIMIT;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            let reply = self.replies.recv_timeout(left);
            let reply = reply.unwrap_or_else(|error| panic!("Chromium: {method}: {error}"));
            if reply.get("id") != Some(&JsonValue::Int(i64::from(id))) {
                self.errors.extend(error_in(&reply));
                continue;
            }
            assert!(reply.get("error").is_none(), "{method}: {reply}");
            return reply.get("result").cloned().unwrap_or(JsonValue::Null);
        }
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // It ends by itself; killed, it would leave processes of its own behind.
        let _ = self
            .requests
            .write_all(b"{\"id\":0,\"method\":\"Browser.close\"}\0");
        let end = Instant::now() + END_LIMIT;
        while Instant::now() < end && matches!(self.child.try_wait(), Ok(None)) {
            std::thread::sleep(Duration::from_millis(10));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.profile);
    }
}

/// The script of a player that `make tools` has fetched: `hls.js` or `mpegts.js`.
pub fn player_script(name: &str) -> String {
    let players = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/interop/players");
    let script = fs::read_to_string(players.join(name));
    script.unwrap_or_else(|error| panic!("{name}: {error}: run `make tools`"))
}

fn text(value: &JsonValue, name: &str) -> String {
    let member = value.get(name).and_then(JsonValue::as_str);
    member
        .unwrap_or_else(|| panic!("{name} in {value}"))
        .to_owned()
}

/// The error that an event reports.
fn error_in(event: &JsonValue) -> Option<String> {
    let params = event.get("params")?;
    match event.get("method")?.as_str()? {
        "Runtime.exceptionThrown" => Some(params.get("exceptionDetails")?.to_string()),
        "Runtime.consoleAPICalled" if params.get("type")?.as_str()? == "error" => {
            Some(params.get("args")?.to_string())
        }
        "Log.entryAdded" => {
            let entry = params.get("entry")?;
            (entry.get("level")?.as_str()? == "error").then(|| entry.to_string())
        }
        _ => None,
    }
}
