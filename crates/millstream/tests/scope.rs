//! The current stack: code written for `tokio::net` runs unchanged.

mod support;

use std::io;

use millstream::{NoCurrentStack, Stack, TcpListener, TcpSocket, TcpStream};
use support::stacks;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Uses no stack explicitly.
async fn serve_one() -> io::Result<u64> {
    let listener = TcpListener::bind("10.0.0.1:7").await?;
    let (mut stream, _) = listener.accept().await?;
    let (mut read, mut write) = stream.split();
    tokio::io::copy(&mut read, &mut write).await
}

/// Uses no stack explicitly, either.
async fn ask(text: &str) -> io::Result<String> {
    let mut stream = TcpStream::connect("10.0.0.1:7").await?;
    stream.write_all(text.as_bytes()).await?;
    stream.shutdown().await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer)
}

#[tokio::test(start_paused = true)]
async fn two_tasks_each_with_its_stack() {
    let (server, client) = stacks();
    let serving = tokio::spawn(server.scope(serve_one()));
    tokio::task::yield_now().await;
    let answer = client.scope(ask("who?")).await.expect("answers");
    assert_eq!(answer, "who?");
    assert_eq!(serving.await.expect("no panic").expect("serves"), 4);
}

#[tokio::test(start_paused = true)]
async fn in_one_task_each_future_has_its_own() {
    let (server, client) = stacks();
    let (served, answer) = tokio::join!(server.scope(serve_one()), client.scope(ask("me")));
    assert_eq!(served.expect("serves"), 2);
    assert_eq!(answer.expect("answers"), "me");
}

#[tokio::test]
async fn without_a_stack_the_error_says_so() {
    let errors = [
        TcpListener::bind("10.0.0.1:7").await.map(drop),
        TcpStream::connect("10.0.0.1:7").await.map(drop),
        TcpSocket::new_v4().map(drop),
        TcpSocket::new_v6().map(drop),
    ];
    for error in errors {
        let error = error.expect_err("no stack is current");
        let source = error.get_ref().and_then(|e| e.downcast_ref());
        assert_eq!(source, Some(&NoCurrentStack));
    }
}

#[tokio::test]
async fn guards_nest() {
    let (server, client) = stacks();
    let is = |stack: &Stack| {
        let current = Stack::current().expect("one is current");
        format!("{current:?}") == format!("{stack:?}")
    };
    {
        let _outer = server.enter();
        assert!(is(&server));
        {
            let _inner = client.enter();
            assert!(is(&client));
        }
        assert!(is(&server));
        TcpSocket::new_v4().expect("one is current");
    }
    Stack::current().expect_err("none is current");
}

#[tokio::test]
async fn a_guard_dropped_early_takes_the_inner_ones_along() {
    let (server, client) = stacks();
    let outer = server.enter();
    let inner = client.enter();
    drop(outer);
    Stack::current().expect_err("none is current");
    drop(inner);
    Stack::current().expect_err("none is current");
}
