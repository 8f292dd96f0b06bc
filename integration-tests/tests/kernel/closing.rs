//! All ways in which a connection ends, and the results for both applications.

use std::io::ErrorKind;

use anyhow::{Context as _, Result, bail, ensure};
use millstream_testbed::lab::{Family, Lab};
use millstream_testbed::link::Netlink;
use millstream_testbed::{kernel, pattern};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::child;
use crate::connect::{PORT, to_the_kernel, to_the_stack};

/// A number of bytes several times larger than all buffers on the path.
const MUCH: u64 = 16 << 20;

/// The kind of the error that ends reading, after the data in flight.
async fn read_error(stream: &mut (impl tokio::io::AsyncRead + Unpin)) -> Result<ErrorKind> {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        match stream.read(&mut buffer).await {
            Ok(0) => bail!("the stream ended orderly"),
            Ok(_) => {}
            Err(error) => return Ok(error.kind()),
        }
    }
}

/// The kind of the error that ends writing.
async fn write_error(stream: &mut (impl tokio::io::AsyncWrite + Unpin)) -> ErrorKind {
    let chunk = vec![0; 64 * 1024];
    loop {
        if let Err(error) = stream.write_all(&chunk).await {
            return error.kind();
        }
    }
}

/// After its FIN an end still receives the peer's data.
pub(crate) async fn stack_half_closes(lab: &Lab) -> Result<()> {
    let net = lab.net().await?;
    for family in Family::BOTH {
        let (mut ours, mut theirs) = to_the_kernel(&net, family).await?;
        pattern::send(&mut ours, 1000).await?;
        ours.shutdown().await?;
        pattern::receive(&mut theirs, 1000).await?;
        let answer = async {
            pattern::send(&mut theirs, MUCH).await?;
            theirs.shutdown().await?;
            anyhow::Ok(())
        };
        tokio::try_join!(answer, pattern::receive(&mut ours, MUCH))?;
    }
    Ok(())
}

pub(crate) async fn kernel_half_closes(lab: &Lab) -> Result<()> {
    let net = lab.net().await?;
    for family in Family::BOTH {
        let (mut ours, mut theirs) = to_the_stack(&net, family).await?;
        pattern::send(&mut theirs, 1000).await?;
        theirs.shutdown().await?;
        pattern::receive(&mut ours, 1000).await?;
        let answer = async {
            pattern::send(&mut ours, MUCH).await?;
            ours.shutdown().await?;
            anyhow::Ok(())
        };
        tokio::try_join!(answer, pattern::receive(&mut theirs, MUCH))?;
    }
    Ok(())
}

/// A reset is reported as an error, once, and never as an end of file, which would look like a
/// complete stream.
pub(crate) async fn kernel_resets(lab: &Lab) -> Result<()> {
    let net = lab.net().await?;
    for family in Family::BOTH {
        let (mut ours, theirs) = to_the_stack(&net, family).await?;
        kernel::reset(theirs)?;
        let kind = read_error(&mut ours).await?;
        ensure!(kind == ErrorKind::ConnectionReset, "read: {kind:?}");
        let kind = write_error(&mut ours).await;
        ensure!(kind == ErrorKind::BrokenPipe, "write after that: {kind:?}");
        let length = ours.read(&mut [0; 16]).await?;
        ensure!(length == 0, "{length} bytes after the reset was reported");
    }
    Ok(())
}

/// A close with a linger time of zero discards unsent data; the kernel's application gets the
/// reset.
pub(crate) async fn stack_lingers_zero(lab: &Lab) -> Result<()> {
    let net = lab.net().await?;
    for family in Family::BOTH {
        let (ours, mut theirs) = to_the_kernel(&net, family).await?;
        ours.set_zero_linger()?;
        drop(ours);
        let kind = read_error(&mut theirs).await?;
        ensure!(kind == ErrorKind::ConnectionReset, "{kind:?}");
    }
    Ok(())
}

/// Closing with unread data resets (RFC 9293 3.6.1, RFC 2525 2.17), in both directions.
pub(crate) async fn unread_data_resets(lab: &Lab) -> Result<()> {
    let net = lab.net().await?;
    let (ours, mut theirs) = to_the_kernel(&net, Family::V4).await?;
    theirs.write_all(b"never read").await?;
    ours.readable().await?;
    drop(ours);
    let kind = read_error(&mut theirs).await?;
    ensure!(
        kind == ErrorKind::ConnectionReset,
        "the kernel read: {kind:?}"
    );

    let (mut ours, theirs) = to_the_stack(&net, Family::V4).await?;
    ours.write_all(b"never read").await?;
    theirs.readable().await?;
    drop(theirs);
    let kind = read_error(&mut ours).await?;
    ensure!(
        kind == ErrorKind::ConnectionReset,
        "the stack read: {kind:?}"
    );
    Ok(())
}

