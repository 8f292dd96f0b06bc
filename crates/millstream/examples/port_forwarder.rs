//! A port forwarder: connections to a port of a stack continue to another address.
//!
//! ```text
//! cargo run --example port_forwarder -p millstream
//! ```
//!
//! Here both sides are stacks over links in memory. With `tokio::net::TcpStream::connect` in
//! `forward` the forwarder would lead out of the stack into the network of the machine.

use millstream::{Stack, TcpListener, device};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional};

/// Connects each connection of `listener` to `target` by the stack `outside`, until both sides have
/// ended it.
async fn forward(listener: TcpListener, outside: Stack, target: &'static str) {
    while let Ok((mut client, peer)) = listener.accept().await {
        let outside = outside.clone();
        tokio::spawn(async move {
            let mut server = outside.connect(target).await?;
            let (sent, received) = copy_bidirectional(&mut client, &mut server).await?;
            println!("{peer}: {sent} bytes sent, {received} received");
            std::io::Result::Ok(())
        });
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (near, far) = device::pair();
    let client = Stack::builder()
        .device(near)
        .address("10.0.0.1/24")
        .build()?;
    let inside = Stack::builder()
        .device(far)
        .address("10.0.0.2/24")
        .build()?;
    let (near, far) = device::pair();
    let outside = Stack::builder()
        .device(near)
        .address("192.168.1.1/24")
        .build()?;
    let server = Stack::builder()
        .device(far)
        .address("192.168.1.2/24")
        .build()?;

    let listener = inside.listen("10.0.0.2:8080").await?;
    tokio::spawn(forward(listener, outside, "192.168.1.2:80"));
    let listener = server.listen("192.168.1.2:80").await?;
    let answer = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await?;
        let mut request = String::new();
        stream.read_to_string(&mut request).await?;
        stream.write_all(request.to_uppercase().as_bytes()).await?;
        stream.shutdown().await
    });

    let mut stream = client.connect("10.0.0.2:8080").await?;
    stream.write_all(b"through the forwarder").await?;
    stream.shutdown().await?;
    let mut response = String::new();
    stream.read_to_string(&mut response).await?;
    println!("{response}");
    assert_eq!(response, "THROUGH THE FORWARDER");
    answer.await??;
    Ok(())
}
