//! A scenario as one picture: the ladder, and beside it the state diagram with the paths of both
//! ends.

use svg::Document;
use svg::node::element::Group;

use crate::scenarios::Scenario;
use crate::trace::Trace;
use crate::{diagram, ladder};

/// The scale of the diagram beside the ladder.
const SCALE: f64 = 0.75;
/// Pixels from the top to the diagram.
const TOP: f64 = 30.0;

/// The picture, with the scenario's name and title above it.
#[must_use]
pub fn svg(scenario: &Scenario, trace: &Trace) -> Document {
    let (ladder, (left, ladder_height)) = ladder::group(&scenario.heading(), trace);
    let (diagram_width, diagram_height) = diagram::size();
    let width = left + diagram_width * SCALE;
    let height = ladder_height.max(TOP + diagram_height * SCALE);
    let walks: Vec<_> = trace
        .paths()
        .into_iter()
        .map(|(_, states)| states)
        .collect();
    let beside = Group::new()
        .set(
            "transform",
            format!("translate({left} {TOP}) scale({SCALE})"),
        )
        .add(diagram::group(&walks));
    diagram::sheet(width, height).add(ladder).add(beside)
}
