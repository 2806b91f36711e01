//! The fields of a call, in the order and the encoding of nginx-rtmp.

use crate::rtmp::command::ClientInfo;
use std::net::IpAddr;

/// A client, as the calls about it describe it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotifyClient {
    /// What it says of itself.
    pub info: ClientInfo,
    /// Where it comes from.
    pub addr: IpAddr,
    /// The number of its connection.
    pub id: u64,
}

/// A publication or a playback, as the calls about it describe it: by the name that the client gave it,
/// whatever it is called here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotifyStream {
    /// The name without its query, as it was sent.
    pub name: String,
    /// The query of the name, as it was sent.
    pub query: String,
}

/// The body of a call, a form: `name=value&…`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Form(String);

impl Form {
    /// The fields that all calls begin with. Only on_connect is without the number of the client.
    pub(super) fn new(client: &NotifyClient) -> Form {
        let info = &client.info;
        let addr = client.addr.to_canonical().to_string();
        Form(String::new())
            .text("app", &info.app)
            .text("flashver", &info.flash_ver)
            .text("swfurl", &info.swf_url)
            .text("tcurl", &info.tc_url)
            .text("pageurl", &info.page_url)
            .text("addr", &addr)
    }

    /// The same, with the number.
    pub(super) fn numbered(client: &NotifyClient) -> Form {
        Form::new(client).number("clientid", client.id)
    }

    /// Adds a text, encoded.
    pub(super) fn text(self, name: &str, value: &str) -> Form {
        self.raw_field(name, &encoded(value))
    }

    /// Adds a number in decimal.
    pub(super) fn number(self, name: &str, value: u64) -> Form {
        self.raw_field(name, &value.to_string())
    }

    /// Adds what a client put behind the question mark, as it was sent.
    pub(super) fn query(mut self, query: &str) -> Form {
        if !query.is_empty() {
            self.0.push('&');
            self.0.push_str(&sendable(query));
        }
        self
    }

    fn raw_field(mut self, name: &str, value: &str) -> Form {
        if !self.0.is_empty() {
            self.0.push('&');
        }
        self.0.push_str(name);
        self.0.push('=');
        self.0.push_str(value);
        self
    }

    pub(super) fn into_string(self) -> String {
        self.0
    }
}

/// A value with the characters encoded that nginx-rtmp encodes; a slash and a colon are not among them.
fn encoded(value: &str) -> String {
    let special = b"\"#%&+;<>?\\^`{|}";
    escaped(value, |byte| special.contains(&byte))
}

/// A query with only those characters encoded that cannot be sent in a request.
fn sendable(query: &str) -> String {
    escaped(query, |byte| byte == b'#')
}

/// Encodes what is not printable ASCII, spaces, and what is `special`.
fn escaped(text: &str, special: impl Fn(u8) -> bool) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match (b'!'..=b'~').contains(&byte) && !special(byte) {
            true => out.push(char::from(byte)),
            false => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As nginx 1.22.1 with the module of version 1.1.4 encoded each printable character.
    #[test]
    fn values_are_encoded_as_by_nginx_rtmp() {
        let all = "!\"#$%&'()*+,-./09:;<=>?@AZ[\\]^_`az{|}~\u{e9} ";
        let want = "!%22%23$%25%26'()*%2B,-./09:%3B%3C=%3E%3F@AZ[%5C]%5E_%60az%7B%7C%7D~%C3%A9%20";
        assert_eq!(encoded(all), want);
        assert_eq!(encoded("a\r\n\0"), "a%0D%0A%00");
    }

    #[test]
    fn fields_come_in_order() {
        let client = NotifyClient {
            info: ClientInfo {
                app: "live".to_owned(),
                app_query: "a=1".to_owned(),
                flash_ver: "LNX 9,0,124,2".to_owned(),
                swf_url: String::new(),
                tc_url: "rtmp://127.0.0.1:1935/live".to_owned(),
                page_url: String::new(),
            },
            addr: "::ffff:127.0.0.1".parse().unwrap(),
            id: 4,
        };
        let form = Form::numbered(&client)
            .text("call", "play_done")
            .query("y=%2F a");
        assert_eq!(
            form.into_string(),
            "app=live&flashver=LNX%209,0,124,2&swfurl=&tcurl=rtmp://127.0.0.1:1935/live&pageurl=\
             &addr=127.0.0.1&clientid=4&call=play_done&y=%2F%20a"
        );
        let form = Form::new(&client).query("").into_string();
        assert!(form.ends_with("&addr=127.0.0.1"), "{form}");
    }
}
