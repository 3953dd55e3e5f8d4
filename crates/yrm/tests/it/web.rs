//! A client of the web, with the program's own TLS: reqwest has none by itself.

use yrm::authorities::Authorities;

pub(crate) fn web() -> reqwest::Client {
    Authorities::default().web().unwrap().build().unwrap()
}

/// One that follows nothing.
pub(crate) fn web_without_redirects() -> reqwest::Client {
    Authorities::default().web().unwrap().redirect(reqwest::redirect::Policy::none()).build().unwrap()
}
