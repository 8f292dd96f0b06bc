//! Closing in good order.

use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};

use super::{World, address_of, fill};
use crate::case::Seen;
use crate::{cases, seen};

cases!["ending":
    a_shutdown_is_the_end_for_the_other_side,
    a_second_shutdown,
    a_shutdown_after_the_other_sides,
    a_shutdown_after_the_other_side_is_gone,
    a_shutdown_when_there_is_no_room,
    written_bytes_arrive_before_the_end,
    written_bytes_arrive_after_the_drop,
    a_drop_is_the_end_for_the_other_side,
    a_drop_with_unread_bytes_is_a_reset,
    a_drop_with_unread_bytes_after_own_shutdown,
    a_drop_with_the_others_end_unread,
    a_drop_with_zero_linger_is_a_reset,
    a_drop_with_zero_linger_loses_what_was_written,
    a_drop_with_zero_linger_after_both_have_closed,
    half_closed_for_a_long_answer,
    the_peers_address_after_own_shutdown,
    the_peers_address_after_the_other_sides,
    the_peers_address_after_both,
    the_own_address_after_both,
    a_write_after_both_have_closed,
    a_read_after_both_have_closed,
    a_shutdown_after_both_have_closed,
    bytes_to_an_end_that_was_dropped_are_answered_with_a_reset,
    both_shut_down_at_once,
    a_proxy_passes_both_directions,
    the_port_is_free_after_the_passive_close,
];

async fn a_shutdown_is_the_end_for_the_other_side(at: &World) -> Seen {
    let (mut here, mut there) = at.pair().await;
    seen![here.shutdown().await, there.read(&mut [0; 8]).await]
}

async fn a_second_shutdown(at: &World) -> Seen {
    let (mut here, _there) = at.pair().await;
    seen![here.shutdown().await, here.shutdown().await]
}

async fn a_shutdown_after_the_other_sides(at: &World) -> Seen {
    let (mut here, mut there) = at.pair().await;
    there.shutdown().await.expect("shuts down");
    at.settle().await;
    seen![here.shutdown().await, there.read(&mut [0; 8]).await]
}

async fn a_shutdown_after_the_other_side_is_gone(at: &World) -> Seen {
    let (mut here, there) = at.pair().await;
    drop(there);
    at.settle().await;
    seen![here.shutdown().await]
}

async fn a_shutdown_when_there_is_no_room(at: &World) -> Seen {
    let (mut here, mut there) = at.pair().await;
    let filled = fill(at, &here).await;
    let shut = here.shutdown().await;
    let read = there.read_to_end(&mut Vec::new()).await;
    seen![shut, read.map(|len| len == filled)]
}

async fn written_bytes_arrive_before_the_end(at: &World) -> Seen {
    let (mut here, mut there) = at.pair().await;
    here.write_all(b"hello").await.expect("writes");
    here.shutdown().await.expect("shuts down");
    at.settle().await;
    seen![there.read(&mut [0; 8]).await, there.read(&mut [0; 8]).await]
}

async fn written_bytes_arrive_after_the_drop(at: &World) -> Seen {
    let (here, mut there) = at.pair().await;
    let filled = fill(at, &here).await;
    drop(here);
    seen![
        there
            .read_to_end(&mut Vec::new())
            .await
            .map(|len| len == filled)
    ]
}

async fn a_drop_is_the_end_for_the_other_side(at: &World) -> Seen {
    let (here, mut there) = at.pair().await;
    drop(here);
    seen![there.read(&mut [0; 8]).await]
}

async fn a_drop_with_unread_bytes_is_a_reset(at: &World) -> Seen {
    let (here, mut there) = at.pair().await;
    there.write_all(b"unread").await.expect("writes");
    here.readable().await.expect("is readable");
    drop(here);
    seen![there.read(&mut [0; 8]).await, there.read(&mut [0; 8]).await]
}

async fn a_drop_with_unread_bytes_after_own_shutdown(at: &World) -> Seen {
    let (mut here, mut there) = at.pair().await;
    there.write_all(b"unread").await.expect("writes");
    here.readable().await.expect("is readable");
    here.shutdown().await.expect("shuts down");
    let end = there.read(&mut [0; 8]).await;
    drop(here);
    at.settle().await;
    seen![end, there.read(&mut [0; 8]).await, there.write(b"x").await]
}

async fn a_drop_with_the_others_end_unread(at: &World) -> Seen {
    let (here, mut there) = at.pair().await;
    there.shutdown().await.expect("shuts down");
    here.readable().await.expect("is readable");
    drop(here);
    seen![there.read(&mut [0; 8]).await]
}

async fn a_drop_with_zero_linger_is_a_reset(at: &World) -> Seen {
    let (here, mut there) = at.pair().await;
    here.set_zero_linger().expect("sets");
    drop(here);
    seen![there.read(&mut [0; 8]).await, there.read(&mut [0; 8]).await]
}

