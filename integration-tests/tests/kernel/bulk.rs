//! Bulk data in both directions at once, with packets from the smallest to the largest.

use anyhow::{Context as _, Result, ensure};
use millstream_testbed::lab::{Family, Lab, Setup};
use millstream_testbed::pattern;
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};

use crate::connect::to_the_stack;

/// Bytes in each direction.
const BYTES: u64 = 32 << 20;
/// The part of the TCP header that the kernel's MSS does not include, in bytes: timestamps with
/// padding.
const TIMESTAMPS: usize = 12;

pub(crate) async fn mtu_576(lab: &Lab) -> Result<()> {
    both_ways(lab, 576, &[Family::V4]).await
}

pub(crate) async fn mtu_1500(lab: &Lab) -> Result<()> {
    both_ways(lab, 1500, &Family::BOTH).await
}

pub(crate) async fn mtu_9000(lab: &Lab) -> Result<()> {
    both_ways(lab, 9000, &Family::BOTH).await
}

pub(crate) async fn mtu_65535(lab: &Lab) -> Result<()> {
    both_ways(lab, 65_535, &Family::BOTH).await
}

async fn both_ways(lab: &Lab, mtu: usize, families: &[Family]) -> Result<()> {
    let net = lab
        .net_with(Setup {
            mtu,
            ..Setup::default()
        })
        .await?;
    for &family in families {
        let (ours, theirs) = to_the_stack(&net, family).await?;

        let headers = if family == Family::V4 { 40 } else { 60 };
        let expected = mtu - headers - TIMESTAMPS;
        let info = ours.info().context("our connection's info")?;
        // Linux limits segments to half of the largest window it has seen: in the stack's SYN, the
        // full-sized segments that fit into 64 KiB.
        let mss = mtu - headers;
        let half_window = (1 << 16) / mss * mss / 2;
        let of_kernel = SockRef::from(&theirs).tcp_mss()? as usize;
        ensure!(
            of_kernel == expected.min(half_window),
            "{family:?}: the kernel sends {of_kernel}"
        );
        ensure!(
            info.snd_mss as usize == expected,
            "{family:?}: we send {}",
            info.snd_mss
        );

        tokio::try_join!(send_and_receive(ours), send_and_receive(theirs))
            .with_context(|| format!("{family:?}"))?;
    }
    let largest = net
        .gate
        .trace()
        .records()
        .iter()
        .map(|record| record.length)
        .max();
    ensure!(
        largest == Some(mtu),
        "the largest packet had {largest:?} bytes"
    );
    Ok(())
}

async fn send_and_receive<S: AsyncRead + AsyncWrite>(stream: S) -> Result<()> {
    let (mut reader, mut writer) = tokio::io::split(stream);
    let send = async {
        pattern::send(&mut writer, BYTES).await?;
        writer.shutdown().await?;
        anyhow::Ok(())
    };
    tokio::try_join!(send, pattern::receive(&mut reader, BYTES))?;
    Ok(())
}
