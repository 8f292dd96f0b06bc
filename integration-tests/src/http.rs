//! An HTTP server for the tests with programs.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{self, DefaultBodyLimit, State};
use axum::routing::{get, post};
use bytes::Bytes;
use futures::{StreamExt as _, stream};
use millstream::Stack;
use sha2::{Digest as _, Sha256};
use tokio::sync::Barrier;
use tokio::task::JoinHandle;

use millstream_testbed::{digest, pattern};

/// The number of requests for `/together` that are answered together.
pub const AT_ONCE: usize = 200;
const CHUNK: u64 = 64 * 1024;

/// `GET /data/N` returns N bytes of the pattern; `GET /together/N` does so when [`AT_ONCE`]
/// requests for it are open; `POST /sha256` and `PUT /sha256` return the digest of the request's
/// body.
pub fn router() -> Router {
    let everybody = Arc::new(Barrier::new(AT_ONCE));
    Router::new()
        .route("/data/{length}", get(data))
        .route("/together/{length}", get(together))
        .route("/sha256", post(sha256).put(sha256))
        .layer(DefaultBodyLimit::disable())
        .with_state(everybody)
}

/// Serves on a stack until the task is aborted or the runtime ends.
///
/// # Errors
/// If the stack cannot listen.
pub async fn serve(stack: &Stack, address: SocketAddr) -> io::Result<JoinHandle<io::Result<()>>> {
    let listener = stack.listen(address).await?;
    Ok(tokio::spawn(async move {
        axum::serve(listener, router()).await
    }))
}

/// A body with the first `length` bytes of the pattern, sent without an announced length.
pub fn body(length: u64) -> Body {
    let chunks = (0..length).step_by(CHUNK as usize).map(move |offset| {
        let bytes = pattern::bytes(offset, (length - offset).min(CHUNK) as usize);
        io::Result::Ok(Bytes::from(bytes))
    });
    Body::from_stream(stream::iter(chunks))
}

async fn data(extract::Path(length): extract::Path<u64>) -> Body {
    body(length)
}

async fn together(State(everybody): State<Arc<Barrier>>, path: extract::Path<u64>) -> Body {
    everybody.wait().await;
    data(path).await
}

async fn sha256(body: Body) -> Result<String, String> {
    let mut hash = Sha256::new();
    let mut body = body.into_data_stream();
    while let Some(chunk) = body.next().await {
        hash.update(chunk.map_err(|error| error.to_string())?);
    }
    Ok(digest::hex(hash))
}
