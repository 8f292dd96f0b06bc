//! redis-server, with redis-cli, redis-benchmark or the redis crate as the client.

use std::net::SocketAddr;

use anyhow::{Context as _, Result, bail, ensure};
use millstream_testbed::lab::{Family, Lab};
use millstream_testbed::pattern;
use millstream_testbed::program::{self, Server};
use redis::AsyncCommands as _;
use redis::aio::MultiplexedConnection;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use crate::route::{Route, Way};
use crate::{REDIS_BENCHMARK, REDIS_CLI, REDIS_SERVER};

const PORT: u16 = 6379;
/// The number of commands in the mass insertion.
const COMMANDS: u64 = 100_000;
/// Adds up the values `key:0` to `key:ARGV[1]`, all of which must exist.
const SUM: &str = "local sum = 0
    for number = 0, tonumber(ARGV[1]) do
        sum = sum + redis.call('GET', string.format('key:%d', number))
    end
    return sum";
/// The size of redis-cli's large value in bytes.
const LARGE: usize = 10 << 20;

/// A server that stores nothing on disk.
async fn serve(address: SocketAddr) -> Result<Server> {
    let mut command = REDIS_SERVER.command()?;
    command
        .args(["--bind", &address.ip().to_string()])
        .args(["--port", &address.port().to_string()])
        .args(["--protected-mode", "no"])
        .args(["--save", "", "--appendonly", "no"])
        .args(["--dir", env!("CARGO_TARGET_TMPDIR")]);
    Server::start(command, "Ready to accept connections").await
}

fn redis_cli(server: SocketAddr) -> Result<Command> {
    let mut command = REDIS_CLI.command()?;
    command
        .args(["-h", &server.ip().to_string()])
        .args(["-p", &server.port().to_string()]);
    Ok(command)
}

/// 100,000 commands sent without waiting for replies.
pub(crate) async fn mass_insertion(lab: &Lab, way: Way) -> Result<()> {
    let route = Route::new(lab, way).await?;
    let _server = serve(route.server(PORT)).await?;
    let address = route.open(PORT).await?;

    let mut insertion = redis::pipe();
    for number in 0..COMMANDS {
        insertion.set(format!("key:{number}"), number);
    }
    let mut command = redis_cli(address)?;
    command.arg("--pipe");
    let report = program::run_fed(command, async |input| {
        Ok(input.write_all(&insertion.get_packed_pipeline()).await?)
    })
    .await?;
    ensure!(
        report.contains(&format!("errors: 0, replies: {COMMANDS}")),
        "redis-cli says {report}"
    );

    // Every key exists, and the sum of the values is correct.
    let mut command = redis_cli(address)?;
    command
        .args(["EVAL", SUM, "0"])
        .arg((COMMANDS - 1).to_string());
    let sum = program::run(command).await?;
    let expected = COMMANDS * (COMMANDS - 1) / 2;
    ensure!(sum.trim() == expected.to_string(), "the sum is {sum}");
    Ok(())
}

pub(crate) async fn large_value(lab: &Lab, way: Way) -> Result<()> {
    let route = Route::new(lab, way).await?;
    let _server = serve(route.server(PORT)).await?;
    let address = route.open(PORT).await?;

    let mut command = redis_cli(address)?;
    command.args(["-x", "SET", "large"]);
    let answer = program::run_fed(command, async |input| {
        pattern::send(input, LARGE as u64).await
    })
    .await?;
    ensure!(answer.trim() == "OK", "redis-cli says {answer}");

    let mut command = redis_cli(address)?;
    command.args(["--raw", "GET", "large"]);
    let output = command.output().await?;
    // redis-cli adds a line end after a value.
    let value = output.stdout.strip_suffix(b"\n").context("no line")?;
    ensure!(value.len() == LARGE, "{} bytes came back", value.len());
    pattern::check(0, value)
}

/// Both commands over 50 connections, each with 16 pipelined requests.
pub(crate) async fn benchmark(lab: &Lab, way: Way) -> Result<()> {
    let route = Route::new(lab, way).await?;
    let _server = serve(route.server(PORT)).await?;
    let address = route.open(PORT).await?;

    let mut command = REDIS_BENCHMARK.command()?;
    command
        .args(["-h", &address.ip().to_string()])
        .args(["-p", &address.port().to_string()])
        .args(["-t", "set,get", "-n", "100000", "-c", "50", "-P", "16"])
        .args(["-d", "100", "-r", "1000", "--csv"]);
    let report = program::run(command).await?;
    for test in ["SET", "GET"] {
        let rate = rate(&report, test)
            .with_context(|| format!("redis-benchmark does not tell {test}:\n{report}"))?;
        ensure!(rate > 0.0, "redis-benchmark says:\n{report}");
    }
    Ok(())
}

/// The requests per second in redis-benchmark's line `"SET","123456.78",..`.
fn rate(report: &str, test: &str) -> Option<f64> {
    let line = report
        .lines()
        .find_map(|line| line.strip_prefix(&format!("\"{test}\",\"")))?;
    line.split('"').next()?.parse().ok()
}

/// The redis crate on a connection of the stack: values of 1 MB, and a pipeline.
pub(crate) async fn client(lab: &Lab) -> Result<()> {
    let net = lab.net().await?;
    for family in Family::BOTH {
        let address = net.kernel(family, PORT);
        let _server = serve(address).await?;
        let stream = net.stack.connect(address).await?;
        let settings = redis::RedisConnectionInfo::default();
        let (mut redis, driver) = MultiplexedConnection::new(&settings, stream).await?;
        let commands = async {
            values(&mut redis).await?;
            pipeline(&mut redis).await
        };
        tokio::select! {
            () = driver => bail!("the connection ended"),
            done = commands => done?,
        }
    }
    Ok(())
}

async fn values(redis: &mut MultiplexedConnection) -> Result<()> {
    const LENGTH: usize = 1_000_000;
    let pong: String = redis::cmd("PING").query_async(redis).await?;
    ensure!(pong == "PONG", "the server says {pong}");
    for number in 0..20_u64 {
        let key = format!("value:{number}");
        let offset = number * LENGTH as u64;
        let () = redis.set(&key, pattern::bytes(offset, LENGTH)).await?;
        let value: Vec<u8> = redis.get(&key).await?;
        ensure!(value.len() == LENGTH, "{} bytes came back", value.len());
        pattern::check(offset, &value)?;
    }
    Ok(())
}

async fn pipeline(redis: &mut MultiplexedConnection) -> Result<()> {
    const COMMANDS: i64 = 10_000;
    let mut increments = redis::pipe();
    for _ in 0..COMMANDS {
        increments.incr("counter", 1);
    }
    let counts: Vec<i64> = increments.query_async(redis).await?;
    ensure!(
        counts.into_iter().eq(1..=COMMANDS),
        "answers are missing or not in order"
    );
    Ok(())
}
