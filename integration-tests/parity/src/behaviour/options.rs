//! Options of a stream.

use std::time::Duration;

use super::World;
use crate::case::Seen;
use crate::{cases, seen};

cases!["options":
    the_defaults,
    nodelay,
    quick_acknowledgments_are_on,
    quick_acknowledgments,
    no_linger,
    zero_linger,
    whole_seconds_of_linger,
    a_fraction_of_a_second_of_linger,
    the_time_to_live,
    the_largest_time_to_live,
    a_time_to_live_of_zero,
    a_time_to_live_that_is_too_large,
    the_default_time_to_live_by_its_number,
    options_after_both_have_closed,
    setting_options_after_both_have_closed,
    options_after_a_reset,
    setting_options_after_a_reset,
    an_error_is_taken_once,
    no_error_after_the_end,
    a_stream_has_a_debug_form,
    a_stream_is_its_own_reference,
];

async fn the_defaults(at: &World) -> Seen {
    let (here, there) = at.pair().await;
    seen![
        here.nodelay(),
        there.nodelay(),
        here.linger(),
        there.linger(),
        here.ttl(),
        there.ttl(),
    ]
}

async fn nodelay(at: &World) -> Seen {
    let (here, there) = at.pair().await;
    let on = (here.set_nodelay(true), here.nodelay());
    seen![
        on.0,
        on.1,
        here.set_nodelay(false),
        here.nodelay(),
        there.nodelay()
    ]
}

async fn quick_acknowledgments_are_on(at: &World) -> Seen {
    let (here, there) = at.pair().await;
    seen![here.quickack(), there.quickack()]
}

async fn quick_acknowledgments(at: &World) -> Seen {
    let (here, _) = at.pair().await;
    let off = (here.set_quickack(false), here.quickack());
    seen![off.0, off.1, here.set_quickack(true), here.quickack()]
}

#[allow(deprecated, reason = "tokio deprecates lingering, millstream does not")]
async fn lingering(at: &World, time: Option<Duration>) -> Seen {
    let (here, _) = at.pair().await;
    seen![here.set_linger(time), here.linger(), here.set_linger(None)]
}

async fn no_linger(at: &World) -> Seen {
    lingering(at, None).await
}

async fn zero_linger(at: &World) -> Seen {
    let (here, _) = at.pair().await;
    seen![here.set_zero_linger(), here.linger()]
}

async fn whole_seconds_of_linger(at: &World) -> Seen {
    lingering(at, Some(Duration::from_secs(7))).await
}

async fn a_fraction_of_a_second_of_linger(at: &World) -> Seen {
    lingering(at, Some(Duration::from_millis(2900))).await
}

async fn set_ttl(at: &World, ttl: u32) -> Seen {
    let (here, _) = at.pair().await;
    seen![here.set_ttl(ttl), here.ttl()]
}

async fn the_time_to_live(at: &World) -> Seen {
    set_ttl(at, 17).await
}

async fn the_largest_time_to_live(at: &World) -> Seen {
    set_ttl(at, 255).await
}

async fn a_time_to_live_of_zero(at: &World) -> Seen {
    set_ttl(at, 0).await
}

async fn a_time_to_live_that_is_too_large(at: &World) -> Seen {
    set_ttl(at, 256).await
}

async fn the_default_time_to_live_by_its_number(at: &World) -> Seen {
    let (here, _) = at.pair().await;
    seen![here.set_ttl(17), here.set_ttl(u32::MAX), here.ttl()]
}

async fn options_after_both_have_closed(at: &World) -> Seen {
    let [here, _there] = at.both_closed().await;
    seen![
        here.nodelay(),
        here.linger(),
        here.ttl(),
        here.take_error(),
        here.quickack()
    ]
}

async fn setting_options_after_both_have_closed(at: &World) -> Seen {
    let [here, _there] = at.both_closed().await;
    seen![
        here.set_nodelay(true),
        here.set_zero_linger(),
        here.set_ttl(9),
        here.set_quickack(true),
        here.nodelay(),
        here.ttl(),
    ]
}

async fn options_after_a_reset(at: &World) -> Seen {
    let there = at.reset_after(b"").await;
    seen![
        there.nodelay(),
        there.linger(),
        there.ttl(),
        there.quickack()
    ]
}

async fn setting_options_after_a_reset(at: &World) -> Seen {
    let there = at.reset_after(b"").await;
    seen![
        there.set_nodelay(true),
        there.set_zero_linger(),
        there.set_ttl(9),
        there.set_quickack(true),
        there.nodelay(),
        there.ttl(),
    ]
}

async fn an_error_is_taken_once(at: &World) -> Seen {
    let there = at.reset_after(b"").await;
    seen![there.take_error(), there.take_error()]
}

async fn no_error_after_the_end(at: &World) -> Seen {
    let [here, _there] = at.both_closed().await;
    seen![here.take_error()]
}

async fn a_stream_has_a_debug_form(at: &World) -> Seen {
    let (listener, here, _) = at.ends().await;
    seen![
        format!("{here:?}").contains("TcpStream"),
        format!("{listener:?}").contains("TcpListener"),
    ]
}

async fn a_stream_is_its_own_reference(at: &World) -> Seen {
    let (here, _) = at.pair().await;
    let same: &super::TcpStream = here.as_ref();
    seen![std::ptr::eq(same, &raw const here)]
}
