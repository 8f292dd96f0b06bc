//! A chat over WebSockets with tokio-tungstenite: the server sends each message to all clients.
//!
//! ```text
//! cargo run --example websocket_chat -p millstream
//! ```

use futures::{SinkExt as _, StreamExt as _};
use millstream::{Stack, TcpStream, device};
use tokio::sync::broadcast;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, accept_async, client_async};

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

    let listener = server.listen("10.0.0.1:80").await?;
    tokio::spawn(async move {
        let (room, _) = broadcast::channel(16);
        while let Ok((stream, _peer)) = listener.accept().await {
            tokio::spawn(member(stream, room.clone()));
        }
    });

    let mut ada = join(&client).await?;
    let mut ben = join(&client).await?;
    // An echo of one's own message shows that the server has let one in.
    for name in [&mut ada, &mut ben] {
        name.send(Message::text("I am here")).await?;
        while name.next().await.transpose()? != Some(Message::text("I am here")) {}
    }
    ada.send(Message::text("hello, Ben")).await?;
    while let Some(message) = ben.next().await.transpose()? {
        println!("Ben reads: {message}");
        if message == Message::text("hello, Ben") {
            break;
        }
    }
    ada.close(None).await?;
    ben.close(None).await?;
    Ok(())
}

async fn join(stack: &Stack) -> Result<WebSocketStream<TcpStream>, Box<dyn std::error::Error>> {
    let stream = stack.connect("10.0.0.1:80").await?;
    let (socket, _response) = client_async("ws://10.0.0.1/", stream).await?;
    Ok(socket)
}

async fn member(stream: TcpStream, room: broadcast::Sender<Message>) -> Result<(), Error> {
    let mut socket = accept_async(stream).await?;
    let mut messages = room.subscribe();
    loop {
        tokio::select! {
            sent = socket.next() => match sent.transpose()? {
                Some(message) if message.is_text() => {
                    // There is always a subscriber: this one.
                    let _ = room.send(message);
                }
                Some(_) => {}
                None => return Ok(()),
            },
            Ok(message) = messages.recv() => socket.send(message).await?,
        }
    }
}
