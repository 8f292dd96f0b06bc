//! A TUN interface without a stack.

use std::net::UdpSocket;

use anyhow::{Context as _, Result, ensure};
use millstream::device::{Device, Tun};
use millstream_integration_tests::lab::Lab;

/// A runtime that has tasks to run looks at its descriptors only now and then; what has arrived is there before.
pub(crate) async fn what_has_arrived_can_be_read_at_once(_lab: &Lab) -> Result<()> {
    let interface = || Tun::builder().up();
    let plain = interface()
        .name("millplain")
        .address("10.78.0.1/24")
        .build()?;
    arrives(&plain, "10.78.0.2:9").context("plain")?;
    let offload = interface()
        .name("milloffload")
        .address("10.79.0.1/24")
        .build_offload()?;
    arrives(&offload, "10.79.0.2:9").context("with offloads")
}

/// Sends a datagram and reads it, in one go.
fn arrives(device: &impl Device, to: &str) -> Result<()> {
    let socket = UdpSocket::bind("0.0.0.0:0")?;
    let text = b"are you there?";
    socket.send_to(text, to)?;
    let mut frame = vec![0; device.capabilities().max_frame()];
    // The kernel has things of its own to say to a new interface.
    for _ in 0..100 {
        let len = device.try_recv(&mut frame)?;
        if frame[..len].ends_with(text) {
            return Ok(());
        }
    }
    ensure!(false, "something else arrives all the time");
    Ok(())
}
