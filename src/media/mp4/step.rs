//! How long a picture lasts, where only the next one can tell.

/// How many steps are looked at.
const STEPS: usize = 4;

/// The time from each picture to the next.
#[derive(Debug, Default)]
pub(super) struct Step {
    /// When the last picture is decoded.
    last_time: Option<u64>,
    /// The last steps; 0: not known.
    last: [u32; STEPS],
}

impl Step {
    /// Takes when the next picture is decoded.
    pub(super) fn note(&mut self, time: u64) {
        if let Some(last) = self.last_time.replace(time) {
            let step = time.saturating_sub(last);
            self.last.rotate_left(1);
            self.last[STEPS - 1] = u32::try_from(step).unwrap_or(u32::MAX);
        }
    }

    /// How long a picture is, as it seems; `None` before there are two. One long step is a hole, and
    /// two are another frame rate. Short ones are times that stand still.
    pub(super) fn usual(&self) -> Option<u32> {
        let mut steps = self.last;
        steps.sort_unstable();
        let [.., second, longest] = steps;
        let usual = if second == 0 { longest } else { second };
        (usual > 0).then_some(usual)
    }
}
