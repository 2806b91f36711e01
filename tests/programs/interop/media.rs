//! What is published, and what an inspector finds in a file.

use super::process::output_of;
use super::tools::Tool;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// Pictures from one keyframe to the next; there are 25 a second.
pub const GROUP_LEN: usize = 25;

/// Length of every source, in seconds.
const SECONDS: &str = "8";

const H264: &[&str] = &["-c:v", "libx264", "-preset", "fast", "-sc_threshold", "0"];
const HEVC: &[&str] = &[
    "-c:v",
    "libx265",
    "-preset",
    "ultrafast",
    "-x265-params",
    "scenecut=0:open-gop=0:min-keyint=25:log-level=error",
];
const AV1: &[&str] = &["-c:v", "libaom-av1", "-usage", "realtime", "-cpu-used", "8"];
const VP9: &[&str] = &[
    "-c:v",
    "libvpx-vp9",
    "-deadline",
    "realtime",
    "-cpu-used",
    "8",
];
const FLV1: &[&str] = &["-c:v", "flv"];
const AAC: &[&str] = &["-c:a", "aac", "-b:a", "96k"];
const MP3: &[&str] = &["-c:a", "libmp3lame", "-ar", "44100", "-b:a", "96k"];
const OPUS: &[&str] = &["-c:a", "libopus", "-b:a", "96k"];
const FLAC: &[&str] = &["-c:a", "flac"];

/// A deterministic FLV file that publishers send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    H264Aac,
    H264Only,
    AacOnly,
    Flv1Mp3,
    HevcAac,
    Av1Aac,
    Vp9Aac,
    Av1Opus,
    Vp9Opus,
    H264Opus,
    H264Flac,
    TwoOfEach,
}

impl Source {
    /// What it holds, in words.
    pub fn name(self) -> &'static str {
        match self {
            Source::H264Aac => "H.264+AAC",
            Source::H264Only => "H.264",
            Source::AacOnly => "AAC",
            Source::Flv1Mp3 => "FLV1+MP3",
            Source::HevcAac => "HEVC+AAC",
            Source::Av1Aac => "AV1+AAC",
            Source::Vp9Aac => "VP9+AAC",
            Source::Av1Opus => "AV1+Opus",
            Source::Vp9Opus => "VP9+Opus",
            Source::H264Opus => "H.264+Opus",
            Source::H264Flac => "H.264+FLAC",
            Source::TwoOfEach => "2 H.264+2 AAC",
        }
    }

    /// The codecs of its streams, as ffmpeg calls them.
    pub fn codecs(self) -> &'static [&'static str] {
        match self {
            Source::H264Aac => &["h264", "aac"],
            Source::H264Only => &["h264"],
            Source::AacOnly => &["aac"],
            Source::Flv1Mp3 => &["flv1", "mp3"],
            Source::HevcAac => &["hevc", "aac"],
            Source::Av1Aac => &["av1", "aac"],
            Source::Vp9Aac => &["vp9", "aac"],
            Source::Av1Opus => &["av1", "opus"],
            Source::Vp9Opus => &["vp9", "opus"],
            Source::H264Opus => &["h264", "opus"],
            Source::H264Flac => &["h264", "flac"],
            Source::TwoOfEach => &["h264", "h264", "aac", "aac"],
        }
    }

    /// The encoders: for video and for audio, either of which may be missing.
    fn encoders(self) -> [Option<&'static [&'static str]>; 2] {
        match self {
            Source::H264Aac | Source::TwoOfEach => [Some(H264), Some(AAC)],
            Source::H264Only => [Some(H264), None],
            Source::AacOnly => [None, Some(AAC)],
            Source::Flv1Mp3 => [Some(FLV1), Some(MP3)],
            Source::HevcAac => [Some(HEVC), Some(AAC)],
            Source::Av1Aac => [Some(AV1), Some(AAC)],
            Source::Vp9Aac => [Some(VP9), Some(AAC)],
            Source::Av1Opus => [Some(AV1), Some(OPUS)],
            Source::Vp9Opus => [Some(VP9), Some(OPUS)],
            Source::H264Opus => [Some(H264), Some(OPUS)],
            Source::H264Flac => [Some(H264), Some(FLAC)],
        }
    }

    /// The file, which is made when it is first asked for.
    pub fn file(self) -> PathBuf {
        static MADE: [OnceLock<PathBuf>; 12] = [const { OnceLock::new() }; 12];
        let made = MADE[self as usize].get_or_init(|| {
            let name = format!("source-{self:?}.flv");
            let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
            self.make(&path).unwrap_or_else(|error| panic!("{error}"));
            path
        });
        made.clone()
    }

    /// Encodes, then copies once: what a muxer writes of a fresh encoder's header may differ from
    /// what it writes of a file's, and publishers send from the file.
    fn make(self, path: &Path) -> Result<(), String> {
        let encoded = path.with_extension("encoded.flv");
        let mut encode = self.encoder_command();
        // No duration, as in a live stream: rtmpdump would believe it and call the rest missing.
        let plain = ["-flvflags", "no_duration_filesize", "-f", "flv"];
        encode.args(["-t", SECONDS]).args(plain).arg(&encoded);
        // Encoders announce themselves on standard error whatever the log level.
        let output = encode.output().map_err(|error| error.to_string())?;
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).into_owned());
        }
        let mut copy = Tool::FfmpegNew.command();
        copy.arg("-i")
            .arg(&encoded)
            .args(["-map", "0", "-c", "copy"]);
        output_of(copy.args(plain).arg(path)).map(drop)
    }

    fn encoder_command(self) -> Command {
        let mut command = Tool::FfmpegNew.command();
        let [video, audio] = self.encoders();
        let inputs = [
            video.map(|_| "testsrc2=size=640x360:rate=25"),
            audio.map(|_| "sine=frequency=440:sample_rate=48000:beep_factor=4"),
        ];
        let inputs: Vec<_> = inputs.into_iter().flatten().collect();
        for input in &inputs {
            command.args(["-f", "lavfi", "-i", input]);
        }
        let copies = if self == Source::TwoOfEach { 2 } else { 1 };
        for index in 0..inputs.len() * copies {
            command.arg("-map").arg((index / copies).to_string());
        }
        let group = GROUP_LEN.to_string();
        if let Some(video) = video {
            command.args(video).args(["-pix_fmt", "yuv420p"]);
            command.args(["-g", &group, "-keyint_min", &group, "-b:v", "600k"]);
        }
        command.args(audio.unwrap_or_default());
        command
    }
}

