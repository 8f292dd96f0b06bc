//! A script's socket settings as options of the engine.

use std::time::Duration;

use millstream_engine::{CongestionControl, Keepalive, SocketOptions};

use super::convert::no_congestion_control;
use super::{Called, Errno, SockOpt};

/// The options of one socket. Connections of a listener start with a copy.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub(super) options: SocketOptions,
    pub(super) reuse_addr: bool,
    /// The keepalive times for the case that keepalive is on.
    keepalive_times: Keepalive,
}

impl Settings {
    /// The settings of a new socket in a stack with these defaults. Keepalive is off, whatever the
    /// defaults are.
    pub(super) fn new(defaults: &SocketOptions) -> Self {
        Self {
            keepalive_times: defaults.keepalive.unwrap_or_default(),
            options: defaults.clone().keepalive(None),
            reuse_addr: false,
        }
    }

    /// setsockopt(2)
    pub(super) fn set(&mut self, option: SockOpt, value: i64) -> Called<()> {
        let options = &mut self.options;
        match option {
            SockOpt::NoDelay => options.nodelay = value != 0,
            SockOpt::Cork => options.cork = value != 0,
            SockOpt::SendBuffer => options.fix_send_buffer(number(value)?),
            SockOpt::ReceiveBuffer => options.fix_receive_buffer(number(value)?),
            SockOpt::ReceiveLowWater => options.receive_low_water = number::<usize>(value)?.max(1),
            SockOpt::MaxSegment => {
                options.max_segment_size = Some(number(value)?).filter(|&mss| mss > 0);
            }
            SockOpt::KeepAlive => options.keepalive = (value != 0).then_some(self.keepalive_times),
            SockOpt::KeepIdle => self.keepalive_times.idle = seconds(value)?,
            SockOpt::KeepInterval => self.keepalive_times.interval = seconds(value)?,
            SockOpt::KeepCount => self.keepalive_times.count = number(value)?,
            SockOpt::UserTimeout => {
                let millis = number(value)?;
                options.user_timeout = (millis > 0).then(|| Duration::from_millis(millis));
            }
            SockOpt::Tos => options.tos = number::<u8>(value)? & !3,
            SockOpt::Ttl => options.hop_limit = number(value)?,
            SockOpt::ReuseAddr => self.reuse_addr = value != 0,
            SockOpt::SynCount => options.syn_retries = number(value)?,
            SockOpt::Error => return Err(Errno::EINVAL.into()),
        }
        if options.keepalive.is_some() {
            options.keepalive = Some(self.keepalive_times);
        }
        // Keepalive times can be set while keepalive is off.
        let all = self.options.clone().keepalive(Some(self.keepalive_times));
        all.validate().map_err(|_| Errno::EINVAL.into())
    }

    /// Chooses the congestion control.
    pub(super) fn set_congestion(&mut self, name: &str) -> Called<()> {
        let Some(chosen) = CongestionControl::from_name(name) else {
            return Err(match name {
                "bbr" | "cubic" | "dctcp" | "reno" => no_congestion_control(name),
                _ => Errno::ENOENT.into(),
            });
        };
        self.options.congestion = chosen;
        Ok(())
    }

    /// getsockopt(2); `mss` is the effective one of the connection, if there is one.
    pub(super) fn get(&self, option: SockOpt, mss: Option<u32>) -> Called<i64> {
        let options = &self.options;
        Ok(match option {
            SockOpt::NoDelay => i64::from(options.nodelay),
            SockOpt::Cork => i64::from(options.cork),
            // Linux doubles the value, to account for its bookkeeping.
            SockOpt::SendBuffer => 2 * options.send_buffer as i64,
            SockOpt::ReceiveBuffer => 2 * options.receive_buffer as i64,
            SockOpt::ReceiveLowWater => options.receive_low_water as i64,
            // Before there is a connection, the value that was set.
            SockOpt::MaxSegment => {
                let set = options.max_segment_size.map(u32::from);
                i64::from(mss.or(set).unwrap_or(536))
            }
            SockOpt::KeepAlive => i64::from(options.keepalive.is_some()),
            SockOpt::KeepIdle => self.keepalive_times.idle.as_secs() as i64,
            SockOpt::KeepInterval => self.keepalive_times.interval.as_secs() as i64,
            SockOpt::KeepCount => i64::from(self.keepalive_times.count),
            SockOpt::UserTimeout => options.user_timeout.map_or(0, |t| t.as_millis() as i64),
            SockOpt::Tos => i64::from(options.tos),
            SockOpt::Ttl => i64::from(options.hop_limit),
            SockOpt::ReuseAddr => i64::from(self.reuse_addr),
            SockOpt::SynCount => i64::from(options.syn_retries),
            SockOpt::Error => return Err(Errno::EINVAL.into()),
        })
    }
}

fn number<T: TryFrom<i64>>(value: i64) -> Called<T> {
    T::try_from(value).map_err(|_| Errno::EINVAL.into())
}

fn seconds(value: i64) -> Called<Duration> {
    match number(value)? {
        0 => Err(Errno::EINVAL.into()),
        seconds => Ok(Duration::from_secs(seconds)),
    }
}
