//! Real clients and servers over [`Connector`]: HTTP/1.1 and HTTP/2 by hyper and axum, TLS by
//! rustls, gRPC by tonic. Every body is compared with what was sent.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, DefaultBodyLimit};
use axum::routing::{get, post};
use futures::future::try_join_all;
use http_body_util::{BodyExt as _, Full};
use hyper::Request;
use hyper::body::Bytes;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use millstream::connect::{ConnectionInfo, Connector, PeerAddr};
use millstream::{Stack, TcpListener, device};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tonic::transport::{Endpoint, Server};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use tower_service::Service as _;

type Result<T, E = Box<dyn std::error::Error + Send + Sync>> = std::result::Result<T, E>;

/// A server and a client, each with an address of both families.
fn stacks() -> Result<(Stack, Stack)> {
    let (near, far) = device::pair();
    let server = Stack::builder()
        .device(near)
        .address("10.0.0.1/24")
        .address("fd00::1/64");
    let client = Stack::builder()
        .device(far)
        .address("10.0.0.2/24")
        .address("fd00::2/64");
    Ok((server.build()?, client.build()?))
}

/// Bytes that repeat only after a long time, so that nothing can be exchanged unnoticed.
fn body(len: usize) -> Bytes {
    let numbers = (0..len.div_ceil(4)).map(|n| (n as u32).wrapping_mul(2_654_435_761));
    let mut bytes: Vec<u8> = numbers.flat_map(u32::to_le_bytes).collect();
    bytes.truncate(len);
    bytes.into()
}

/// Serves `POST /`, which returns the body, while the stack lives.
async fn serve_echo(listener: TcpListener) -> io::Result<()> {
    let echo = |body: Body| async { body };
    let app = Router::new()
        .route("/", post(echo))
        .layer(DefaultBodyLimit::disable());
    axum::serve(listener, app).await
}

