//! The diagram has exactly the arrows of the engine's table, in every format.

use std::collections::BTreeSet;

use millstream_engine::{State, TRANSITIONS};
use millstream_lab::diagram::{self, label, layout, paths};

/// Start, trigger and end of an arrow, as text.
type Drawn = (String, String, String);

fn table(stimulus: impl Fn(&millstream_engine::Arrow) -> String) -> Vec<Drawn> {
    let mut arrows: Vec<_> = TRANSITIONS
        .iter()
        .map(|arrow| {
            (
                arrow.from.to_string(),
                stimulus(arrow),
                arrow.to.to_string(),
            )
        })
        .collect();
    arrows.sort();
    arrows
}

fn sorted(arrows: impl Iterator<Item = Drawn>) -> Vec<Drawn> {
    let mut arrows: Vec<_> = arrows.collect();
    arrows.sort();
    arrows
}

#[test]
fn the_text_contains_the_whole_table() {
    let text = diagram::text();
    let drawn = text.lines().filter_map(|line| {
        let (from, rest) = line.split_once(" --")?;
        let (trigger, rest) = rest.split_once("-->")?;
        let (from, to) = (
            from.split_whitespace().next_back()?,
            rest.split_whitespace().next()?,
        );
        Some((from.to_owned(), trigger.to_owned(), to.to_owned()))
    });
    assert_eq!(
        sorted(drawn),
        table(|arrow| label(arrow.stimulus).to_owned())
    );
    assert!(text.contains(diagram::NOTE));
    // The figure has a box for each state, two for CLOSED, and the number of each arrow.
    for state in State::ALL {
        let boxes = text.lines().filter(|line| line.contains('|'));
        let names = boxes.flat_map(|line| line.split('|')).map(str::trim);
        let expected = 1 + usize::from(state == State::Closed);
        assert_eq!(
            names.filter(|name| *name == state.name()).count(),
            expected,
            "{state}"
        );
    }
    for number in 1..=TRANSITIONS.len() {
        assert!(text.contains(&format!("({number})")), "no arrow {number}");
    }
}

#[test]
fn dot_contains_the_whole_table() {
    let text = diagram::dot();
    let drawn = text.lines().filter_map(|line| {
        let (from, rest) = line.trim().split_once(" -> ")?;
        let (to, rest) = rest.split_once(" [label=\"")?;
        let (trigger, _) = rest.split_once('"')?;
        Some((
            from.trim_matches('"').to_owned(),
            trigger.to_owned(),
            // The lower box of CLOSED is a separate node.
            to.trim_matches('"').replace(" again", ""),
        ))
    });
    assert_eq!(
        sorted(drawn),
        table(|arrow| label(arrow.stimulus).to_owned())
    );
}

/// The attributes of each group that represents an arrow.
fn arrows_of(svg: &str) -> Vec<(Drawn, bool)> {
    let attribute = |tag: &str, name: &str| {
        let (_, rest) = tag.split_once(&format!("{name}=\""))?;
        rest.split_once('"').map(|(value, _)| value.to_owned())
    };
    svg.split("<g ")
        .filter(|tag| attribute(tag, "class").is_some_and(|class| class.starts_with("arrow")))
        .map(|tag| {
            let get = |name| attribute(tag, name).expect("an attribute of every arrow");
            let taken = get("class").ends_with(" taken");
            (
                (get("data-from"), get("data-stimulus"), get("data-to")),
                taken,
            )
        })
        .collect()
}

#[test]
fn svg_contains_the_whole_table_and_marks_the_path() {
    let drawn = arrows_of(&diagram::svg(&[]).to_string());
    assert!(drawn.iter().all(|(_, taken)| !taken));
    let arrows = drawn.into_iter().map(|(arrow, _)| arrow);
    assert_eq!(
        sorted(arrows),
        table(|arrow| format!("{:?}", arrow.stimulus))
    );

    let walk = vec![
        State::Closed,
        State::SynSent,
        State::SynReceived,
        State::Established,
    ];
    let drawn = arrows_of(&diagram::svg(std::slice::from_ref(&walk)).to_string());
    let taken: BTreeSet<_> = drawn
        .into_iter()
        .filter(|(_, taken)| *taken)
        .map(|((from, _, to), _)| (from, to))
        .collect();
    let expected = walk
        .windows(2)
        .map(|step| (step[0].to_string(), step[1].to_string()));
    assert_eq!(taken, expected.collect());
}

#[test]
fn a_path_ended_by_a_reset_leads_to_closed() {
    let walk = vec![State::Closed, State::SynSent, State::Closed];
    let svg = diagram::svg(&[walk]).to_string();
    let taken: Vec<_> = arrows_of(&svg)
        .into_iter()
        .filter(|(_, taken)| *taken)
        .map(|((from, stimulus, to), _)| format!("{from} {stimulus} {to}"))
        .collect();
    assert_eq!(
        taken,
        ["CLOSED ActiveOpen SYN-SENT", "SYN-SENT Abort CLOSED"]
    );
    // Both boxes of CLOSED and SYN-SENT are marked.
    assert_eq!(svg.matches("#fff3c4").count(), 3);
}

#[test]
fn a_path_through_the_lower_closed_marks_it() {
    use State::{Closed, LastAck, Listen};
    let svg = diagram::svg(&[vec![LastAck, Closed, Listen]]).to_string();
    assert_eq!(svg.matches("#fff3c4").count(), 4);
}

#[test]
fn every_state_has_a_distinct_position() {
    let mut places: BTreeSet<_> = State::ALL
        .iter()
        .map(|state| layout::place(*state))
        .collect();
    assert!(places.insert(layout::END));
    assert_eq!(places.len(), State::ALL.len() + 1);
    assert!(
        places
            .iter()
            .all(|(column, row)| *column < layout::COLUMNS && *row < layout::ROWS)
    );
}

#[test]
fn every_path_follows_the_table() {
    for (path, walk) in paths::WALKS {
        for step in walk.windows(2) {
            let exists = TRANSITIONS
                .iter()
                .any(|arrow| [arrow.from, arrow.to] == step);
            assert!(exists, "{path:?}: {} to {}", step[0], step[1]);
        }
    }
}
