//! The server as a service of systemd, with the test in systemd's place: a real socket that it
//! notifies, listening sockets that it is passed, a file that is said to be the journal.

mod journal;
mod notify;
mod service;
mod sockets;
