//! The current stack of the process. It is one test, because there is one process.

mod support;

use std::thread;

use millstream::net::{TcpListener, TcpStream};
use millstream::{NoCurrentStack, Stack};
use support::stacks;
use tokio::runtime::Builder;

fn is_current(stack: &Stack) -> bool {
    Stack::current().is_ok_and(|current| format!("{current:?}") == format!("{stack:?}"))
}

#[tokio::test]
async fn the_process_has_a_stack() {
    let (stack, other) = stacks();
    assert!(stack.set_default().is_none());

    // In tasks, in other threads and in other runtimes.
    let listener = tokio::spawn(TcpListener::bind("127.0.0.1:0")).await;
    let listener = listener.expect("no panic").expect("binds");
    let address = listener.local_addr().expect("has one");
    let elsewhere = thread::spawn(move || {
        let outside = Stack::current().is_ok();
        let runtime = Builder::new_current_thread().build().expect("starts");
        let stream = runtime.block_on(async { tokio::spawn(TcpStream::connect(address)).await });
        (outside, stream.expect("no panic"))
    });
    listener.accept().await.expect("accepts");
    let (outside, stream) = elsewhere.join().expect("no panic");
    assert!(outside);
    stream.expect("connects");

    // A runtime, a scope and a guard precede it.
    let guard = other.enter_runtime();
    assert!(is_current(&other));
    assert!(stack.scope(async { is_current(&stack) }).await);
    drop(guard);
    assert!(is_current(&stack));

    // It can be replaced and taken back.
    let before = other.set_default().expect("there was one");
    assert!(is_current(&other) && format!("{before:?}") == format!("{stack:?}"));
    assert!(Stack::clear_default().is_some());
    assert_eq!(
        Stack::current().expect_err("none is current"),
        NoCurrentStack
    );
    assert!(Stack::clear_default().is_none());
}
