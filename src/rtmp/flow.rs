//! Flow control of one connection (RTMP §5.4.3 to §5.4.5, §7.1.7): the same at both ends.

use super::Message;
use super::control::{BandwidthLimit, Control, UserControl};

/// What was received and acknowledged, and the windows that the two sides told each other.
///
/// We acknowledge once in each window: the one that the peer announced or, where it announced none,
/// the one that we imposed on it. A peer that keeps to that sends no more until it is acknowledged.
///
/// Bytes count from the first of the handshake, as §5.4.3 has it, and never start anew; the wire
/// shows the low 32 bits.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Flow {
    announced: Option<u32>,
    imposed: Option<u32>,
    received: u64,
    acknowledged: u64,
    /// The last Window Acknowledgement Size that was sent.
    window_sent: Option<u32>,
}

impl Flow {
    /// Counts bytes that arrived, the handshake's among them.
    pub(crate) fn count_received(&mut self, bytes: usize) {
        self.received += bytes as u64;
    }

    /// All bytes that arrived.
    pub(crate) fn received(&self) -> u64 {
        self.received
    }

    /// Asks the peer to acknowledge each `window` bytes, and to leave no more than that
    /// unacknowledged. Both messages have to be sent.
    pub(crate) fn impose(&mut self, window: u32) -> [Message; 2] {
        self.imposed = Some(window);
        self.window_sent = Some(window);
        let bandwidth = Control::SetPeerBandwidth {
            size: window,
            limit: BandwidthLimit::HARD,
        };
        [
            Control::WindowAckSize(window).message(),
            bandwidth.message(),
        ]
    }

    /// Takes a control message of the peer; returns the answer, if it wants one. Messages that are
    /// not about flow control change nothing.
    ///
    /// A window of 0, which would want an acknowledgement for each byte, changes nothing either.
    pub(crate) fn handle(&mut self, control: Control) -> Option<Message> {
        match control {
            Control::WindowAckSize(window) if window > 0 => {
                self.announced = Some(window);
                None
            }
            Control::SetPeerBandwidth { size, .. }
                if size > 0 && self.window_sent != Some(size) =>
            {
                self.window_sent = Some(size);
                Some(Control::WindowAckSize(size).message())
            }
            Control::User(UserControl::PingRequest(time)) => {
                Some(UserControl::PingResponse(time).message())
            }
            _ => None,
        }
    }

    /// The acknowledgement that is due, if one is: to be asked for after each batch of bytes. One
    /// is enough for any number of windows.
    pub(crate) fn acknowledgement(&mut self) -> Option<Message> {
        let window = u64::from(self.announced.or(self.imposed)?);
        if self.received - self.acknowledged < window {
            return None;
        }
        self.acknowledged = self.received;
        Some(Control::Acknowledgement(self.received as u32).message())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn acknowledgement(of: u32) -> Option<Message> {
        Some(Control::Acknowledgement(of).message())
    }

    #[test]
    fn acknowledgements_follow_the_window_and_wrap_at_32_bits() {
        let mut flow = Flow::default();
        flow.count_received(10_000);
        assert_eq!(flow.acknowledgement(), None, "no window, no duty");
        for window in [5000, 0] {
            assert_eq!(flow.handle(Control::WindowAckSize(window)), None);
        }
        let rows = [
            (0, acknowledgement(10_000)),
            (4999, None),
            (1, acknowledgement(15_000)),
            (u32::MAX as usize - 15_000 + 6, acknowledgement(5)),
            (5000, acknowledgement(5005)),
        ];
        for (bytes, want) in rows {
            flow.count_received(bytes);
            assert_eq!(flow.acknowledgement(), want, "after {bytes} more");
        }
    }

    #[test]
    fn an_imposed_window_holds_until_one_is_announced() {
        let mut flow = Flow::default();
        let _ = flow.impose(5000);
        flow.count_received(4999);
        assert_eq!(flow.acknowledgement(), None);
        flow.count_received(1);
        assert_eq!(flow.acknowledgement(), acknowledgement(5000));
        assert_eq!(flow.handle(Control::WindowAckSize(7000)), None);
        flow.count_received(6999);
        assert_eq!(flow.acknowledgement(), None);
        flow.count_received(1);
        assert_eq!(flow.acknowledgement(), acknowledgement(12_000));
    }

    #[test]
    fn a_window_is_announced_when_it_changes_and_a_ping_is_answered() {
        let bandwidth = |size| Control::SetPeerBandwidth {
            size,
            limit: BandwidthLimit::SOFT,
        };
        let window = |size| Some(Control::WindowAckSize(size).message());
        let ping = UserControl::PingRequest(7);
        let rows = [
            (bandwidth(0), None),
            (bandwidth(5000), None),
            (bandwidth(6000), window(6000)),
            (bandwidth(6000), None),
            (bandwidth(5000), window(5000)),
            (Control::Acknowledgement(9), None),
            (
                Control::User(ping),
                Some(UserControl::PingResponse(7).message()),
            ),
        ];
        let mut flow = Flow::default();
        assert_eq!(flow.impose(5000)[..1], [window(5000).unwrap()]);
        for (control, want) in rows {
            assert_eq!(flow.handle(control), want, "{control:?}");
        }
    }
}
