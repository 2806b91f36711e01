//! The programs that the tests run, and what they call themselves.

use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

/// The folder into which `make tools` puts what no package of the system holds.
pub fn fetched_dir() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("target/interop")
}

/// A program that publishes, plays or inspects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tool {
    /// The system's ffmpeg: what most people have.
    Ffmpeg,
    /// A current ffmpeg, which speaks Enhanced RTMP.
    FfmpegNew,
    /// rtmpdump, on librtmp.
    Rtmpdump,
    /// GStreamer's pipeline runner.
    Gst,
    /// VLC.
    Vlc,
    /// A client of HTTP.
    Curl,
}

impl Tool {
    /// A command line that begins with the program itself.
    pub fn command(self) -> Command {
        match self {
            Tool::Ffmpeg => ffmpeg("ffmpeg".into()),
            Tool::FfmpegNew => ffmpeg(fetched_dir().join("ffmpeg")),
            Tool::Rtmpdump => Command::new("rtmpdump"),
            Tool::Gst => {
                let mut command = Command::new("gst-launch-1.0");
                command.arg("--quiet");
                command
            }
            Tool::Vlc => vlc(),
            Tool::Curl => Command::new("curl"),
        }
    }

    /// Name and version, found out once.
    pub fn version(self) -> &'static str {
        static VERSIONS: [OnceLock<String>; 6] = [const { OnceLock::new() }; 6];
        VERSIONS[self as usize].get_or_init(|| self.ask_version())
    }

    fn ask_version(self) -> String {
        let (name, mut command, flag) = match self {
            Tool::Ffmpeg | Tool::FfmpegNew => ("ffmpeg", self.command(), "-version"),
            Tool::Rtmpdump => ("rtmpdump", self.command(), "-h"),
            Tool::Gst => ("GStreamer", Command::new("gst-launch-1.0"), "--version"),
            Tool::Vlc => ("VLC", self.command(), "--version"),
            Tool::Curl => ("curl", self.command(), "--version"),
        };
        let output = command.arg(flag).output().unwrap_or_else(|error| {
            panic!("{name}: {error}: run `make tools`, which brings all programs")
        });
        let text = [output.stdout, output.stderr].concat();
        let text = String::from_utf8_lossy(&text).into_owned();
        let number = text
            .split_whitespace()
            .map(|word| word.trim_start_matches(['v', 'n']))
            .find(|word| word.starts_with(|c: char| c.is_ascii_digit()) && word.contains('.'));
        let number = number.unwrap_or_else(|| panic!("{name}: no version in {text:?}"));
        let number = number.split(['-', '+']).next().unwrap_or(number);
        format!("{name} {number}")
    }
}

fn ffmpeg(program: PathBuf) -> Command {
    let mut command = Command::new(program);
    command.args(["-nostdin", "-hide_banner", "-v", "error", "-y"]);
    command
}

/// VLC refuses to run as root; then it runs as nobody.
fn vlc() -> Command {
    let mut command = Command::new("setpriv");
    if is_root() {
        command.args(["--reuid", "nobody", "--regid", "nogroup", "--clear-groups"]);
    }
    command.args(["vlc", "--intf", "dummy", "--no-dbus", "--verbose", "0"]);
    command.current_dir("/").env("HOME", "/nonexistent");
    command
}

fn is_root() -> bool {
    let output = Command::new("id").arg("-u").output();
    output.is_ok_and(|output| output.stdout == b"0\n")
}
