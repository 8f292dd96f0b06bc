//! HTTP/2: a hundred requests at once share one connection.
//!
//! ```text
//! cargo run --example http2 -p millstream
//! ```

use axum::Router;
use axum::extract::Path;
use axum::routing::get;
use futures::future::try_join_all;
use http_body_util::{BodyExt as _, Empty};
use hyper::body::Bytes;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use millstream::connect::Connector;
use millstream::{Stack, device};

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
    let square = |Path(n): Path<u64>| async move { (n * n).to_string() };
    let app = Router::new().route("/square/{n}", get(square));
    tokio::spawn(async move { axum::serve(listener, app).await });

    let http = Client::builder(TokioExecutor::new())
        .http2_only(true)
        .build(Connector::new(&client));
    let request = |n: u64| {
        let http = http.clone();
        async move {
            let uri = format!("http://10.0.0.1/square/{n}").parse()?;
            let body = http.get(uri).await?.into_body().collect().await?.to_bytes();
            Ok::<u64, Box<dyn std::error::Error>>(String::from_utf8(body.into())?.parse()?)
        }
    };
    let _: &Client<_, Empty<Bytes>> = &http;
    let squares = try_join_all((0..100).map(request)).await?;
    assert!((0..100).zip(&squares).all(|(n, &square)| square == n * n));
    let connections = server.counters().passive_opens;
    println!("{} answers over {connections} connection", squares.len());
    assert_eq!(connections, 1);
    Ok(())
}
