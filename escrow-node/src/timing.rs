//! The wall clock held against the monotonic one. Log entries bear wall time, which anybody with
//! power over the machine can set; that it was set is put on record.

use escrow_core::Timestamp;
use std::time::Duration;

/// A jump of more than this, either way, is an anomaly.
const JUMP_MS: i64 = 2_000;
/// At most one anomaly is logged in this time, so that a clock that flaps does not grow the log.
const PAUSE: Duration = Duration::from_secs(60);

/// What both clocks said when the last anomaly was logged, or at the start.
#[derive(Debug)]
pub(crate) struct Clocks {
    wall: Timestamp,
    monotonic: Duration,
    logged: Option<Duration>,
}

impl Clocks {
    pub(crate) fn new(wall: Timestamp, monotonic: Duration) -> Self {
        Self { wall, monotonic, logged: None }
    }

    /// Milliseconds by which the wall clock has moved more than the monotonic one since then, if that
    /// is an anomaly to be logged now. One that comes too soon is kept until its time, unless the clock
    /// has gone back to where it was.
    pub(crate) fn anomaly(&self, wall: Timestamp, monotonic: Duration) -> Option<i64> {
        let moved = i64::try_from(monotonic.saturating_sub(self.monotonic).as_millis()).unwrap_or(i64::MAX);
        let by = wall.millis().saturating_sub(self.wall.millis()).saturating_sub(moved);
        let soon = self.logged.is_some_and(|at| monotonic.saturating_sub(at) < PAUSE);
        (by.saturating_abs() > JUMP_MS && !soon).then_some(by)
    }

    /// It was logged: the clocks agree from here on.
    pub(crate) fn logged(&mut self, wall: Timestamp, monotonic: Duration) {
        *self = Self { wall, monotonic, logged: Some(monotonic) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(n: i64) -> Timestamp {
        Timestamp::from_millis(1_000_000 + n)
    }

    const fn mono(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    #[test]
    fn a_jump_either_way_is_an_anomaly_and_time_passing_is_none() {
        let c = Clocks::new(ms(0), mono(0));
        for (wall, monotonic, by) in [
            (0, 0, None),
            (3_600_000, 3_600_000, None),
            (2_000, 0, None),
            (2_001, 0, Some(2_001)),
            (-2_000, 0, None),
            (-2_001, 0, Some(-2_001)),
            (10_000, 500, Some(9_500)),
            (500, 10_000, Some(-9_500)),
        ] {
            assert_eq!(c.anomaly(ms(wall), mono(monotonic)), by, "{wall} {monotonic}");
        }
        let far = c.anomaly(Timestamp::from_millis(i64::MAX), mono(0)).unwrap();
        assert!(far < 1 << 53, "an entry's body can say it: {far}");
    }

    #[test]
    fn a_clock_that_flaps_is_logged_once_a_minute() {
        let mut c = Clocks::new(ms(0), mono(0));
        let mut logged = vec![];
        for second in 0..600u64 {
            let flap = if second % 2 == 0 { 0 } else { 5_000 };
            let (wall, monotonic) = (ms(i64::try_from(second).unwrap() * 1_000 + flap), mono(second * 1_000));
            if let Some(by) = c.anomaly(wall, monotonic) {
                c.logged(wall, monotonic);
                logged.push((second, by));
            }
        }
        assert!(logged.len() > 5, "{logged:?}");
        assert!(logged.windows(2).all(|w| w[1].0 - w[0].0 >= 60), "{logged:?}");
    }

    #[test]
    fn a_jump_in_the_pause_is_logged_after_it() {
        let mut c = Clocks::new(ms(0), mono(0));
        c.logged(ms(5_000), mono(0));
        assert_eq!(c.anomaly(ms(15_000), mono(0)), None);
        assert_eq!(c.anomaly(ms(75_000), mono(60_000)), Some(10_000));
    }
}
