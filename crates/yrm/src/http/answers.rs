//! Answers that several routes give.

use std::net::IpAddr;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use serde_json::json;

use super::crowd::{Guest, PATIENCE};

/// A long answer to who asks from an address, once there is a place for it.
pub(super) async fn in_place((guest, asking): (&Guest, IpAddr), answer: impl Future<Output = Response>) -> Response {
    if let Some(place) = guest.place(asking).await {
        return place.hold(answer.await);
    }
    let mut busy = problem(StatusCode::SERVICE_UNAVAILABLE, "too many answers are under way; try again");
    let after = HeaderValue::from(PATIENCE.as_secs());
    busy.headers_mut().insert(header::RETRY_AFTER, after);
    busy
}

/// Nothing is there.
pub(super) fn not_found() -> Response {
    problem(StatusCode::NOT_FOUND, "there is nothing at this address")
}

/// An error's body: `{"error": {"status": 404, "message": …}}`.
pub(super) fn problem(status: StatusCode, message: &str) -> Response {
    let body = json!({"error": {"status": status.as_u16(), "message": message}});
    (status, axum::Json(body)).into_response()
}
