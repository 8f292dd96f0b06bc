//! Bulk readers, which read from the device in their own task.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;

use futures::FutureExt;
use millstream::TcpStream;
use millstream::device::PairConfig;
use millstream_interleavings::{SERVER, connection, explore, pattern, read_all, spawn, stacks};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Bytes of a reader's buffer, and of a write: room for any frame, which may be read directly.
const LARGE: usize = 70_000;

/// Bytes of a buffer that has no room for the largest super-segment.
const SHORT: usize = 32 << 10;

/// Bytes of a whole transfer: more than the buffers of both ends hold.
const ALL: usize = 4 * LARGE;

/// Packets that are cut for the link: several make one read.
const JUMBO: PairConfig = PairConfig {
    mtu: 9000,
    capacity: 1024,
    capacity_bytes: 1 << 20,
    max_segment: 0,
    checksum_offload: false,
};

/// Super-segments, carried whole.
const WHOLE: PairConfig = PairConfig {
    max_segment: 64_000,
    ..JUMBO
};

async fn send_all(mut stream: TcpStream) {
    for piece in pattern(ALL).chunks(LARGE) {
        stream.write_all(piece).await.expect("writes");
    }
    stream.shutdown().await.expect("shuts down");
}

async fn transfer(link: PairConfig, size: usize) {
    let (server, client) = stacks(link);
    let (mut reader, writer) = connection(&server, &client).await;
    let sent = spawn(send_all(writer));
    let received = read_all(&mut reader, size).await.expect("reads");
    assert!(received == pattern(ALL), "the bytes differ");
    sent.await;
}

#[test]
fn a_bulk_reader_gets_every_byte() {
    explore(1000, || transfer(JUMBO, LARGE));
}

#[test]
fn a_bulk_reader_gets_every_byte_of_super_segments() {
    explore(1000, || transfer(WHOLE, LARGE));
}

/// No frame is left to a reader that has no room for it: reader and driver would wake each other
/// without end.
#[test]
fn a_reader_without_room_for_a_frame_gets_every_byte() {
    explore(1000, || transfer(WHOLE, SHORT));
}

/// A writer whose buffer has room for everything has used up its allowance, and waits for the
/// driver's next turn.
#[test]
fn a_bulk_writer_waits_for_turns() {
    explore(500, || async {
        let (server, client) = stacks(WHOLE);
        let listener = server.listen(SERVER).await.expect("listens");
        let socket = client.socket_v4();
        socket.set_nodelay(true).expect("sets");
        socket.set_send_buffer_size(2 << 20).expect("sets");
        let connects = socket.connect(SERVER.parse().expect("parses"));
        let (accepted, connected) = futures::join!(listener.accept(), connects);
        let (mut reader, _) = accepted.expect("accepts");
        let mut writer = connected.expect("connects");
        let sent = spawn(async move {
            writer.write_all(&pattern(600_000)).await.expect("writes");
        });
        let received = read_all(&mut reader, LARGE).await.expect("reads");
        assert!(received == pattern(600_000), "the bytes differ");
        sent.await;
    });
}

/// While one stream is read in bulk, packets of another arrive, which the reader leaves to the
/// driver.
#[test]
fn a_bulk_reader_passes_on_what_belongs_to_others() {
    explore(1000, || async {
        let (server, client) = stacks(WHOLE);
        let (mut reader, writer) = connection(&server, &client).await;
        let (mut asked, mut asking) = connection(&server, &client).await;
        let sent = spawn(send_all(writer));
        let answers = spawn(async move {
            for _ in 0..3 {
                asked.read_u8().await.expect("reads");
                asked.write_u8(7).await.expect("writes");
            }
        });
        let asks = spawn(async move {
            for _ in 0..3 {
                asking.write_u8(1).await.expect("writes");
                asking.read_u8().await.expect("reads");
            }
        });
        let received = read_all(&mut reader, LARGE).await.expect("reads");
        assert!(received == pattern(ALL), "the bytes differ");
        sent.await;
        answers.await;
        asks.await;
    });
}

/// A task begins to read, gives up, and hands the stream to another.
#[test]
fn a_bulk_reader_is_handed_over() {
    explore(1000, || async {
        let (server, client) = stacks(WHOLE);
        let (mut stream, writer) = connection(&server, &client).await;
        let sent = spawn(send_all(writer));
        let mut received = Vec::new();
        for _ in 0..3 {
            let reads = spawn(async move {
                let mut buf = vec![0; LARGE];
                let len = stream.read(&mut buf).await.expect("reads");
                buf.truncate(len);
                // Waits for more, once, and is gone when it comes.
                let mut rest = vec![0; LARGE];
                let more = poll_fn(|cx| Poll::Ready(pin!(stream.read(&mut rest)).poll(cx)));
                if let Poll::Ready(more) = more.await {
                    buf.extend_from_slice(&rest[..more.expect("reads")]);
                }
                (stream, buf)
            });
            let (returned, read) = reads.await;
            stream = returned;
            received.extend(read);
        }
        received.extend(read_all(&mut stream, LARGE).await.expect("reads"));
        assert!(received == pattern(ALL), "the bytes differ");
        sent.await;
    });
}

/// The driver leaves an arrival to a reader that never comes; a stream that is still read does not
/// wait for it.
#[test]
fn a_bulk_reader_is_dropped_in_the_middle_of_a_read() {
    explore(1000, || async {
        let (server, client) = stacks(WHOLE);
        let (mut reader, mut writer) = connection(&server, &client).await;
        let (mut asked, mut asking) = connection(&server, &client).await;
        let writes = spawn(async move {
            // More than is read.
            let _ = writer.write_all(&pattern(2 * ALL)).await;
        });
        let mut buf = vec![0; LARGE];
        for _ in 0..3 {
            reader.read(&mut buf).await.expect("reads");
        }
        let _ = reader.read(&mut buf).now_or_never();
        let asks = spawn(async move {
            asking.write_u8(1).await.expect("writes");
            asking.read_u8().await.expect("reads");
        });
        asked.read_u8().await.expect("reads");
        drop(reader);
        asked.write_u8(7).await.expect("writes");
        asks.await;
        writes.await;
    });
}