/// One packet of a track.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet {
    /// When it is to be decoded, in the track's own unit.
    pub dts: i64,
    /// How long after that it is to be shown.
    pub pts_after_dts: i64,
    /// Size and MD5.
    pub hash: String,
}

/// One elementary stream of a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Track {
    pub codec: String,
    pub is_video: bool,
    /// Size and MD5 of what the decoder is set up with.
    pub header: String,
    pub packets: Vec<Packet>,
}

/// The tracks of `file`, video first, packets as they are stored. `filters` are more arguments for ffmpeg.
pub fn tracks(file: &Path, filters: &[&str]) -> Result<Vec<Track>, String> {
    let mut command = Tool::FfmpegNew.command();
    command
        .arg("-i")
        .arg(file)
        .args(["-map", "0", "-c", "copy"]);
    command.args(filters).args(["-f", "framemd5", "-"]);
    let mut tracks = parse_tracks(&output_of(&mut command)?);
    tracks.sort_by_key(|track| !track.is_video);
    Ok(tracks)
}

/// The MD5 of every picture of `file`, decoded.
pub fn pictures(file: &Path) -> Result<Track, String> {
    let mut command = Tool::FfmpegNew.command();
    command.arg("-i").arg(file).args(["-map", "0:v"]);
    command.args(["-fps_mode", "passthrough", "-f", "framemd5", "-"]);
    let tracks = parse_tracks(&output_of(&mut command)?);
    tracks.into_iter().next().ok_or("no video".to_owned())
}

/// That everything in `file` decodes without a word of complaint.
pub fn check_decodes(file: &Path) -> Result<(), String> {
    let mut command = Tool::FfmpegNew.command();
    command
        .args(["-xerror", "-err_detect", "explode", "-i"])
        .arg(file);
    command.args(["-map", "0", "-fps_mode", "passthrough", "-f", "null", "-"]);
    output_of(&mut command).map(drop)
}

pub fn parse_tracks(listing: &str) -> Vec<Track> {
    let mut tracks = Vec::<Track>::new();
    for line in listing.lines() {
        if let Some(comment) = line.strip_prefix('#') {
            parse_property(comment, &mut tracks);
        } else {
            let fields: Vec<_> = line.split(',').map(str::trim).collect();
            let number = |index: usize| fields.get(index).and_then(|field| field.parse().ok());
            let (Some(track), Some(dts), Some(pts)) = (number(0), number(1), number(2)) else {
                panic!("not a packet: {line}");
            };
            let hash = fields[4..6].join(" ");
            at(&mut tracks, track as usize).packets.push(Packet {
                dts,
                pts_after_dts: pts - dts,
                hash,
            });
        }
    }
    tracks
}

/// A line such as `#codec_id 0: h264` or `#extradata 0, 47, MD5`.
fn parse_property(line: &str, tracks: &mut Vec<Track>) {
    let Some((name, rest)) = line.split_once(' ') else {
        return;
    };
    let Some((index, value)) = rest.split_once([':', ',']) else {
        return;
    };
    let Ok(index) = index.parse() else {
        return;
    };
    let value = value.trim().to_owned();
    match name {
        "codec_id" => at(tracks, index).codec = value,
        "media_type" => at(tracks, index).is_video = value == "video",
        "extradata" => at(tracks, index).header = value,
        _ => {}
    }
}

fn at(tracks: &mut Vec<Track>, index: usize) -> &mut Track {
    if tracks.len() <= index {
        tracks.resize_with(index + 1, Track::default);
    }
    &mut tracks[index]
}
