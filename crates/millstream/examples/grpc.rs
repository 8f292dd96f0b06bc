//! gRPC with tonic: the health service of a server, asked by a client.
//!
//! ```text
//! cargo run --example grpc -p millstream
//! ```

use millstream::connect::Connector;
use millstream::{Stack, device};
use tonic::transport::{Endpoint, Server};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

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

    let listener = server.listen("10.0.0.1:50051").await?;
    let (_reporter, health) = tonic_health::server::health_reporter();
    let incoming = listener.into_stream();
    tokio::spawn(
        Server::builder()
            .add_service(health)
            .serve_with_incoming(incoming),
    );

    let channel = Endpoint::from_static("http://10.0.0.1:50051")
        .connect_with_connector(Connector::new(&client))
        .await?;
    let request = HealthCheckRequest::default();
    let status = HealthClient::new(channel)
        .check(request)
        .await?
        .into_inner()
        .status();
    println!("The server's health: {}", status.as_str_name());
    assert_eq!(status, ServingStatus::Serving);
    Ok(())
}
