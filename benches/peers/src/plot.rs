//! The results as a picture: a panel for each work, a bar for each contender.

use crate::contender::{Contender, Link, Server};
use crate::report::three_digits;
use crate::results::{Entrant, Table};
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use std::io;

const COLUMNS: usize = 3;
const WIDTH: u32 = 460;
const TITLE: u32 = 34;
const BAR: u32 = 17;
/// Beside the bars: the names on the left, the figures on the right.
const NAMES: u32 = 205;
const FIGURES: u32 = 60;
const MARGIN: u32 = 14;

// The background is not left open, so that the picture reads on a dark page as well.
const PAPER: RGBColor = RGBColor(250, 250, 250);
const INK: RGBColor = RGBColor(40, 40, 40);
const OURS: RGBColor = RGBColor(88, 166, 190);
const OURS_OFFLOAD: RGBColor = RGBColor(16, 98, 133);
const THEIRS: RGBColor = RGBColor(226, 168, 92);
const THEIRS_OFFLOAD: RGBColor = RGBColor(186, 110, 25);
const BEFORE: RGBColor = RGBColor(164, 196, 128);
const BEFORE_OFFLOAD: RGBColor = RGBColor(98, 142, 58);
const KERNEL: RGBColor = RGBColor(165, 165, 165);

/// Of the works in which others than brooklet have figures.
pub(crate) fn svg(tables: &[Table]) -> io::Result<String> {
    let tables: Vec<_> = tables.iter().filter(|table| has_others(table)).collect();
    let bars = tables.iter().map(|table| table.contenders.len()).max();
    let height = TITLE + BAR * bars.unwrap_or(0) as u32 + 2 * MARGIN;
    let rows = tables.len().div_ceil(COLUMNS).max(1);
    let size = (COLUMNS as u32 * WIDTH, rows as u32 * height);
    let mut text = String::new();
    {
        let root = SVGBackend::with_string(&mut text, size).into_drawing_area();
        root.fill(&PAPER).map_err(io::Error::other)?;
        let panels = root.split_evenly((rows, COLUMNS));
        for (panel, table) in panels.iter().zip(tables) {
            draw(panel, table).map_err(io::Error::other)?;
        }
        root.present().map_err(io::Error::other)?;
    }
    Ok(text)
}

fn has_others(table: &Table) -> bool {
    let mut others = table.contenders.iter().filter(|c| !c.is_brooklet());
    others.any(|contender| figure(table, contender).is_some())
}

/// By what the contenders are compared first.
fn figure(table: &Table, contender: &Contender) -> Option<f64> {
    let column = table.work.columns().first()?;
    Some(table.spread(contender.key, *column)?.middle)
}

type Panel<'a> = DrawingArea<SVGBackend<'a>, plotters::coord::Shift>;
type Failure<'a> = DrawingAreaErrorKind<<SVGBackend<'a> as DrawingBackend>::ErrorType>;

fn draw<'a>(panel: &Panel<'a>, table: &Table) -> Result<(), Failure<'a>> {
    let font = |size: u32| ("sans-serif", size).into_font().color(&INK);
    let right = Pos::new(HPos::Right, VPos::Center);
    let left = Pos::new(HPos::Left, VPos::Center);
    let unit = table
        .work
        .columns()
        .first()
        .map_or("", |column| column.name);
    let title = format!("{} [{unit}]", table.work.title());
    let middle_of_title = (MARGIN as i32, (MARGIN + TITLE / 3) as i32);
    panel.draw(&Text::new(title, middle_of_title, font(16).pos(left)))?;

    let figures = table.contenders.iter().map(|c| figure(table, c));
    let figures: Vec<_> = figures.collect();
    let most = figures.iter().copied().flatten().fold(0.0, f64::max);
    let room = f64::from(WIDTH - NAMES - FIGURES - MARGIN);
    for ((contender, figure), place) in table.contenders.iter().zip(figures).zip(0..) {
        let top = (MARGIN + TITLE + place * BAR) as i32;
        let middle = top + BAR as i32 / 2;
        let start = NAMES as i32;
        let name = (start - 6, middle);
        panel.draw(&Text::new(contender.name, name, font(14).pos(right)))?;
        let (end, shown) = match figure {
            Some(figure) => (
                start + (room * figure / most).round() as i32,
                three_digits(figure),
            ),
            None if table.left_out(contender.key).is_some() => (start, "left out".into()),
            None => (start, "failed".into()),
        };
        let bar = [(start, top + 2), (end, top + BAR as i32 - 2)];
        panel.draw(&Rectangle::new(bar, color(contender).filled()))?;
        panel.draw(&Text::new(shown, (end + 5, middle), font(14).pos(left)))?;
    }
    Ok(())
}

fn color(contender: &Contender) -> RGBColor {
    match (&contender.server, contender.link) {
        (_, Link::Loopback) => KERNEL,
        (Server::Inetd(_), Link::Tun) => OURS,
        (Server::Inetd(_), Link::TunWithHeader) => OURS_OFFLOAD,
        (Server::InetdBefore(_), Link::Tun) => BEFORE,
        (Server::InetdBefore(_), Link::TunWithHeader) => BEFORE_OFFLOAD,
        (Server::Here(_), Link::Tun) => THEIRS,
        (Server::Here(_), Link::TunWithHeader) => THEIRS_OFFLOAD,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::tests::table;

    #[test]
    fn every_contender_has_a_bar_with_its_figure() {
        let svg = svg(&[table()]).unwrap();
        for text in ["brooklet", "40.0", "kernel, loopback", "51.0", "[Mbit/s]"] {
            assert!(svg.contains(text), "{text} is not in {svg}");
        }
        assert_eq!(svg.matches("<rect").count(), 3, "the paper and two bars");
    }
}
