//! An echo server and a client on two stacks that a link in memory connects.
//!
//! ```text
//! cargo run --example echo -p millstream
//! ```

use millstream::{Stack, device};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (near, far) = device::pair();
    let server = Stack::builder()
        .device(near)
        .address("10.0.0.1/24")
        .build()?;
    let client = Stack::builder()
        .device(far)
        .address("10.0.0.2/24")
        .build()?;

    let listener = server.listen("10.0.0.1:7").await?;
    tokio::spawn(async move {
        while let Ok((mut stream, peer)) = listener.accept().await {
            println!("server: {peer} has connected");
            tokio::spawn(async move {
                let (mut read, mut write) = stream.split();
                copy(&mut read, &mut write).await?;
                write.shutdown().await
            });
        }
    });

    let mut stream = client.connect("10.0.0.1:7").await?;
    stream.write_all(b"hello, world").await?;
    stream.shutdown().await?;
    let mut echo = String::new();
    stream.read_to_string(&mut echo).await?;
    println!("client: the echo is {echo:?}");
    assert_eq!(echo, "hello, world");
    Ok(())
}
