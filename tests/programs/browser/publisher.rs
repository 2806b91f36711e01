//! A publisher whose pictures carry their number, and that knows when it sent each of them.

use crate::support::Client;
use crate::support::browser::Browser;
use rtmp_server::amf0::Value;
use rtmp_server::rtmp::{Message, MessageType, StreamId, Timestamp, status};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

/// Bits of a picture's number, each a square of 20 pixels in its first row, black or white.
const CODE: &str = "geq=lum='255*mod(floor(N/pow(2,floor(X/20))),2)':cb=128:cr=128";

const PICTURES_PER_SECOND: u32 = 30;

/// Reads the number in the picture that a page shows; NaN while it shows none.
const NUMBER: &str = "(() => {
  const video = document.querySelector('video'), canvas = document.createElement('canvas');
  if (!video.videoWidth) return NaN;
  canvas.width = 320; canvas.height = 20;
  const context = canvas.getContext('2d');
  context.drawImage(video, 0, 0, video.videoWidth, 20, 0, 0, video.videoWidth, 20);
  const pixels = context.getImageData(0, 10, 320, 1).data;
  let number = 0;
  for (let bit = 0; bit < 12; bit++) number += (pixels[(bit * 20 + 10) * 4] > 127) << bit;
  return number;
})()";

/// What is published.
pub struct Clip {
    tags: Vec<(MessageType, u32, Vec<u8>)>,
}

impl Clip {
    /// So many seconds of H.264, a keyframe in each `keyframe_secs`, and AAC.
    pub fn new(secs: u32, size: &str, keyframe_secs: u32) -> Clip {
        let (fps, gop) = (PICTURES_PER_SECOND, PICTURES_PER_SECOND * keyframe_secs);
        let width = size.split('x').next().expect("a size");
        Clip::made_by(
            "ffmpeg",
            &format!(
                "-f lavfi -i testsrc2=s={size}:r={fps} -f lavfi -i sine -f lavfi -i color=s={width}x20:r={fps} \
                 -filter_complex [2]{CODE}[code];[0][code]overlay -t {secs} -map 1 -c:a aac \
                 -c:v libx264 -preset ultrafast -tune zerolatency -pix_fmt yuv420p -g {gop}"
            ),
        )
    }

    /// What ffmpeg makes of these arguments.
    pub fn made_by(ffmpeg: &str, args: &str) -> Clip {
        let name = format!("rtmp-clip-{}-{:?}.flv", std::process::id(), Instant::now());
        let file: PathBuf = std::env::temp_dir().join(name.replace([' ', '{', '}', ':'], ""));
        let mut command = Command::new(ffmpeg);
        command
            .args(["-v", "error", "-y"])
            .args(args.split_whitespace());
        let made = command.arg(&file).status().expect("ffmpeg");
        assert!(made.success(), "ffmpeg {args}");
        let clip = Clip::read(&file);
        let _ = std::fs::remove_file(&file);
        clip
    }

    /// The same without the messages of this kind that are due in this time, in ms; headers stay.
    pub fn without(mut self, without: MessageType, due: std::ops::Range<u32>) -> Clip {
        self.tags
            .retain(|(kind, time, _)| *kind != without || *time == 0 || !due.contains(time));
        self
    }

    /// The tags of an FLV file: a header of 9 bytes, then tags between back pointers.
    fn read(file: &Path) -> Clip {
        let bytes = std::fs::read(file).expect("the clip");
        let mut rest = &bytes[9 + 4..];
        let mut tags = Vec::new();
        while let [kind, a, b, c, d, e, f, high, _, _, _, more @ ..] = rest {
            let len = u32::from_be_bytes([0, *a, *b, *c]) as usize;
            let time = u32::from_be_bytes([*high, *d, *e, *f]);
            let mut body = more[..len].to_vec();
            if MessageType(*kind) == MessageType::DATA {
                body.splice(0..0, *b"\x02\x00\x0d@setDataFrame");
            }
            tags.push((MessageType(*kind), time, body));
            rest = &more[len + 4..];
        }
        Clip { tags }
    }
}

/// How a publisher ends.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// It ends its stream.
    Properly,
    /// Its connection breaks.
    Lost,
}

/// Publishes a clip at its pace; dropped, it ends the stream.
pub struct LivePublisher {
    /// When the message at time 0 was sent, in milliseconds since 1970.
    began_ms: f64,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<Client>>,
}

impl LivePublisher {
    /// Begins to publish `live/NAME`.
    pub fn start(addr: SocketAddr, name: &str, clip: &Arc<Clip>) -> LivePublisher {
        let mut client = Client::publishing(addr, name);
        let (clip, stop) = (Arc::clone(clip), Arc::new(AtomicBool::new(false)));
        let (began, stopping) = (Instant::now(), Arc::clone(&stop));
        let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let publish = move || {
            for (kind, time, payload) in &clip.tags {
                let due = began + Duration::from_millis(u64::from(*time));
                std::thread::sleep(due.saturating_duration_since(Instant::now()));
                if stopping.load(Ordering::Relaxed) {
                    break;
                }
                let sent = client.try_send(&Message {
                    timestamp: Timestamp(*time),
                    kind: *kind,
                    stream: StreamId(1),
                    payload: payload.clone().into(),
                });
                // Another publisher may have taken the stream over.
                if sent.is_err() {
                    break;
                }
            }
            client
        };
        LivePublisher {
            began_ms: since_1970.expect("a time").as_secs_f64() * 1000.0,
            stop,
            thread: Some(std::thread::spawn(publish)),
        }
    }

    /// Ends.
    pub fn end(mut self, how: End) {
        self.finish(how);
    }

    /// How long ago the picture that the page shows was sent, in milliseconds.
    pub fn age_of_picture(&self, browser: &mut Browser) -> f64 {
        let script = format!(
            "{NUMBER} * -1000 / {PICTURES_PER_SECOND} + performance.timeOrigin + performance.now()"
        );
        browser.number(&script) - self.began_ms
    }

    fn finish(&mut self, how: End) {
        self.stop.store(true, Ordering::Relaxed);
        let Some(client) = self.thread.take().and_then(|thread| thread.join().ok()) else {
            return;
        };
        let mut client = client;
        if how == End::Properly {
            let number = vec![Value::Number(1.0)];
            let call = status::call(StreamId(1), "deleteStream", 0.0, Value::Null, number);
            let _ = client.try_send(&call);
        }
        client.vanish();
    }
}

impl Drop for LivePublisher {
    fn drop(&mut self) {
        self.finish(End::Properly);
    }
}
