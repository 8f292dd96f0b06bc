//! nginx, with curl, wrk or hyper as the client.

use std::fs::{self, File};
use std::io::Write as _;
use std::net::SocketAddr;

use anyhow::{Result, ensure};
use futures::future::try_join_all;
use millstream_testbed::lab::{Family, Lab};
use millstream_testbed::program::Server;
use millstream_testbed::{digest, pattern};
use tempfile::TempDir;

use crate::NGINX;
use crate::curl::{self, HTTP1, HTTP2, LARGE};
use crate::h2load;
use crate::http_client::{Client, Version};
use crate::route::{Route, Way};
use crate::wrk::{self, Connections};

/// Bytes that each of many streams moves.
const MEDIUM: u64 = 1_000_000;

const PORT_HTTP1: u16 = 80;
/// An nginx listener without TLS supports one version of HTTP.
const PORT_HTTP2: u16 = 81;

/// A running nginx and its files: `/data/N` for a few N, and a directory for uploads.
struct Nginx {
    directory: TempDir,
    _server: Server,
}

impl Nginx {
    async fn start(http1: SocketAddr, http2: SocketAddr) -> Result<Self> {
        let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
        let data = directory.path().join("files/data");
        fs::create_dir_all(&data)?;
        for length in [100, 1000, MEDIUM, LARGE] {
            let mut file = File::create(data.join(length.to_string()))?;
            file.write_all(&pattern::bytes(0, length as usize))?;
        }
        let configuration = directory.path().join("nginx.conf");
        fs::write(&configuration, configure(http1, http2))?;

        let mut command = NGINX.command()?;
        command
            .arg("-p")
            .arg(directory.path())
            .arg("-c")
            .arg(&configuration)
            .args(["-e", "stderr"]);
        // The message is printed when the sockets listen.
        let server = Server::start(command, "event method").await?;
        Ok(Self {
            directory,
            _server: server,
        })
    }

    /// Checks that the upload to this path consists of the first `length` bytes of the pattern.
    async fn check_upload(&self, path: &str, length: u64) -> Result<()> {
        let path = self.directory.path().join("files").join(path);
        let (received, digest) = digest::of_reader(&mut tokio::fs::File::open(path).await?).await?;
        ensure!(received == length, "nginx received {received} bytes");
        ensure!(
            digest == digest::of_pattern(length),
            "nginx received different bytes"
        );
        Ok(())
    }
}

/// One process that stays in the foreground, as root of the namespace, and writes only below its
/// directory.
fn configure(http1: SocketAddr, http2: SocketAddr) -> String {
    format!(
        "daemon off;
        master_process off;
        user root;
        pid nginx.pid;
        error_log stderr notice;
        events {{ worker_connections 1024; }}
        http {{
            access_log off;
            client_max_body_size 0;
            keepalive_requests 1000000;
            client_body_temp_path client_body;
            proxy_temp_path proxy;
            fastcgi_temp_path fastcgi;
            uwsgi_temp_path uwsgi;
            scgi_temp_path scgi;
            server {{
                listen {http1};
                listen {http2} http2;
                root files;
                dav_methods PUT;
            }}
        }}"
    )
}

async fn curl(lab: &Lab, way: Way, port: u16, version: &str) -> Result<()> {
    let route = Route::new(lab, way).await?;
    let nginx = Nginx::start(route.server(PORT_HTTP1), route.server(PORT_HTTP2)).await?;
    let address = route.open(port).await?;
    curl::download(address, version).await?;
    curl::upload(address, "/uploaded", version).await?;
    nginx.check_upload("uploaded", LARGE).await
}

pub(crate) async fn curl_http1(lab: &Lab, way: Way) -> Result<()> {
    curl(lab, way, PORT_HTTP1, HTTP1).await
}

pub(crate) async fn curl_http2(lab: &Lab, way: Way) -> Result<()> {
    curl(lab, way, PORT_HTTP2, HTTP2).await
}

async fn load(lab: &Lab, way: Way, connections: Connections) -> Result<()> {
    let route = Route::new(lab, way).await?;
    let _nginx = Nginx::start(route.server(PORT_HTTP1), route.server(PORT_HTTP2)).await?;
    wrk::load(route.open(PORT_HTTP1).await?, connections).await
}

pub(crate) async fn wrk_keepalive(lab: &Lab, way: Way) -> Result<()> {
    load(lab, way, Connections::Kept).await
}

pub(crate) async fn wrk_short(lab: &Lab, way: Way) -> Result<()> {
    load(lab, way, Connections::Short).await
}

pub(crate) async fn h2load(lab: &Lab, way: Way) -> Result<()> {
    let route = Route::new(lab, way).await?;
    let _nginx = Nginx::start(route.server(PORT_HTTP1), route.server(PORT_HTTP2)).await?;
    h2load::load(route.open(PORT_HTTP2).await?).await
}

/// hyper on the stack.
async fn client(lab: &Lab, port: u16, version: Version) -> Result<()> {
    let net = lab.net().await?;
    for family in Family::BOTH {
        let address = |port| net.kernel(family, port);
        let nginx = Nginx::start(address(PORT_HTTP1), address(PORT_HTTP2)).await?;
        let stream = net.stack.connect(address(port)).await?;
        let mut client = Client::new(stream, version).await?;
        for _ in 0..200 {
            client.expect_pattern("/data/100", 100).await?;
        }
        let large = format!("/data/{LARGE}");
        client.expect_pattern(&large, LARGE).await?;
        client.put_pattern("/uploaded", LARGE).await?;
        nginx.check_upload("uploaded", LARGE).await?;
    }
    Ok(())
}

pub(crate) async fn http1_client(lab: &Lab) -> Result<()> {
    client(lab, PORT_HTTP1, Version::Http1).await
}

pub(crate) async fn http2_client(lab: &Lab) -> Result<()> {
    client(lab, PORT_HTTP2, Version::Http2).await
}

/// A hundred concurrent streams on one connection.
pub(crate) async fn http2_streams(lab: &Lab) -> Result<()> {
    let net = lab.net().await?;
    let address = |port| net.kernel(Family::V4, port);
    let _nginx = Nginx::start(address(PORT_HTTP1), address(PORT_HTTP2)).await?;
    let stream = net.stack.connect(address(PORT_HTTP2)).await?;
    let client = Client::new(stream, Version::Http2).await?;
    let path = format!("/data/{MEDIUM}");
    try_join_all(
        client
            .streams(100)?
            .iter_mut()
            .map(|client| client.expect_pattern(&path, MEDIUM)),
    )
    .await?;
    Ok(())
}
