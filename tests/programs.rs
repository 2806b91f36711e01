//! The server with other programs: clients and servers of others, systemd, scripts.

mod support;

mod programs {
    mod browser;
    mod check;
    mod faults;
    mod hooks;
    mod injection;
    mod interop;
    mod nginx_calls;
    mod peers;
    mod program;
    mod reload;
    mod rtmps;
    mod secrets;
    mod signing;
    mod supervisor;
    mod systemd;
    mod tls;
}
