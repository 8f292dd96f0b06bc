//! The current stack of a runtime: what the runtime runs finds it, wherever it was spawned.

mod support;

use std::io;
use std::net::SocketAddr;
use std::thread;

use millstream::net::{TcpListener, TcpSocket, TcpStream};
use millstream::{Stack, device};
use support::stacks;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::oneshot;
use tokio::task::{JoinSet, LocalSet, spawn_blocking, spawn_local};

/// Whether `stack` is the current one here.
fn is_current(stack: &Stack) -> bool {
    Stack::current().is_ok_and(|current| format!("{current:?}") == format!("{stack:?}"))
}

fn threads() -> Runtime {
    let mut builder = Builder::new_multi_thread();
    builder.worker_threads(2).enable_all();
    builder.build().expect("starts")
}

/// Written for `tokio::net`: it spawns, and knows no stack.
async fn echo_once() -> io::Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await?;
        let (mut read, mut write) = stream.split();
        tokio::io::copy(&mut read, &mut write).await
    });
    let client = tokio::spawn(async move {
        let mut stream = TcpStream::connect(address).await?;
        stream.write_all(b"grist").await?;
        stream.shutdown().await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        io::Result::Ok(answer)
    });
    server.await??;
    client.await?
}

#[tokio::test]
async fn a_program_that_spawns_needs_no_change() {
    let (stack, _peer) = stacks();
    let _current = stack.enter_runtime();
    assert_eq!(echo_once().await.expect("echoes"), "grist");
}

#[test]
fn so_on_several_threads() {
    threads().block_on(async {
        let (stack, _peer) = stacks();
        let _current = stack.enter_runtime();
        let mut set = JoinSet::new();
        for _ in 0..20 {
            set.spawn(echo_once());
        }
        while let Some(answer) = set.join_next().await {
            assert_eq!(answer.expect("no panic").expect("echoes"), "grist");
        }
    });
}

#[tokio::test]
async fn every_kind_of_task_finds_it() {
    let (stack, _peer) = stacks();
    let _current = stack.enter_runtime();
    let has = {
        let stack = stack.clone();
        move || is_current(&stack)
    };
    assert!(has());
    let (one, other) = (has.clone(), has.clone());
    assert!(tokio::spawn(async move { one() }).await.expect("no panic"));
    assert!(spawn_blocking(other).await.expect("no panic"));
    let mut set = JoinSet::new();
    let (one, other) = (has.clone(), has.clone());
    set.spawn(async move { one() });
    set.spawn_blocking(other);
    assert_eq!(set.join_all().await, [true, true]);
    let local = LocalSet::new();
    let one = has.clone();
    let found = local.run_until(async { spawn_local(async move { one() }).await });
    assert!(found.await.expect("no panic"));
    let nested = has.clone();
    let nested = tokio::spawn(async { tokio::spawn(async move { nested() }).await });
    assert!(nested.await.expect("no panic").expect("no panic"));
    spawn_blocking(|| TcpSocket::new_v4().map(drop))
        .await
        .expect("no panic")
        .expect("finds the stack");
}

#[tokio::test]
async fn a_scope_precedes_the_runtime() {
    let (of_runtime, of_scope) = stacks();
    let _current = of_runtime.enter_runtime();
    assert!(of_scope.scope(async { is_current(&of_scope) }).await);
    let guard = of_scope.enter();
    assert!(is_current(&of_scope));
    drop(guard);
    assert!(is_current(&of_runtime));
}

#[tokio::test]
async fn the_youngest_guard_decides_and_any_order_of_ends_is_right() {
    let (older, younger) = stacks();
    Stack::current().expect_err("none is current");
    let (one, other) = (older.enter_runtime(), younger.enter_runtime());
    assert!(is_current(&younger));
    drop(one);
    assert!(is_current(&younger));
    let one = older.enter_runtime();
    assert!(is_current(&older));
    thread::spawn(move || drop(one)).join().expect("no panic");
    assert!(is_current(&younger));
    drop(other);
    Stack::current().expect_err("none is current");
}

#[test]
fn two_runtimes_have_a_stack_each() {
    let (first, second) = (threads(), threads());
    let (left, right) = device::pair();
    let build = |runtime: &Runtime, device, address: &str| {
        let _inside = runtime.enter();
        let builder = Stack::builder().device(device).address(address);
        builder.build().expect("builds")
    };
    let server = build(&first, left, "10.0.0.1/24");
    let client = build(&second, right, "10.0.0.2/24");
    let (_one, _other) = {
        let one = first.block_on(async { server.enter_runtime() });
        (one, second.block_on(async { client.enter_runtime() }))
    };
    let (tell, told) = oneshot::channel();
    let serving = first.spawn(async move {
        let listener = TcpListener::bind("10.0.0.1:0").await?;
        tell.send(listener.local_addr()?).expect("is heard");
        listener.accept().await
    });
    let local = second.block_on(async {
        let task = tokio::spawn(async move { TcpStream::connect(told.await.expect("told")).await });
        task.await
            .expect("no panic")
            .expect("connects")
            .local_addr()
    });
    let (_, from) = first.block_on(serving).expect("no panic").expect("accepts");
    assert_eq!(from, local.expect("has one"));
    assert_eq!(from.ip().to_string(), "10.0.0.2");
}

#[test]
fn one_stack_serves_several_runtimes() {
    let (home, first, second) = (threads(), threads(), threads());
    let (stack, _peer) = home.block_on(async { stacks() });
    let _guards: Vec<_> = [&first, &second]
        .map(|runtime| runtime.block_on(async { stack.enter_runtime() }))
        .into();
    assert!(home.block_on(async { Stack::current().is_err() }));
    let (tell, told) = oneshot::channel::<SocketAddr>();
    let serving = first.spawn(async move {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        tell.send(listener.local_addr()?).expect("is heard");
        let (mut stream, _) = listener.accept().await?;
        stream.write_all(&vec![7; 1 << 20]).await
    });
    let received = second.block_on(async {
        let mut stream = TcpStream::connect(told.await.expect("told")).await?;
        stream.read_to_end(&mut Vec::new()).await
    });
    assert_eq!(received.expect("reads"), 1 << 20);
    first.block_on(serving).expect("no panic").expect("writes");
    assert_eq!(first.block_on(echo_once()).expect("echoes"), "grist");
}

#[tokio::test]
async fn a_guard_keeps_the_stack_and_its_end_lets_it_go() {
    let (stack, _peer) = stacks();
    let guard = stack.enter_runtime();
    drop(stack);
    assert_eq!(echo_once().await.expect("echoes"), "grist");
    drop(guard);
    echo_once().await.expect_err("none is current");
}
