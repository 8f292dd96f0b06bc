//! The order in which the two sides close, and what states ours goes through by that.

use anyhow::{Result, ensure};
use millstream::State;
use millstream_integration_tests::pattern;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::Notify;

use crate::peer::Sending;

/// When one side closes its half.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    /// As soon as everything is sent.
    First,
    /// When everything is sent and the other side's half has ended.
    Last,
}

/// Who closes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Closing {
    /// The other stack.
    Peer,
    /// Ours.
    Ours,
    /// Neither: the FINs cross.
    Simultaneous,
}

impl Closing {
    /// When the other stack closes.
    pub(crate) fn turn_of_peer(self) -> Turn {
        match self {
            Self::Peer | Self::Simultaneous => Turn::First,
            Self::Ours => Turn::Last,
        }
    }

    /// When we close.
    pub(crate) fn turn_of_ours(self) -> Turn {
        match self {
            Self::Ours | Self::Simultaneous => Turn::First,
            Self::Peer => Turn::Last,
        }
    }

    /// Whether a connection closed so may have gone through `states` (RFC 9293 figure 5).
    ///
    /// # Errors
    /// Names the states.
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

/// Sends `bytes` of the pattern and closes in turn, receives and checks as many.
///
/// # Errors
/// When a byte is wrong or missing, or the stream fails.
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

/// Remembers from which sides a FIN was seen.
#[derive(Default)]
pub(crate) struct Fins {
    ours: bool,
    theirs: bool,
}

impl Fins {
    /// Notes one, and whether both sides' were now seen.
    pub(crate) fn note(&mut self, sent_by_us: bool) -> bool {
        if sent_by_us {
            self.ours = true;
        } else {
            self.theirs = true;
        }
        self.ours && self.theirs
    }
}
