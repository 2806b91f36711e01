//! HLS without a socket: what a stream becomes, read back by a strict reader of playlists and one of
//! MP4, and by ffmpeg.

mod breaks;
mod changes;
mod days;
mod golden;
mod lengths;
mod random;
mod real;
mod stream;
