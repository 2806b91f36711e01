//! Media files: what the recorder writes, and MP4 by itself, read back by readers of our own and by
//! other programs.

mod support;

mod media {
    mod hls;
    mod mp4;
    use crate::support::readers::mp4_reader;
    mod recorder;
}
