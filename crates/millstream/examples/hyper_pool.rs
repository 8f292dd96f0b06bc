//! A pool of connections: hyper-util's client uses a connection again when a request is over.
//!
//! ```text
//! cargo run --example hyper_pool -p millstream
//! ```

use axum::Router;
use axum::routing::post;
use http_body_util::{BodyExt as _, Full};
use hyper::Request;
use hyper::body::Bytes;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use millstream::connect::{ConnectionInfo, Connector};
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
    let app = Router::new().route("/", post(|body: String| async { body }));
    tokio::spawn(async move { axum::serve(listener, app).await });

    let http = Client::builder(TokioExecutor::new())
        .pool_max_idle_per_host(4)
        .build(Connector::new(&client));
    for n in 0..20 {
        let text = format!("request {n}");
        let body = Full::new(Bytes::from(text.clone()));
        let answer = http
            .request(Request::post("http://10.0.0.1/").body(body)?)
            .await?;
        if let Some(info) = answer.extensions().get::<ConnectionInfo>() {
            println!("{text}: from {} to {}", info.local_addr, info.remote_addr);
        }
        assert_eq!(answer.into_body().collect().await?.to_bytes(), text);
    }
    assert_eq!(server.counters().passive_opens, 1);
    Ok(())
}
