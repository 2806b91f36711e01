//! Programs that publish a source.

use super::media::Source;
use super::process::Program;
use super::stamped;
use super::tools::Tool;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// How long after its first message a publisher may take to end.
const LIMIT: Duration = Duration::from_secs(20);

/// What publishes.
#[derive(Clone, Copy, Debug)]
pub enum Publisher {
    /// The system's ffmpeg, with more output options.
    Ffmpeg(&'static [&'static str]),
    /// A current ffmpeg, with more output options.
    FfmpegNew(&'static [&'static str]),
    /// GStreamer's own implementation.
    Rtmp2sink,
    /// GStreamer's librtmp.
    Rtmpsink,
    /// This project's client, with timestamps that start here.
    Stamped(u32),
}

/// A publisher at work.
pub enum Publication {
    Program(Program),
    Thread(JoinHandle<Result<(), String>>),
}

impl Publisher {
    /// Name and version.
    pub fn name(self) -> String {
        let with = |tool: Tool, options: &[&str]| [tool.version(), &options.join(" ")].join(" ");
        match self {
            Publisher::Ffmpeg(options) => with(Tool::Ffmpeg, options),
            Publisher::FfmpegNew(options) => with(Tool::FfmpegNew, options),
            Publisher::Rtmp2sink => with(Tool::Gst, &["rtmp2sink"]),
            Publisher::Rtmpsink => with(Tool::Gst, &["rtmpsink"]),
            Publisher::Stamped(start) => format!("own client from {start:#x} ms"),
        }
    }

    /// Publishes `source` as `live/x` at `server`, at the pace of its timestamps.
    pub fn start(
        self,
        source: Source,
        server: SocketAddr,
        dir: &Path,
    ) -> Result<Publication, String> {
        let file = source.file();
        let url = format!("rtmp://{server}/live/x");
        let mut command = match self {
            Publisher::Ffmpeg(options) => ffmpeg(Tool::Ffmpeg, &file, options, &url),
            Publisher::FfmpegNew(options) => ffmpeg(Tool::FfmpegNew, &file, options, &url),
            Publisher::Rtmp2sink => pipeline(&file, "rtmp2sink", &url),
            Publisher::Rtmpsink => pipeline(&file, "rtmpsink", &format!("{url} live=1")),
            Publisher::Stamped(start) => {
                let publish = move || stamped::publish(server, &file, start);
                return Ok(Publication::Thread(thread::spawn(publish)));
            }
        };
        Program::start("publisher", &mut command, dir).map(Publication::Program)
    }
}

impl Publication {
    /// Waits until all is published.
    pub fn finish(&mut self) -> Result<(), String> {
        match self {
            Publication::Program(program) => program.finish(LIMIT),
            Publication::Thread(thread) => {
                super::process::wait_for("own client ends", LIMIT, || {
                    thread.is_finished().then_some(())
                })?;
                let idle = thread::spawn(|| Ok(()));
                let finished = std::mem::replace(thread, idle);
                finished
                    .join()
                    .unwrap_or(Err("own client panicked".to_owned()))
            }
        }
    }
}

fn ffmpeg(tool: Tool, file: &Path, options: &[&str], url: &str) -> Command {
    let mut command = tool.command();
    command.arg("-re").arg("-i").arg(file);
    command.args(["-map", "0", "-c", "copy"]).args(options);
    command.args(["-f", "flv", url]);
    command
}

/// H.264 and AAC from a file to `sink`, packets as they are; the sink keeps the pace.
fn pipeline(file: &Path, sink: &str, url: &str) -> Command {
    let mut command = Tool::Gst.command();
    command.arg("filesrc");
    command.arg(format!("location={}", file.display()));
    command.args("! flvdemux name=in flvmux name=out streamable=true !".split(' '));
    command.arg(sink).arg(format!("location={url}"));
    command.args("in.video ! queue ! out.video".split(' '));
    command.args("in.audio ! queue ! out.audio".split(' '));
    command
}
