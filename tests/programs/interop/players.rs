//! Programs that play what is published into a file.

use super::compare::{self, Tolerance};
use super::media::{self, Source};
use super::process::Program;
use super::tools::Tool;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What plays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Player {
    /// The system's ffmpeg, copying.
    Ffmpeg,
    /// A current ffmpeg, copying.
    FfmpegNew,
    /// rtmpdump, which then asks for a recording.
    Rtmpdump,
    /// rtmpdump told that the stream is live.
    RtmpdumpLive,
    /// GStreamer's own implementation.
    Rtmp2src,
    /// VLC, remuxing to a transport stream.
    Vlc,
    /// GStreamer's client of HTTP.
    Souphttpsrc,
    /// curl, by HTTP/1.1.
    Curl,
    /// curl, by HTTP/1.0.
    Curl10,
}

/// A player at work.
pub struct Playback {
    pub program: Program,
    file: PathBuf,
}

impl Player {
    /// Name and version.
    pub fn name(self) -> String {
        let suffix = match self {
            Player::RtmpdumpLive => " --live",
            Player::Rtmp2src => " rtmp2src",
            Player::Souphttpsrc => " souphttpsrc",
            Player::Curl10 => " --http1.0",
            _ => "",
        };
        [self.tool().version(), suffix].concat()
    }

    fn tool(self) -> Tool {
        match self {
            Player::Ffmpeg => Tool::Ffmpeg,
            Player::FfmpegNew => Tool::FfmpegNew,
            Player::Rtmpdump | Player::RtmpdumpLive => Tool::Rtmpdump,
            Player::Rtmp2src | Player::Souphttpsrc => Tool::Gst,
            Player::Curl | Player::Curl10 => Tool::Curl,
            Player::Vlc => Tool::Vlc,
        }
    }

    /// Plays `live/x` from `server` into a file in `dir`.
    pub fn start(self, server: SocketAddr, dir: &Path) -> Result<Playback, String> {
        self.play(&format!("rtmp://{server}/live/x"), dir)
    }

    /// Plays what is at `url` into a file in `dir`.
    pub fn play(self, url: &str, dir: &Path) -> Result<Playback, String> {
        let name = format!("{self:?}");
        // VLC runs as somebody who may not write here, so it writes to its standard output.
        let extension = if self == Player::Vlc { "out" } else { "flv" };
        let file = dir.join(format!("{name}.{extension}"));
        let mut command = self.command(url, &file);
        let program = Program::start(&name, &mut command, dir)?;
        Ok(Playback { program, file })
    }

    fn command(self, url: &str, file: &Path) -> Command {
        let mut command = self.tool().command();
        match self {
            Player::Ffmpeg | Player::FfmpegNew => {
                command
                    .args(["-i", url, "-map", "0", "-c", "copy"])
                    .arg(file);
            }
            Player::Rtmpdump => drop(command.args(["-r", url, "-o"]).arg(file)),
            Player::RtmpdumpLive => drop(command.args(["-r", url, "--live", "-o"]).arg(file)),
            Player::Curl => drop(command.args(["-sf", url, "-o"]).arg(file)),
            Player::Curl10 => drop(command.args(["-sf0", url, "-o"]).arg(file)),
            Player::Rtmp2src | Player::Souphttpsrc => {
                let source = match self {
                    Player::Rtmp2src => "rtmp2src",
                    _ => "souphttpsrc",
                };
                command.arg(source).arg(format!("location={url}"));
                command
                    .args(["!", "filesink"])
                    .arg(format!("location={}", file.display()));
            }
            Player::Vlc => {
                command.args([
                    url,
                    "--sout",
                    "#std{access=file,mux=ts,dst=-}",
                    "vlc://quit",
                ]);
            }
        }
        command
    }
}

impl Playback {
    /// Checks the played file against `source`; returns how many packets agreed.
    pub fn check(&self, player: Player, source: Source) -> Result<usize, String> {
        if player == Player::Vlc {
            return self.check_remuxed(source);
        }
        media::check_decodes(&self.file).map_err(|error| format!("decoding: {error}"))?;
        // rtmp2src ends at StreamEOF without handing on what came right before it.
        let tail = if player == Player::Rtmp2src { 2 } else { 0 };
        let tolerance = Tolerance {
            tail,
            // Of VP9's colours, FLV over HTTP says nothing.
            new_headers: player == Player::FfmpegNew && source == Source::Vp9Aac,
            ..Tolerance::default()
        };
        let published = media::tracks(&source.file(), &[])?;
        let played = media::tracks(&self.file, &[])?;
        compare::tracks(&published, &played, tolerance)
    }

    /// A transport stream has other headers and start codes: its sound is compared without them,
    /// its pictures when decoded. VLC gives up what it has buffered when the stream ends.
    fn check_remuxed(&self, source: Source) -> Result<usize, String> {
        let tolerance = Tolerance {
            tail: 60,
            remuxed: true,
            ..Tolerance::default()
        };
        let sound = |file: &Path, filters: &[&str]| {
            let tracks = media::tracks(file, filters)?;
            Ok::<_, String>(
                tracks
                    .into_iter()
                    .filter(|track| !track.is_video)
                    .collect::<Vec<_>>(),
            )
        };
        let published = sound(&source.file(), &[])?;
        let played = sound(&self.file, &["-bsf:a", "aac_adtstoasc"])?;
        let sounds = compare::tracks(&published, &played, tolerance)?;
        let published = media::pictures(&source.file())?;
        let played = media::pictures(&self.file)?;
        Ok(sounds + compare::tracks(&[published], &[played], tolerance)?)
    }
}
