//! `cargo xtask curves`: how the cost of an analysis grows, measured and drawn into `docs/curves.svg`.

use std::path::PathBuf;

use plotters::prelude::*;

use crate::run::{Done, cargo, give, root, say};

/// What to draw.
#[derive(Debug, clap::Args)]
pub struct Flags {
    /// Draw what an earlier run printed, instead of measuring.
    #[arg(long)]
    from: Option<PathBuf>,
}

/// Sizes and milliseconds of one measure.
struct Curve {
    measure: String,
    points: Vec<(f64, f64)>,
}

impl Curve {
    /// How much faster the cost grows than the size, over the last half of the sizes: 1 for a line.
    fn growth(&self) -> f64 {
        let (Some(last), Some(middle)) = (self.points.last(), self.points.get(self.points.len() / 2)) else {
            return f64::NAN;
        };
        (last.1 / middle.1).ln() / (last.0 / middle.0).ln()
    }
}

/// Measures, draws, prints a table.
pub fn run(flags: &Flags) -> Done {
    let text = match &flags.from {
        Some(path) => std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?,
        None => measure()?,
    };
    let curves = curves(&text)?;
    let file = root().join("docs/curves.svg");
    let svg = draw(&curves).map_err(|error| error.to_string())?;
    std::fs::write(&file, svg).map_err(|error| format!("{}: {error}", file.display()))?;
    let row = |curve: &Curve| {
        let (first, last) = (curve.points.first()?, curve.points.last()?);
        let (name, growth) = (&curve.measure, curve.growth());
        Some(format!("| {name} | {} | {:.1} ms | {} | {:.0} ms | {growth:.2} |", first.0, first.1, last.0, last.1))
    };
    let rows: Vec<String> = curves.iter().filter_map(row).collect();
    give(&format!(
        "| what grows | from | takes | to | takes | exponent |\n|---|---|---|---|---|---|\n{}",
        rows.join("\n")
    ))
}

fn measure() -> Result<String, String> {
    let package = ["run", "--release", "--locked", "--package", "analyzer-core", "--features", "mimalloc"];
    let mut command = cargo();
    command.args(package).args(["--example", "curves"]).stderr(std::process::Stdio::inherit());
    say("measuring: some minutes");
    let output = command.output().map_err(|error| error.to_string())?;
    let text = String::from_utf8(output.stdout).map_err(|error| error.to_string())?;
    say(&text);
    if output.status.success() { Ok(text) } else { Err(format!("measuring ended with {}", output.status)) }
}

/// Curves from lines of `measure,size,bytes,milliseconds`.
fn curves(text: &str) -> Result<Vec<Curve>, String> {
    let mut curves: Vec<Curve> = Vec::new();
    for line in text.lines() {
        let parts: Vec<&str> = line.split(',').collect();
        let [measure, size, _, milliseconds] = parts[..] else { return Err(format!("{line:?} has not four parts")) };
        let number = |text: &str| text.parse::<f64>().map_err(|error| format!("{line:?}: {error}"));
        let point = (number(size)?, number(milliseconds)?.max(0.001));
        match curves.iter_mut().find(|curve| curve.measure == measure) {
            Some(curve) => curve.points.push(point),
            None => curves.push(Curve { measure: measure.into(), points: vec![point] }),
        }
    }
    if curves.is_empty() { Err("nothing was measured".into()) } else { Ok(curves) }
}

/// A panel for each curve, both axes logarithmic, so that a line of slope one is linear growth: the grey one.
fn draw(curves: &[Curve]) -> Result<String, Box<dyn std::error::Error>> {
    let mut svg = String::new();
    {
        let rows = curves.len().div_ceil(2);
        let area = SVGBackend::with_string(&mut svg, (900, 260 * rows as u32)).into_drawing_area();
        area.fill(&WHITE)?;
        for (curve, panel) in curves.iter().zip(area.split_evenly((rows, 2))) {
            let (Some(&(from, start)), Some(&(to, _))) = (curve.points.first(), curve.points.last()) else { continue };
            let linear = |size: f64| start * size / from;
            let most = curve.points.iter().map(|point| point.1).fold(start, f64::max).max(start * 2.0);
            let mut chart = ChartBuilder::on(&panel)
                .caption(format!("{}: exponent {:.2}", curve.measure, curve.growth()), ("sans-serif", 15))
                .margin(8)
                .x_label_area_size(28)
                .y_label_area_size(60)
                .build_cartesian_2d((from..to * 1.05).log_scale(), (start * 0.8..most * 1.3).log_scale())?;
            chart.configure_mesh().light_line_style(WHITE).y_desc("ms").draw()?;
            let bound = |size: &f64| linear(*size) <= most * 1.3;
            let sizes = curve.points.iter().map(|point| point.0).filter(bound);
            chart.draw_series(LineSeries::new(sizes.map(|size| (size, linear(size))), RGBColor(170, 170, 170)))?;
            chart.draw_series(LineSeries::new(curve.points.iter().copied(), &BLUE))?;
            chart.draw_series(curve.points.iter().map(|&point| Circle::new(point, 3, BLUE.filled())))?;
        }
        area.present()?;
    }
    Ok(svg)
}
