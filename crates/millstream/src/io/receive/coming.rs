//! The expected number of frames in the next arrival, which decides when the device is asked again.

use super::BATCH_FRAMES;

/// The expected arrival of frames.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Coming {
    /// Several at a time, as far as is known.
    #[default]
    InBatches,
    /// One at a time: the last batch was a single frame. The next frame is processed before the
    /// device is asked for another, which would cost a call of the device while the sender waits
    /// for the answer.
    Alone,
    /// One frame was processed, and the device has not been asked for another.
    OneTaken,
}

impl Coming {
    /// The maximum number of frames that are taken before they are processed.
    pub(super) fn most(self) -> usize {
        match self {
            Self::Alone => 1,
            Self::InBatches | Self::OneTaken => BATCH_FRAMES,
        }
    }

    /// The expectation after a turn that received `frames` and left nothing in the device.
    pub(super) fn after_all(self, frames: usize) -> Self {
        match (self, frames) {
            (Self::InBatches, 1) | (Self::Alone | Self::OneTaken, 0) => Self::Alone,
            _ => Self::InBatches,
        }
    }

    /// The expectation after a turn that may have left frames in the device.
    pub(super) fn after_some(self) -> Self {
        match self {
            Self::Alone => Self::OneTaken,
            Self::InBatches | Self::OneTaken => Self::InBatches,
        }
    }
}
