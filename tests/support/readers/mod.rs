//! Readers of what the server writes, by the letter of the specifications. They share no code with
//! what writes it.

pub mod flv;
pub mod flv_file;
pub mod listener;
pub mod mp4_reader;
pub mod playlist_reader;
pub mod strict_chunks;