async fn a_drop_with_zero_linger_loses_what_was_written(at: &World) -> Seen {
    let (here, mut there) = at.pair().await;
    let filled = fill(at, &here).await;
    here.set_zero_linger().expect("sets");
    drop(here);
    let mut received = Vec::new();
    let end = there.read_to_end(&mut received).await;
    seen![end.map(drop), received.len() < filled]
}

async fn a_drop_with_zero_linger_after_both_have_closed(at: &World) -> Seen {
    let (mut here, mut there) = at.pair().await;
    here.shutdown().await.expect("shuts down");
    there.shutdown().await.expect("shuts down");
    at.settle().await;
    let set = here.set_zero_linger();
    drop(here);
    seen![set, there.read(&mut [0; 8]).await]
}

async fn half_closed_for_a_long_answer(at: &World) -> Seen {
    let (mut here, mut there) = at.pair().await;
    here.write_all(b"question").await.expect("writes");
    here.shutdown().await.expect("shuts down");
    let mut question = String::new();
    there.read_to_string(&mut question).await.expect("reads");
    let answer = vec![7; 1 << 20];
    let write = async {
        there.write_all(&answer).await.expect("writes");
        drop(there);
    };
    let mut received = Vec::new();
    let (_, read) = tokio::join!(write, here.read_to_end(&mut received));
    seen![question, read]
}

async fn the_peers_address_after_own_shutdown(at: &World) -> Seen {
    let (mut here, _there) = at.pair().await;
    here.shutdown().await.expect("shuts down");
    at.settle().await;
    seen![here.peer_addr().map(drop)]
}

async fn the_peers_address_after_the_other_sides(at: &World) -> Seen {
    let (mut here, there) = at.pair().await;
    drop(there);
    let read = here.read(&mut [0; 8]).await;
    seen![read, here.peer_addr().map(drop)]
}

async fn the_peers_address_after_both(at: &World) -> Seen {
    let [here, there] = at.both_closed().await;
    seen![here.peer_addr().map(drop), there.peer_addr().map(drop)]
}

async fn the_own_address_after_both(at: &World) -> Seen {
    let [here, there] = at.both_closed().await;
    seen![here.local_addr().map(drop), there.local_addr().map(drop)]
}

async fn a_write_after_both_have_closed(at: &World) -> Seen {
    let [mut here, mut there] = at.both_closed().await;
    seen![
        here.write(b"x").await,
        there.write(b"x").await,
        there.try_write(b"x")
    ]
}

async fn a_read_after_both_have_closed(at: &World) -> Seen {
    let [mut here, mut there] = at.both_closed().await;
    seen![here.read(&mut [0; 1]).await, there.read(&mut [0; 1]).await]
}

async fn a_shutdown_after_both_have_closed(at: &World) -> Seen {
    let [mut here, mut there] = at.both_closed().await;
    seen![here.shutdown().await, there.shutdown().await]
}

async fn bytes_to_an_end_that_was_dropped_are_answered_with_a_reset(at: &World) -> Seen {
    let (here, mut there) = at.pair().await;
    drop(here);
    let end = there.read(&mut [0; 8]).await;
    let written = there.write(b"x").await;
    at.settle().await;
    seen![
        end,
        written,
        there.read(&mut [0; 8]).await,
        there.write(b"x").await
    ]
}

async fn both_shut_down_at_once(at: &World) -> Seen {
    let (mut here, mut there) = at.pair().await;
    let (one, other) = tokio::join!(here.shutdown(), there.shutdown());
    seen![
        one,
        other,
        here.read(&mut [0; 8]).await,
        there.read(&mut [0; 8]).await
    ]
}

async fn a_proxy_passes_both_directions(at: &World) -> Seen {
    let (mut client, mut inner) = at.pair().await;
    let (mut outer, mut server) = at.pair().await;
    let proxy = copy_bidirectional(&mut inner, &mut outer);
    let asking = async {
        client.write_all(b"question").await.expect("writes");
        client.shutdown().await.expect("shuts down");
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.expect("reads");
        answer
    };
    let answering = async {
        let mut question = String::new();
        server.read_to_string(&mut question).await.expect("reads");
        server.write_all(b"answer").await.expect("writes");
        server.shutdown().await.expect("shuts down");
        question
    };
    let (passed, answer, question) = tokio::join!(proxy, asking, answering);
    let (up, down) = passed.expect("passes");
    seen![question, answer, up == 8, down == 6]
}

async fn the_port_is_free_after_the_passive_close(at: &World) -> Seen {
    let listener = at.listener().await;
    let socket = at.socket().await;
    socket.bind((at.client, 0).into()).expect("binds");
    let local = socket.local_addr().expect("has one");
    let here = socket
        .connect(address_of(&listener))
        .await
        .expect("connects");
    let (mut there, _) = listener.accept().await.expect("accepts");
    there.shutdown().await.expect("shuts down");
    here.readable().await.expect("is readable");
    drop(here);
    let end = there.read(&mut [0; 8]).await;
    at.settle().await;
    seen![end, at.socket().await.bind(local)]
}
