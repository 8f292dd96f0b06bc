//! One connection from its beginning to the end of both stacks.

use millstream::device::PairConfig;
use millstream_interleavings::{connect, explore, listen, read_all, spawn, stacks};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

#[test]
fn every_byte_comes_back_and_both_stacks_end() {
    explore(4000, || async {
        let (server, client) = stacks(PairConfig::default());
        let listener = listen(&server);
        drop(server);
        let serve = spawn(async move {
            let (mut stream, _) = listener.accept().await.expect("accepts");
            drop(listener);
            let mut buf = [0; 100];
            loop {
                let len = stream.read(&mut buf).await.expect("reads");
                if len == 0 {
                    break;
                }
                stream.write_all(&buf[..len]).await.expect("writes");
            }
            stream.shutdown().await.expect("shuts down");
        });
        let mut stream = connect(&client).await.expect("connects");
        drop(client);
        for piece in [&b"one"[..], b"two", b"three"] {
            stream.write_all(piece).await.expect("writes");
        }
        stream.shutdown().await.expect("shuts down");
        let echo = read_all(&mut stream, 100).await.expect("reads");
        assert_eq!(echo, b"onetwothree");
        drop(stream);
        serve.await;
    });
}

/// Two tasks wait for connections, and two connect.
#[test]
fn each_waiting_acceptor_gets_a_connection() {
    explore(3000, || async {
        let (server, client) = stacks(PairConfig::default());
        let listener = std::sync::Arc::new(listen(&server));
        let serve = [0, 1].map(|_| {
            let listener = std::sync::Arc::clone(&listener);
            spawn(async move {
                let (mut stream, _) = listener.accept().await.expect("accepts");
                stream.write_all(b"hello").await.expect("writes");
            })
        });
        drop(listener);
        let ask = [0, 1].map(|_| {
            let client = client.clone();
            spawn(async move {
                let mut stream = connect(&client).await.expect("connects");
                read_all(&mut stream, 100).await.expect("reads")
            })
        });
        for ask in ask {
            assert_eq!(ask.await, b"hello");
        }
        for serve in serve {
            serve.await;
        }
    });
}