async fn echo(client: &Client<Connector, Full<Bytes>>, sent: Bytes) -> Result<()> {
    let request = Request::post("http://10.0.0.1/").body(Full::new(sent.clone()))?;
    let received = client
        .request(request)
        .await?
        .into_body()
        .collect()
        .await?
        .to_bytes();
    assert_eq!(received.len(), sent.len());
    assert!(received == sent, "the bodies differ");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn http_bodies_of_all_sizes() -> Result<()> {
    let (server, stack) = stacks()?;
    tokio::spawn(serve_echo(server.listen("10.0.0.1:80").await?));
    for http2 in [false, true] {
        let mut builder = Client::builder(TokioExecutor::new());
        let client = builder.http2_only(http2).build(Connector::new(&stack));
        for len in [0, 1, 1460, 65_536, 1 << 20, 64 << 20] {
            echo(&client, body(len)).await?;
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn http_over_many_connections() -> Result<()> {
    for connections in [1, 64, 1000] {
        let (server, stack) = stacks()?;
        tokio::spawn(serve_echo(server.listen("10.0.0.1:80").await?));
        let requests = (0..connections).map(|n| {
            let client = Client::builder(TokioExecutor::new()).build(Connector::new(&stack));
            async move { echo(&client, body(1000 + n)).await }
        });
        try_join_all(requests).await?;
        assert_eq!(server.counters().passive_opens, connections as u64);
    }
    Ok(())
}

#[tokio::test]
async fn a_response_says_over_which_connection_it_came() -> Result<()> {
    let (server, stack) = stacks()?;
    let tell = |ConnectInfo(PeerAddr(peer)): ConnectInfo<PeerAddr>| async move { peer.to_string() };
    let app = Router::new().route("/", get(tell));
    let app = app.into_make_service_with_connect_info::<PeerAddr>();
    let listener = server.listen("[fd00::1]:80").await?;
    tokio::spawn(async move { axum::serve(listener, app).await });

    let client: Client<_, Full<Bytes>> =
        Client::builder(TokioExecutor::new()).build(Connector::new(&stack));
    let response = client.get("http://[fd00::1]/".parse()?).await?;
    let info = *response
        .extensions()
        .get::<ConnectionInfo>()
        .expect("the addresses");
    assert_eq!(info.remote_addr, "[fd00::1]:80".parse()?);
    let seen = response.into_body().collect().await?.to_bytes();
    assert_eq!(seen, info.local_addr.to_string());
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn grpc_over_many_channels() -> Result<()> {
    let (server, stack) = stacks()?;
    let incoming = server.listen("10.0.0.1:50051").await?.into_stream();
    let (_reporter, health) = tonic_health::server::health_reporter();
    tokio::spawn(
        Server::builder()
            .add_service(health)
            .serve_with_incoming(incoming),
    );
    for channels in [1, 64] {
        let checks = (0..channels).map(|_| {
            let connector = Connector::new(&stack);
            async move {
                let endpoint = Endpoint::from_static("http://10.0.0.1:50051");
                let channel = endpoint.connect_with_connector(connector).await?;
                let mut client = HealthClient::new(channel);
                for _ in 0..10 {
                    client.check(HealthCheckRequest::default()).await?;
                }
                Ok::<_, Box<dyn std::error::Error + Send + Sync>>(())
            }
        });
        try_join_all(checks).await?;
    }
    assert_eq!(server.counters().passive_opens, 65);
    Ok(())
}

/// Nobody has 10.0.0.9: the connector goes on to the next address after its delay.
#[tokio::test(start_paused = true)]
async fn an_address_that_does_not_answer_delays_little() -> Result<()> {
    let (server, stack) = stacks()?;
    let _listener = server.listen("[fd00::1]:80").await?;
    let addresses: Vec<SocketAddr> = vec!["10.0.0.9:80".parse()?, "[fd00::1]:80".parse()?];
    let connector = Connector::new(&stack).resolver(move |_, _| {
        let addresses = addresses.clone();
        async move { Ok(addresses) }
    });
    let start = tokio::time::Instant::now();
    let stream = connector.connect("server.example", 80).await?;
    assert_eq!(stream.peer_addr()?, "[fd00::1]:80".parse()?);
    let waited = start.elapsed();
    let delay = Connector::ATTEMPT_DELAY;
    assert!(
        (delay..delay + Duration::from_millis(50)).contains(&waited),
        "{waited:?}"
    );
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_connector_gives_up_in_time() -> Result<()> {
    let (_server, stack) = stacks()?;
    let connector = Connector::new(&stack).timeout(Duration::from_secs(3));
    let error = connector
        .connect("10.0.0.9", 80)
        .await
        .expect_err("nobody answers");
    assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    assert_eq!(error.to_string(), "no connection within 3s");
    let error = connector
        .connect_any(Vec::new())
        .await
        .expect_err("no address");
    assert_eq!(error.kind(), io::ErrorKind::NotFound);
    Ok(())
}

#[tokio::test]
async fn options_and_the_local_address_are_applied() -> Result<()> {
    let (near, far) = device::pair();
    let server = Stack::builder()
        .device(near)
        .address("10.0.0.1/24")
        .build()?;
    let stack = Stack::builder()
        .device(far)
        .address("10.0.0.2/24")
        .address("10.0.0.3/24");
    let stack = stack.build()?;
    let _listener = server.listen("10.0.0.1:80").await?;
    let connector = Connector::new(&stack)
        .local_address([10, 0, 0, 3].into())
        .options(|options| options.nodelay = false);
    let stream = connector.connect("10.0.0.1", 80).await?;
    assert_eq!(stream.local_addr()?.ip(), IpAddr::from([10, 0, 0, 3]));
    assert!(!stream.nodelay()?);
    Ok(())
}

#[tokio::test]
async fn tower_makes_connections() -> Result<()> {
    let (server, stack) = stacks()?;
    let listener = server.listen("10.0.0.1:7").await?;
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await?;
            stream.write_all(b"hello").await?;
        }
        #[expect(unreachable_code, reason = "gives the task its type")]
        io::Result::Ok(())
    });
    let mut connector = Connector::new(&stack);
    let address: SocketAddr = "10.0.0.1:7".parse()?;
    let by_address = connector.call(address).await?;
    let by_name = connector.call(("10.0.0.1".to_owned(), 7)).await?;
    for mut stream in [by_address, by_name] {
        let mut text = String::new();
        stream.read_to_string(&mut text).await?;
        assert_eq!(text, "hello");
    }
    Ok(())
}

/// A TLS client that has read `close_notify` knows that nothing is missing.
#[tokio::test]
async fn tls_ends_without_loss() -> Result<()> {
    use tokio_rustls::rustls::pki_types::{PrivatePkcs8KeyDer, ServerName};
    use tokio_rustls::rustls::{ClientConfig, RootCertStore, ServerConfig};
    use tokio_rustls::{TlsAcceptor, TlsConnector};

    let (server, stack) = stacks()?;
    let made = rcgen::generate_simple_self_signed(["server.example".to_owned()])?;
    let certificate = made.cert.der().clone();
    let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
    let config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.clone()], key.into())?;
    let listener = server.listen("10.0.0.1:443").await?;
    let sent = body(3_000_000);
    let answer = sent.clone();
    let serving = tokio::spawn(async move {
        let (stream, _) = listener.accept().await?;
        let mut stream = TlsAcceptor::from(Arc::new(config)).accept(stream).await?;
        stream.write_all(&answer).await?;
        stream.shutdown().await?;
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).await
    });

    let mut roots = RootCertStore::empty();
    roots.add(certificate)?;
    let config = ClientConfig::builder()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let stream = Connector::new(&stack).connect("10.0.0.1", 443).await?;
    let name = ServerName::try_from("server.example")?;
    let mut stream = TlsConnector::from(Arc::new(config))
        .connect(name, stream)
        .await?;
    let mut received = Vec::new();
    stream.read_to_end(&mut received).await?;
    stream.shutdown().await?;
    assert!(received == sent, "the bytes differ");
    assert_eq!(serving.await??, 0);
    Ok(())
}
