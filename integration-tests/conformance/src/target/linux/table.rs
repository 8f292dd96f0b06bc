//! The states of the kernel's connections, as it lists them: half-open ones and TIME-WAIT included.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// The state of the connection between two addresses; `CLOSED` if the kernel lists none.
pub(super) fn state(local: SocketAddr, remote: SocketAddr) -> &'static str {
    // The table of the thread's own namespace.
    ["tcp", "tcp6"]
        .iter()
        .filter_map(|table| fs::read_to_string(format!("/proc/thread-self/net/{table}")).ok())
        .find_map(|table| find(&table, local, remote))
        .unwrap_or("CLOSED")
}

fn find(table: &str, local: SocketAddr, remote: SocketAddr) -> Option<&'static str> {
    table.lines().skip(1).find_map(|line| {
        let mut fields = line.split_whitespace().skip(1);
        let ends = (address(fields.next()?)?, address(fields.next()?)?);
        if ends == (local, remote) {
            name(fields.next()?)
        } else {
            None
        }
    })
}

/// An address as `proc_net_tcp` prints it: words of 32 bits in the machine's order, a colon, the port.
fn address(text: &str) -> Option<SocketAddr> {
    let (words, port) = text.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let mut bytes = Vec::new();
    for start in (0..words.len()).step_by(8) {
        let word = u32::from_str_radix(words.get(start..start + 8)?, 16).ok()?;
        bytes.extend(word.to_ne_bytes());
    }
    let ip = match bytes.len() {
        4 => Ipv4Addr::from(<[u8; 4]>::try_from(bytes).ok()?).into(),
        _ => IpAddr::from(Ipv6Addr::from(<[u8; 16]>::try_from(bytes).ok()?)).to_canonical(),
    };
    Some(SocketAddr::new(ip, port))
}

/// The numbers of include/net/tcp_states.h.
fn name(number: &str) -> Option<&'static str> {
    Some(match number {
        "01" => "ESTABLISHED",
        "02" => "SYN-SENT",
        "03" | "0C" => "SYN-RECEIVED",
        "04" => "FIN-WAIT-1",
        "05" => "FIN-WAIT-2",
        "06" => "TIME-WAIT",
        "07" => "CLOSED",
        "08" => "CLOSE-WAIT",
        "09" => "LAST-ACK",
        "0A" => "LISTEN",
        "0B" => "CLOSING",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_the_table_is_understood() {
        let table = "  sl  local_address rem_address   st\n   \
            0: 0100A8C0:1F90 010200C0:8235 08 00000000:00000000 00:00000000 00000000     0        0 1\n";
        let local = "192.168.0.1:8080".parse().unwrap();
        let remote = "192.0.2.1:33333".parse().unwrap();
        assert_eq!(find(table, local, remote), Some("CLOSE-WAIT"));
        assert_eq!(find(table, remote, local), None);
    }
}
