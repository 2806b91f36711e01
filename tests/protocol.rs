//! The protocol by itself, without a socket: bytes, messages and conversations.

mod support;

mod protocol {
    mod golden;
    mod properties;
    mod proxy;
    mod session;
}
