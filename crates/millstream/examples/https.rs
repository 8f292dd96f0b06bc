//! HTTPS: a server with tokio-rustls and hyper, and a client with hyper-rustls, which resolves the
//! server's name by a function.
//!
//! ```text
//! cargo run --example https -p millstream
//! ```

use std::convert::Infallible;
use std::sync::Arc;

use http_body_util::{BodyExt as _, Empty, Full};
use hyper::body::Bytes;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_rustls::HttpsConnectorBuilder;
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioIo};
use millstream::connect::Connector;
use millstream::{Stack, TcpListener, device};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::PrivatePkcs8KeyDer;
use tokio_rustls::rustls::{ClientConfig, RootCertStore, ServerConfig};

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

    let made = rcgen::generate_simple_self_signed(["server.example".to_owned()])?;
    let certificate = made.cert.der().clone();
    let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
    let config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.clone()], key.into())?;
    let listener = server.listen("10.0.0.1:443").await?;
    tokio::spawn(serve(listener, TlsAcceptor::from(Arc::new(config))));

    let mut roots = RootCertStore::empty();
    roots.add(certificate)?;
    let config = ClientConfig::builder()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let connector = Connector::new(&client)
        .resolver(|_name, port| async move { Ok(vec![([10, 0, 0, 1], port).into()]) });
    let https = HttpsConnectorBuilder::new()
        .with_tls_config(config)
        .https_only()
        .enable_http1()
        .wrap_connector(connector);
    let client = Client::builder(TokioExecutor::new()).build(https);
    let request = Request::get("https://server.example/").body(Empty::<Bytes>::new())?;
    let body = client
        .request(request)
        .await?
        .into_body()
        .collect()
        .await?
        .to_bytes();
    println!("{}", String::from_utf8_lossy(&body));
    assert_eq!(body, "Hello over TLS");
    Ok(())
}

async fn serve(listener: TcpListener, tls: TlsAcceptor) -> std::io::Result<()> {
    loop {
        let (stream, _peer) = listener.accept().await?;
        let tls = tls.clone();
        tokio::spawn(async move {
            let stream = TokioIo::new(tls.accept(stream).await?);
            let answer = service_fn(|_request| async {
                Ok::<_, Infallible>(Response::new(Full::new(Bytes::from("Hello over TLS"))))
            });
            let http = hyper::server::conn::http1::Builder::new();
            http.serve_connection(stream, answer)
                .await
                .map_err(std::io::Error::other)
        });
    }
}
