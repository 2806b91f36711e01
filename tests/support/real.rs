//! Media with configurations that can be read, for what looks into them.

use super::media;
use rtmp_server::rtmp::Message;

/// AVC of 16 by 16 pixels, and AAC of 44.1 kHz.
pub const AVC_CONFIG: &[u8] =
    b"\x01\x42\xc0\x0a\xff\xe1\0\x0a\x67\x42\xc0\x0a\xdd\x34\x2c\x08\0\x08\x01\0\
    \x04\x68\xce\x3c\x80";
pub const AAC_CONFIG: &[u8] = b"\x12\x10";

/// A message in the notation of [`media`], with a configuration in headers that can be read.
pub fn real(line: &str) -> Message {
    let message = media(line);
    let config = match line.get(..6) {
        Some("V head") => AVC_CONFIG,
        Some("A head") => AAC_CONFIG,
        _ => return message,
    };
    let (number, front) = message.payload.split_last().expect("a number");
    let payload = [front, config, &[*number]].concat();
    Message {
        payload: payload.into(),
        ..message
    }
}
