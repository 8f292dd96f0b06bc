//! An HTTP server with axum that tells each client its address, and a client with hyper-util.
//!
//! ```text
//! cargo run --example http_server -p millstream
//! ```

use axum::Router;
use axum::extract::ConnectInfo;
use axum::routing::get;
use http_body_util::{BodyExt as _, Empty};
use hyper::body::Bytes;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use millstream::connect::{Connector, PeerAddr};
use millstream::{Stack, device};

async fn greet(ConnectInfo(PeerAddr(peer)): ConnectInfo<PeerAddr>) -> String {
    format!("Hello, {}!", peer.ip())
}

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
    let app = Router::new().route("/", get(greet));
    let app = app.into_make_service_with_connect_info::<PeerAddr>();
    tokio::spawn(async move { axum::serve(listener, app).await });

    let http = Client::builder(TokioExecutor::new()).build(Connector::new(&client));
    let request = hyper::Request::get("http://10.0.0.1/").body(Empty::<Bytes>::new())?;
    let body = http
        .request(request)
        .await?
        .into_body()
        .collect()
        .await?
        .to_bytes();
    println!("{}", String::from_utf8_lossy(&body));
    assert_eq!(body, "Hello, 10.0.0.2!");
    Ok(())
}
