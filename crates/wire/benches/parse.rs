//! Parsing and emitting a TCP packet with timestamps, as every packet of a connection is.

use std::hint::black_box;
use std::net::IpAddr;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use millstream_wire::tcp::{Flags, Header, Options, Timestamps, View};
use millstream_wire::{SeqNum, checksum, ip};

const SRC: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 1));
const DST: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 2));

fn header() -> Header {
    Header {
        src_port: 34_120,
        dst_port: 7,
        seq: SeqNum::new(1),
        ack: SeqNum::new(1),
        flags: Flags::ACK,
        window: 502,
        urgent: 0,
        options: Options {
            timestamps: Some(Timestamps { value: 1, echo: 2 }),
            ..Options::default()
        },
    }
}

/// Writes the headers of `payload`, with the sum over it unless the device computes that.
fn emit(header: &Header, payload: &[u8], sum_payload: bool, out: &mut [u8]) -> usize {
    let tcp_len = header.len();
    let ip = ip::Header {
        payload_len: tcp_len + payload.len(),
        ..ip::Header::new(SRC, DST, ip::TCP)
    };
    ip.emit(out);
    let segment = &mut out[ip.len()..ip.len() + tcp_len];
    header.emit(segment);
    let mut sum = checksum::pseudo_header(SRC, DST, ip::TCP, ip.payload_len as u32);
    if sum_payload {
        sum.add(payload);
    }
    Header::fill_checksum(segment, sum);
    ip.len() + tcp_len
}

fn packets(c: &mut Criterion) {
    let payload = [0x5A; 1448];
    let mut packet = vec![0; 120];
    let len = emit(&header(), &payload, true, &mut packet);
    packet.truncate(len);
    packet.extend(payload);

    let mut group = c.benchmark_group("packet");
    group.throughput(Throughput::Elements(1));
    group.bench_function("parse", |b| {
        b.iter(|| {
            let packet = ip::Packet::parse(black_box(&packet)).ok()?;
            let view = View::parse(packet.payload()).ok()?;
            let options = Options::parse(view.options_bytes());
            Some((
                packet.src(),
                view.src_port(),
                view.seq(),
                view.payload().len(),
                options,
            ))
        });
    });
    group.bench_function("parse, checksum of 1448 bytes", |b| {
        b.iter(|| {
            let packet = ip::Packet::parse(black_box(&packet)).ok()?;
            let view = View::parse(packet.payload()).ok()?;
            let options = Options::parse(view.options_bytes());
            Some((view.checksum_ok(packet.src(), packet.dst()), options))
        });
    });
    group.bench_function("emit", |b| {
        let mut out = [0; 120];
        b.iter(|| emit(black_box(&header()), black_box(&payload), false, &mut out));
    });
    group.bench_function("emit, checksum of 1448 bytes", |b| {
        let mut out = [0; 120];
        b.iter(|| emit(black_box(&header()), black_box(&payload), true, &mut out));
    });
    group.finish();
}

criterion_group!(benches, packets);
criterion_main!(benches);
