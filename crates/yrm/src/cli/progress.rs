//! How far a run is: a bar for each step, on a terminal only.

use std::sync::{Mutex, PoisonError};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::output::Output;
use crate::publish::{Progress, Step};

/// Watches a run for a person.
#[derive(Debug)]
pub struct Bars {
    shown: Option<Mutex<Shown>>,
}

#[derive(Debug)]
struct Shown {
    step: Option<Step>,
    bar: ProgressBar,
}

impl Bars {
    /// Bars on stderr when a person watches, else nothing.
    pub fn new(output: Output) -> Self {
        Self::to(output.is_watched().then(ProgressDrawTarget::stderr))
    }

    fn to(target: Option<ProgressDrawTarget>) -> Self {
        let bar = |target| {
            let style = ProgressStyle::with_template("{msg:<20} {bar:32} {pos}/{len}").expect("the template is fixed");
            ProgressBar::with_draw_target(Some(0), target).with_style(style)
        };
        Self { shown: target.map(|target| Mutex::new(Shown { step: None, bar: bar(target) })) }
    }

    /// Takes the bar away.
    pub fn finish(&self) {
        if let Some(shown) = &self.shown {
            shown.lock().unwrap_or_else(PoisonError::into_inner).bar.finish_and_clear();
        }
    }
}

impl Progress for Bars {
    fn step(&self, step: Step, done: usize, total: usize) {
        let Some(shown) = self.shown.as_ref().filter(|_| total > 0) else { return };
        let mut shown = shown.lock().unwrap_or_else(PoisonError::into_inner);
        // Before the words: they draw the bar.
        shown.bar.set_length(total as u64);
        if shown.step != Some(step) {
            shown.step = Some(step);
            shown.bar.set_position(0);
            shown.bar.set_message(match step {
                Step::Inspect => "reading headers",
                Step::Admit => "putting in place",
                Step::Upload => "writing metadata",
                Step::Tidy => "tidying up",
            });
        }
        shown.bar.set_position(done as u64);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use indicatif::TermLike;

    use super::*;

    /// A terminal that remembers every line.
    #[derive(Debug, Clone, Default)]
    struct Screen(Arc<Mutex<Vec<String>>>);

    impl TermLike for Screen {
        fn width(&self) -> u16 {
            80
        }
        fn move_cursor_up(&self, _: usize) -> std::io::Result<()> {
            Ok(())
        }
        fn move_cursor_down(&self, _: usize) -> std::io::Result<()> {
            Ok(())
        }
        fn move_cursor_right(&self, _: usize) -> std::io::Result<()> {
            Ok(())
        }
        fn move_cursor_left(&self, _: usize) -> std::io::Result<()> {
            Ok(())
        }
        fn write_line(&self, text: &str) -> std::io::Result<()> {
            self.write_str(text)
        }
        fn write_str(&self, text: &str) -> std::io::Result<()> {
            self.0.lock().unwrap().push(text.to_owned());
            Ok(())
        }
        fn clear_line(&self) -> std::io::Result<()> {
            Ok(())
        }
        fn flush(&self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_bar_never_shows_nothing_of_nothing() {
        let screen = Screen::default();
        let target = ProgressDrawTarget::term_like_with_hz(Box::new(screen.clone()), 255);
        let bars = Bars::to(Some(target));
        for (step, done, total) in
            [(Step::Inspect, 0, 0), (Step::Inspect, 1, 2), (Step::Upload, 0, 0), (Step::Tidy, 2, 2)]
        {
            bars.step(step, done, total);
            // The bar is drawn at most so often.
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        bars.finish();
        let drawn = screen.0.lock().unwrap().concat();
        assert!(drawn.contains("1/2") && drawn.contains("2/2"), "{drawn}");
        assert!(!drawn.contains("0/0") && !drawn.contains("writing metadata"), "{drawn}");
    }
}
