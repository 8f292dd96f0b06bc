mod support;
use millstream::device::{Capture, pair};
use support::*;
#[tokio::test(start_paused = true)]
async fn dbg() {
    let (left, right) = pair();
    let (server, client) = stacks_over(left, Capture::text(right, |l| println!("{l}")));
    let socket = server.socket_v4();
    socket
        .bind("10.0.0.1:7".parse().expect("parses"))
        .expect("binds");
    let listener = socket.listen(1).expect("listens");
    let clients: Vec<_> = (0..8)
        .map(|_| {
            let client = client.clone();
            tokio::spawn(async move {
                let r = client.connect("10.0.0.1:7").await;
                println!("{r:?}");
                r
            })
        })
        .collect();
    let mut accepted = Vec::new();
    for _ in 0..8 {
        match tokio::time::timeout(std::time::Duration::from_secs(300), listener.accept()).await {
            Ok(a) => {
                println!("{a:?}");
                accepted.push(a)
            }
            Err(_) => break,
        }
    }
    for client in clients {
        client.abort();
    }
}