/// The kernel sends a FIN while data is in flight to it: all of that data arrives, and so does the
/// data that the kernel sent before its FIN.
pub(crate) async fn kernel_closes_while_data_is_in_flight(lab: &Lab) -> Result<()> {
    let net = lab.net().await?;
    let (ours, theirs) = to_the_stack(&net, Family::V4).await?;
    let (mut our_reader, mut our_writer) = ours.into_split();
    let (mut their_reader, mut their_writer) = theirs.into_split();
    let we_send = async {
        pattern::send(&mut our_writer, MUCH).await?;
        our_writer.shutdown().await?;
        anyhow::Ok(())
    };
    let they_close = async {
        // Some of the stack's data has arrived and more is in flight.
        let mut first = vec![0; 100_000];
        their_reader.read_exact(&mut first).await?;
        pattern::check(0, &first)?;
        pattern::send(&mut their_writer, 5000).await?;
        their_writer.shutdown().await?;
        let mut rest = Vec::new();
        their_reader.read_to_end(&mut rest).await?;
        pattern::check(first.len() as u64, &rest)?;
        let received = (first.len() + rest.len()) as u64;
        ensure!(received == MUCH, "{received} bytes arrived");
        Ok(())
    };
    tokio::try_join!(we_send, they_close, pattern::receive(&mut our_reader, 5000))?;
    Ok(())
}

pub(crate) async fn kernel_resets_while_data_is_in_flight(lab: &Lab) -> Result<()> {
    let net = lab.net().await?;
    let (mut ours, mut theirs) = to_the_stack(&net, Family::V4).await?;
    let reset = async {
        theirs.read_exact(&mut vec![0; 100_000]).await?;
        kernel::reset(theirs)?;
        anyhow::Ok(())
    };
    let (kind, outcome) = tokio::join!(write_error(&mut ours), reset);
    outcome?;
    ensure!(kind == ErrorKind::ConnectionReset, "{kind:?}");
    Ok(())
}

/// A process is killed with unread data: its kernel resets the connection.
pub(crate) async fn killed_server_with_unread_data(lab: &Lab) -> Result<()> {
    let net = lab.net().await?;
    let address = net.kernel(Family::V4, PORT);
    let mut server = child::start_server(address, 1).await?;
    let mut ours = net.stack.connect(address).await?;
    ours.write_all(b"1 and more that it does not read").await?;
    // The answer shows that all data has arrived, because it was one segment.
    ours.read_exact(&mut [0]).await?;
    server.start_kill().context("SIGKILL")?;
    let kind = read_error(&mut ours).await?;
    ensure!(kind == ErrorKind::ConnectionReset, "{kind:?}");
    server.wait().await?;
    Ok(())
}

/// A process is killed without unread data: its kernel sends a FIN, and a reset for later data.
pub(crate) async fn killed_server_without_data(lab: &Lab) -> Result<()> {
    let net = lab.net().await?;
    let address = net.kernel(Family::V4, PORT);
    let mut server = child::start_server(address, 1).await?;
    let mut ours = net.stack.connect(address).await?;
    ours.write_all(b"1").await?;
    ours.read_exact(&mut [0]).await?;
    server.start_kill().context("SIGKILL")?;
    let length = ours.read(&mut [0; 16]).await?;
    ensure!(length == 0, "{length} bytes from a dead process");
    server.wait().await?;
    let kind = write_error(&mut ours).await;
    ensure!(
        matches!(kind, ErrorKind::ConnectionReset | ErrorKind::BrokenPipe),
        "{kind:?}"
    );
    Ok(())
}

/// The shutdown of a stack resets its open connections and removes its interface.
pub(crate) async fn shutdown_removes_the_interface(lab: &Lab) -> Result<()> {
    let net = lab.net().await?;
    let (_ours, mut theirs) = to_the_stack(&net, Family::V4).await?;
    let netlink = Netlink::open()?;
    netlink.link(&net.interface()).await?;
    net.stack.shutdown().await;
    let kind = read_error(&mut theirs).await?;
    ensure!(kind == ErrorKind::ConnectionReset, "{kind:?}");
    let interface = net.interface();
    drop(net);
    ensure!(
        netlink.link(&interface).await.is_err(),
        "{interface} is still there"
    );
    Ok(())
}
