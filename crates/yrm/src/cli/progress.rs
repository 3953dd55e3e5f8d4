//! How far a run is: a bar for each step, on a terminal only.

use std::sync::{Mutex, PoisonError};

use indicatif::{ProgressBar, ProgressStyle};

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
        let bar = || {
            let style = ProgressStyle::with_template("{msg:<20} {bar:32} {pos}/{len}").expect("the template is fixed");
            ProgressBar::new(0).with_style(style)
        };
        Self { shown: output.is_watched().then(|| Mutex::new(Shown { step: None, bar: bar() })) }
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
        let Some(shown) = &self.shown else { return };
        let mut shown = shown.lock().unwrap_or_else(PoisonError::into_inner);
        if shown.step != Some(step) {
            shown.step = Some(step);
            shown.bar.set_message(match step {
                Step::Inspect => "reading headers",
                Step::Admit => "putting in place",
                Step::Upload => "writing metadata",
                Step::Tidy => "tidying up",
            });
        }
        shown.bar.set_length(total as u64);
        shown.bar.set_position(done as u64);
    }
}
