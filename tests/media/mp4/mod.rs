//! From messages to samples, and from samples to MP4: what is written is read back by a reader that
//! knows only the specification, at every moment of a recording.

mod cuts;
mod files;
mod golden;
mod lengths;
mod live;
mod live_times;
mod messages;
mod real;
mod recording;
mod tracks;
