//! See the library.

fn main() -> anyhow::Result<()> {
    for s in millstream_lab::scenarios::named(&std::env::args().nth(1).unwrap_or("all".into())) {
        println!("== {} {}", s.id, s.title);
        let t = (s.memory)()?;
        for l in t.segment_lines() { println!("{l}"); }
        for l in t.path_lines() { println!("{l}"); }
        for l in t.call_lines() { println!("{l}"); }
        if let Some(p) = s.printed { for l in p.lines_as_printed(&t) { println!("{l}"); } for (n,l) in p.lines_as_printed(&t).iter().enumerate() { if p.lines.get(n).map(|x| *x)!=Some(l.as_str()) { println!("DIFF {n} {l:?} {:?}", p.lines.get(n)); } } }
    }
    Ok(())
}
