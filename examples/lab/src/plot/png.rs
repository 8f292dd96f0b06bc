//! Bitmaps of SVG images. The font is included in the program, so that none needs to be installed.

use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use resvg::tiny_skia::{Pixmap, Transform};
use resvg::usvg::{Options, Tree, fontdb};

/// The family of the font below.
const FAMILY: &str = "Hack";
/// The maximum width and height in pixels.
const MAX_SIDE: f32 = 8192.0;

/// The image as PNG, in its original size.
///
/// # Errors
/// If the image is not valid SVG or is too large.
pub fn png(svg: &str) -> Result<Vec<u8>> {
    let mut fonts = fontdb::Database::new();
    fonts.load_font_data(epaint_default_fonts::HACK_REGULAR.to_vec());
    fonts.set_sans_serif_family(FAMILY);
    fonts.set_monospace_family(FAMILY);
    let options = Options {
        fontdb: Arc::new(fonts),
        font_family: FAMILY.to_owned(),
        ..Options::default()
    };
    let tree = Tree::from_str(svg, &options).context("no SVG")?;
    let size = tree.size();
    ensure!(
        size.width() <= MAX_SIDE && size.height() <= MAX_SIDE,
        "a picture of {} x {} pixels is too large",
        size.width(),
        size.height()
    );
    let size = size.to_int_size();
    let mut pixels = Pixmap::new(size.width(), size.height()).context("an empty picture")?;
    resvg::render(&tree, Transform::default(), &mut pixels.as_mut());
    pixels.encode_png().context("encoding a PNG")
}
