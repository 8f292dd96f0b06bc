//! A graceful shutdown: a server stops accepting, finishes the requests under way, then ends its
//! stack.
//!
//! ```text
//! cargo run --example graceful_shutdown -p millstream
//! ```

use std::sync::Arc;

use axum::Router;
use axum::routing::get;
use http_body_util::{BodyExt as _, Empty};
use hyper::body::Bytes;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use millstream::connect::Connector;
use millstream::{Stack, device};
use tokio::sync::Notify;

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

    let (arrived, stop) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (arriving, stopping) = (Arc::clone(&arrived), Arc::clone(&stop));
    let slow = move || async move {
        arriving.notify_one();
        tokio::task::yield_now().await;
        "finished"
    };
    let listener = server.listen("10.0.0.1:80").await?;
    let app = Router::new().route("/slow", get(slow));
    let serving = tokio::spawn(async move {
        let serve = axum::serve(listener, app);
        serve
            .with_graceful_shutdown(async move { stopping.notified().await })
            .await
    });

    let http = Client::builder(TokioExecutor::new()).build(Connector::new(&client));
    let request = hyper::Request::get("http://10.0.0.1/slow").body(Empty::<Bytes>::new())?;
    let answer = tokio::spawn(http.request(request));
    arrived.notified().await;
    stop.notify_one();
    let body = answer.await??.into_body().collect().await?.to_bytes();
    println!(
        "the request under way was {}",
        String::from_utf8_lossy(&body)
    );
    assert_eq!(body, "finished");

    drop(http);
    serving.await??;
    server.shutdown().await;
    client.shutdown().await;
    println!("both stacks have ended");
    Ok(())
}
