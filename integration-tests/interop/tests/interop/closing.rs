//! The order in which the two ends close, and the resulting states of the millstream end.

use anyhow::{Result, ensure};
use millstream::State;
use millstream_testbed::pattern;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::Notify;

use crate::peer::Sending;

/// The time at which one end closes its direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    /// As soon as all its data is sent.
    First,
    /// After all its data is sent and the other direction has ended.
    Last,
}

/// The end that closes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Closing {
    /// The peer stack.
    Peer,
    /// The millstream stack.
    Ours,
    /// Both: the FINs cross.
    Simultaneous,
}

impl Closing {
    /// The peer's turn to close.
    pub(crate) fn turn_of_peer(self) -> Turn {
        match self {
            Self::Peer | Self::Simultaneous => Turn::First,
            Self::Ours => Turn::Last,
        }
    }

    /// The millstream end's turn to close.
    pub(crate) fn turn_of_ours(self) -> Turn {
        match self {
            Self::Ours | Self::Simultaneous => Turn::First,
            Self::Peer => Turn::Last,
        }
    }

    /// Checks that a connection closed in this order may pass through `states` (RFC 9293 figure 5).
    ///
    /// # Errors
    /// If the order is different; names the states.
    pub(crate) fn check(self, states: &[State]) -> Result<()> {
        use State::{
            CloseWait, Closed, Closing, Established, FinWait1, FinWait2, LastAck, TimeWait,
        };
        let closing = states.iter().position(|state| *state == Established);
        let closing = &states[closing.map_or(0, |at| at + 1)..];
        let right = match self {
            Self::Peer => closing == [CloseWait, LastAck, Closed],
            Self::Ours => {
                closing == [FinWait1, FinWait2, TimeWait, Closed]
                    || closing == [FinWait1, TimeWait, Closed]
            }
            Self::Simultaneous => closing == [FinWait1, Closing, TimeWait, Closed],
        };
        ensure!(
            right,
            "after {self:?} closed first, the states were {states:?}"
        );
        Ok(())
    }
}

/// Sends `bytes` of the pattern and closes at its turn; receives and checks as many bytes.
///
/// # Errors
/// If a byte is wrong or missing, or if the stream fails.
pub(crate) async fn exchange(
    stream: impl AsyncRead + AsyncWrite,
    bytes: u64,
    turn: Turn,
    sending: Sending,
) -> Result<()> {
    let (mut reader, mut writer) = tokio::io::split(stream);
    let (received, ended) = (Notify::new(), Notify::new());
    let outward = async {
        if sending == Sending::AfterReceiving {
            received.notified().await;
        }
        pattern::send(&mut writer, bytes).await?;
        if turn == Turn::Last {
            ended.notified().await;
        }
        writer.shutdown().await?;
        anyhow::Ok(())
    };
    let inward = async {
        pattern::receive_exactly(&mut reader, bytes).await?;
        received.notify_one();
        let more = reader.read(&mut [0]).await?;
        ensure!(more == 0, "the stream goes on after {bytes} bytes");
        ended.notify_one();
        Ok(())
    };
    tokio::try_join!(outward, inward)?;
    Ok(())
}

/// Records the ends from which a FIN was seen.
#[derive(Default)]
pub(crate) struct Fins {
    ours: bool,
    theirs: bool,
}

impl Fins {
    /// Records one FIN; returns whether both FINs have now been seen.
    pub(crate) fn note(&mut self, sent_by_us: bool) -> bool {
        if sent_by_us {
            self.ours = true;
        } else {
            self.theirs = true;
        }
        self.ours && self.theirs
    }
}
