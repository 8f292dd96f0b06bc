//! Widely used programs with the stack between them and their servers: at the server's end, at the
//! client's end, or at both with real programs beyond.
//!
//! Most cases run in both directions (see [`route`]): `stack_serves`, where the program connects to
//! the stack, and `stack_connects`, where the stack connects to the server.

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use millstream_testbed::cases;
use millstream_testbed::harness::{self, Case};
use millstream_testbed::program::{CURL, Program};

use route::Way;

mod curl;
mod h2load;
mod http_client;
mod nginx;
mod python;
mod redis;
mod route;
mod ssh;
mod wrk;

/// The time limit of a case.
const LIMIT: Duration = Duration::from_secs(30);

const NGINX: Program = Program::new("nginx", "nginx-light");
const WRK: Program = Program::new("wrk", "wrk");
const H2LOAD: Program = Program::new("h2load", "nghttp2-client");
const REDIS_SERVER: Program = Program::new("redis-server", "redis-server");
const REDIS_CLI: Program = Program::new("redis-cli", "redis-tools");
const REDIS_BENCHMARK: Program = Program::new("redis-benchmark", "redis-tools");
const PYTHON: Program = Program::new("python3", "python3");
const SSH: Program = Program::new("ssh", "openssh-client");
const SSH_KEYGEN: Program = Program::new("ssh-keygen", "openssh-client");
const SSHD: Program = Program::new("sshd", "openssh-server").that_changes_user();

/// Two cases for each function, one for each direction.
macro_rules! both_ways {
    ($needs:expr; $($module:ident :: $function:ident),* $(,)?) => {
        [$(
            both_ways!($needs, $module::$function, one_thread, StackServes, "stack_serves"),
            both_ways!($needs, $module::$function, many_threads, StackConnects, "stack_connects"),
        )*]
    };
    ($needs:expr, $module:ident :: $function:ident, $runtime:ident, $way:ident, $name:literal) => {
        Case {
            name: concat!(stringify!($module), "::", stringify!($function), "::", $name),
            limit: LIMIT,
            needs: $needs,
            runtime: harness::$runtime,
            run: |lab| Box::pin($module::$function(lab, Way::$way)),
        }
    };
}

fn cases() -> impl Iterator<Item = Case> {
    let curl = cases![LIMIT, &[CURL], many_threads;
        curl::http1,
        curl::http2,
    ];
    let wrk = cases![LIMIT, &[WRK], many_threads;
        wrk::keepalive,
        wrk::short,
    ];
    let h2load = cases![LIMIT, &[H2LOAD], many_threads; h2load::streams];
    let nginx = cases![LIMIT, &[NGINX], one_thread;
        nginx::http1_client,
        nginx::http2_client,
        nginx::http2_streams,
    ];
    let redis = cases![LIMIT, &[REDIS_SERVER], one_thread; redis::client];
    let python = cases![LIMIT, &[PYTHON], one_thread; python::http_server];
    let behind_nginx = both_ways![&[NGINX, CURL, WRK, H2LOAD];
        nginx::curl_http1,
        nginx::curl_http2,
        nginx::wrk_keepalive,
        nginx::wrk_short,
        nginx::h2load,
    ];
    let behind_redis = both_ways![&[REDIS_SERVER, REDIS_CLI, REDIS_BENCHMARK];
        redis::mass_insertion,
        redis::large_value,
        redis::benchmark,
    ];
    let behind_python = both_ways![&[PYTHON];
        python::sockets,
        python::chunked_upload,
    ];
    let behind_ssh = both_ways![&[SSH, SSH_KEYGEN, SSHD];
        ssh::commands,
        ssh::forwarding,
    ];
    curl.into_iter()
        .chain(wrk)
        .chain(h2load)
        .chain(nginx)
        .chain(behind_nginx)
        .chain(redis)
        .chain(behind_redis)
        .chain(python)
        .chain(behind_python)
        .chain(behind_ssh)
}

fn main() -> ExitCode {
    harness::main(cases(), Path::new(env!("CARGO_TARGET_TMPDIR")))
}
